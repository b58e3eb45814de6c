"""Train the book's source models again from scratch: `make checkpoints`.

All are trained on MNIST's training images 1 to 55,000 and written with a model
card; 5,000 more images choose the epoch, where one is chosen. Needs all of
MNIST. Names as arguments train only those.
"""

import io
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers import checkpoints, data, measures, models, training

# Not BOOK_SEED: the files are the same for every repetition of the book.
SEED = 0
TEMPERATURE = 0.2  # of the contrastive loss
PAIRS = 256  # images, each in two views, in a batch of contrastive training


class Plan(NamedTuple):
    """How one checkpoint is made, and what its card says of it."""

    build: Callable[..., keras.Model]
    epochs: int
    train: Callable[["Plan", data.ImageData], tuple[keras.Model, dict]]
    card: dict[str, str]


def scores(model: keras.Model, mnist: data.ImageData) -> dict[str, float]:
    """Return what a card says of a model's accuracy."""
    return {
        "validation_accuracy": round(measures.accuracy(model, mnist.validation), 4),
        "test_accuracy": round(measures.accuracy(model, mnist.test), 4),
    }


# --- Trained with labels ------------------------------------------------------------


def all_digits(plan: Plan, mnist: data.ImageData) -> tuple[keras.Model, dict]:
    """Train on ten digits; keep the epoch that is best on validation images."""
    model = training.compile_model(plan.build())
    best, kept = 0, 0.0
    for epoch in range(1, plan.epochs + 1):
        history = training.fit(model, mnist.train, mnist.validation, epochs=1)
        if history["val_accuracy"][0] > kept:
            best, kept = epoch, history["val_accuracy"][0]
            weights = model.get_weights()
    model.set_weights(weights)
    return model, {"epoch_kept": best, **scores(model, mnist)}


def old_digits(plan: Plan, mnist: data.ImageData) -> tuple[keras.Model, dict]:
    """Train on the digits 0 to 4, and a control on 5 to 9, as Keras' example did.

    The last epoch is kept. The weights are rounded to half precision, which
    halves the file.

    Returns:
        The model, and what its card says of it.
    """
    model, curve = five_digits(plan, mnist, range(5))
    _, control = five_digits(plan, mnist, range(5, 10))
    model.set_weights(
        [w.astype(np.float16).astype(np.float32) for w in model.get_weights()]
    )
    known = mnist._replace(
        validation=data.select_labels(mnist.validation, range(5)),
        test=data.select_labels(mnist.test, range(5)),
    )
    return model, {
        "epoch_kept": plan.epochs,
        **scores(model, known),
        "test_accuracy_by_epoch": curve,
        "control": {
            "what": "the same training on the digits 5 to 9, from random weights",
            "test_accuracy_by_epoch": control,
        },
    }


def five_digits(
    plan: Plan, mnist: data.ImageData, labels: range
) -> tuple[keras.Model, list[float]]:
    """Train on five digits; return the model, and its test accuracy by epoch."""
    training.set_seed(SEED)
    model = plan.build()
    model.compile(
        optimizer=keras.optimizers.Adadelta(learning_rate=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    train, test = (
        data.select_labels(part, labels) for part in (mnist.train, mnist.test)
    )
    history = training.fit(model, train, test, epochs=plan.epochs)
    return model, [round(value, 4) for value in history["val_accuracy"]]


# --- Trained without labels ---------------------------------------------------------


def rotations(plan: Plan, mnist: data.ImageData) -> tuple[keras.Model, dict]:
    """Train to tell which way up an image is (Gidaris et al. 2018)."""
    rng = np.random.default_rng(SEED)
    model = training.compile_model(plan.build(4))
    turned = turn(mnist.validation.x, rng)
    for _ in range(plan.epochs):
        training.fit(model, turn(mnist.train.x, rng), epochs=1)
    found = round(measures.accuracy(model, turned), 4)
    return with_fresh_head(plan, model.layers[:-1]), {
        "epoch_kept": plan.epochs,
        "pretext_accuracy": found,
    }


def turn(images: np.ndarray, rng: np.random.Generator) -> data.Split:
    """Turn each image by none to three right angles; the number is its label."""
    turns = rng.integers(0, 4, len(images))
    turned = np.stack([np.rot90(x, k) for x, k in zip(images, turns, strict=True)])
    return data.Split(turned, turns)


def contrastive(plan: Plan, mnist: data.ImageData) -> tuple[keras.Model, dict]:
    """Train to find the other view of an image among many (Chen et al. 2020)."""
    two_views = distortion()
    features = plan.build().layers[:-1]
    # The projection is thrown away at the end: features below it transfer better.
    projection = [layers.Dense(128, activation="relu"), layers.Dense(64)]
    size = data.IMAGE_SIZE
    model = keras.Sequential([keras.Input((size, size)), *features, *projection])
    images = tf.constant(mnist.train.x)

    def logits_of(batch: tf.Tensor) -> tf.Tensor:
        """Return how alike all views are, (2n, 2n), none compared with itself."""
        pair = tf.concat([batch, batch], axis=0)
        views = tf.math.l2_normalize(model(two_views(pair, training=True)), axis=1)
        alike = tf.matmul(views, views, transpose_b=True) / TEMPERATURE
        return alike - 1e9 * tf.eye(2 * PAIRS)

    other = tf.concat([tf.range(PAIRS, 2 * PAIRS), tf.range(PAIRS)], axis=0)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_of_batch(batch: tf.Tensor) -> tf.Tensor:
        return loss_of(other, logits_of(tf.gather(images, batch)))

    rng = np.random.default_rng(SEED)
    steps = len(mnist.train.y) // PAIRS
    batches = [
        rng.permutation(len(mnist.train.y))[: steps * PAIRS].reshape(steps, PAIRS)
        for _ in range(plan.epochs)
    ]
    adam = keras.optimizers.Adam(learning_rate=0.001)
    train = training.compile_loop(loss_of_batch, model.trainable_variables, adam)
    train((), (np.concatenate(batches),))
    unseen = np.array_split(mnist.validation.x[: 10 * PAIRS], 10)
    right = [
        np.mean(logits_of(part).numpy().argmax(axis=1) == other) for part in unseen
    ]
    return with_fresh_head(plan, features), {
        "epoch_kept": plan.epochs,
        "pretext_accuracy": round(float(np.mean(right)), 4),
    }


def distortion() -> keras.Model:
    """Return what makes a view: a small turn, shift, scale, shear, and a hole."""
    size = data.IMAGE_SIZE
    return keras.Sequential(
        [
            layers.Reshape((size, size, 1)),
            layers.RandomRotation(0.06, fill_mode="constant"),  # +- 22 degrees
            layers.RandomTranslation(0.12, 0.12, fill_mode="constant"),
            layers.RandomZoom((-0.2, 0.2), (-0.2, 0.2), fill_mode="constant"),
            layers.RandomShear(0.2, 0.2, fill_mode="constant"),
            layers.RandomErasing(
                0.5, scale=(0.02, 0.08), fill_value=0.0, value_range=(0, 1)
            ),
            layers.Reshape((size, size)),
        ]
    )


def with_fresh_head(plan: Plan, features: list[layers.Layer]) -> keras.Model:
    """Return a model for ten classes: trained features below a random head."""
    training.set_seed(SEED)
    model = plan.build()
    for layer, trained in zip(model.layers[:-1], features, strict=True):
        layer.set_weights(trained.get_weights())
    return model


# --- Plans and cards --------------------------------------------------------------

DIGITS = {
    "output": "logits, (n, 10), for the digits 0 to 9",
    "training_data": "MNIST, training images 1 to 55,000",
    "validation_data": "MNIST, training images 55,001 to 60,000",
    "optimiser": "Adam, learning rate 0.001, batches of 128",
    "loss": "cross-entropy from logits",
    "limits": "trained on centred grey digits of one data set, nothing else; "
    "never score it on the offline MNIST sample, which it was trained on",
}
FIVE_DIGITS = DIGITS | {
    "output": "logits, (n, 5), for the digits 0 to 4",
    "training_data": "MNIST, training images 1 to 55,000, digits 0 to 4 only",
    "validation_data": "MNIST, training images 55,001 to 60,000, digits 0 to 4",
    "optimiser": "Adadelta, learning rate 1.0, batches of 128",
    "limits": "trained on centred grey digits of one data set, 0 to 4, nothing "
    "else; never score it on digits 0 to 4 of the offline MNIST sample, which "
    "it was trained on",
}
NO_LABELS = DIGITS | {
    "output": "logits, (n, 10), of a random head that was never trained: replace it",
    "training_data": "MNIST, training images 1 to 55,000, without their labels",
}
ROTATIONS = NO_LABELS | {
    "loss": "cross-entropy from logits, for four rotations of the image",
    "pretext_task": "by how many right angles was this image turned, of 0 to 3? "
    "(Gidaris et al. 2018)",
}
CONTRASTIVE = NO_LABELS | {
    "optimiser": f"Adam, learning rate 0.001, batches of {PAIRS} images in two views",
    "loss": f"cross-entropy over cosine similarities, temperature {TEMPERATURE}",
    "pretext_task": f"which of {2 * PAIRS - 1} distorted images shows the same digit "
    "image as this one? (Chen et al. 2020)",
}
PLANS = {
    "mnist-0-4": Plan(models.classic_network, 5, old_digits, FIVE_DIGITS),
    "mnist-contrastive": Plan(
        models.convolutional_network, 6, contrastive, CONTRASTIVE
    ),
    "mnist-convolutional": Plan(models.convolutional_network, 10, all_digits, DIGITS),
    "mnist-dense": Plan(models.dense_network, 10, all_digits, DIGITS),
    "mnist-normalised": Plan(models.normalised_network, 10, all_digits, DIGITS),
    "mnist-rotation": Plan(models.convolutional_network, 5, rotations, ROTATIONS),
}


def make(name: str, mnist: data.ImageData, folder: Path) -> None:
    """Train one checkpoint; write its weights into a folder, and then its card."""
    plan = PLANS[name]
    training.set_seed(SEED)
    model, measured = plan.train(plan, mnist)
    arrays = named_weights(model)
    card = {
        "name": name,
        "architecture": f"helpers.models.{plan.build.__name__}",
        "parameters": model.count_params(),
        "input": "images, (n, 28, 28) float32 in [0, 1], white ink on black",
        **plan.card,
        "training_data_sha256": {
            k: data.MNIST_SHA256[k] for k in ("x_train", "y_train")
        },
        "epochs": plan.epochs,
        "seed": SEED,
        **measured,
        "arrays": checkpoints.describe(arrays),
        "weights_sha256": checkpoints.weights_sha256(list(arrays.values())),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "intended_use": "a source model for the experiments of this book",
        "licence": "CC BY-SA 3.0, as MNIST, from which it was trained",
    }
    write(folder, card, arrays)
    print(f"{name}: {measured}")


def named_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights by layer and name: `0.kernel`, `0.bias`, `1.kernel`."""
    with_weights = [layer for layer in model.layers if layer.weights]
    return {
        f"{index}.{weight.name}": weight.numpy()
        for index, layer in enumerate(with_weights)
        for weight in layer.weights
    }


def write(folder: Path, card: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write the two files of a checkpoint, each as a whole, the card last.

    Weights that half precision holds exactly are stored so.
    """
    halves = {key: array.astype(np.float16) for key, array in arrays.items()}
    if all(np.array_equal(halves[key], arrays[key]) for key in arrays):
        arrays = halves
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    replace(folder / f"{card['name']}.npz", packed.getvalue())
    text = json.dumps(card, indent=2) + "\n"
    replace(folder / f"{card['name']}.json", text.encode())


def replace(path: Path, content: bytes) -> None:
    """Write a file under another name first, so that it is never half there."""
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def main(names: list[str], folder: Path) -> None:
    """Train the named checkpoints, or all, and write them into a folder."""
    if unknown := set(names) - set(PLANS):
        sys.exit(
            f"Received {', '.join(sorted(unknown))}; expected names of checkpoints: "
            f"{', '.join(PLANS)}. Without a name all are trained."
        )
    mnist = data.load_mnist("full")
    for name in names or PLANS:
        make(name, mnist, folder)


if __name__ == "__main__":
    main(sys.argv[1:], checkpoints.CHECKPOINTS)
