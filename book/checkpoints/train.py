"""Train the book's source models again from scratch: `make checkpoints`.

All are trained on MNIST's training images 1 to 55,000 and written with a model
card; 5,000 more images choose the epoch, where one is chosen. Needs all of
MNIST. Names as arguments train only those.
"""

import json
import platform
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers import data, models, training

# Not BOOK_SEED: the files are the same for every repetition of the book.
SEED = 0
TEMPERATURE = 0.2  # of the contrastive loss
PAIRS = 256  # images, each in two views, in a batch of contrastive training


class Recipe(NamedTuple):
    """How one checkpoint is made, and what its card says of it."""

    build: Callable[..., keras.Model]
    epochs: int
    train: Callable[["Recipe", data.ImageData], tuple[keras.Model, dict]]
    card: dict[str, str]


def accuracy(model: keras.Model, split: data.Split) -> float:
    """Return the share of images that get the right label, in [0, 1]."""
    predicted = model.predict(split.x, batch_size=500, verbose=0).argmax(axis=1)
    return float(np.mean(predicted == split.y))


def scores(model: keras.Model, mnist: data.ImageData) -> dict[str, float]:
    """Return what a card says of a model's accuracy."""
    return {
        "validation_accuracy": round(accuracy(model, mnist.validation), 4),
        "test_accuracy": round(accuracy(model, mnist.test), 4),
    }


# --- Trained with labels ------------------------------------------------------------


def all_digits(
    recipe: Recipe, mnist: data.ImageData
) -> tuple[keras.Model, dict]:
    """Train on ten digits; keep the epoch that is best on validation images."""
    model = training.compiled(recipe.build())
    best, kept = 0, 0.0
    for epoch in range(1, recipe.epochs + 1):
        history = training.fit(model, mnist.train, mnist.validation, epochs=1)
        if history["val_accuracy"][0] > kept:
            best, kept = epoch, history["val_accuracy"][0]
            weights = model.get_weights()
    model.set_weights(weights)
    return model, {"epoch_kept": best, **scores(model, mnist)}


def old_digits(
    recipe: Recipe, mnist: data.ImageData
) -> tuple[keras.Model, dict]:
    """Train on the digits 0 to 4, and a control on 5 to 9, as Keras' example did.

    The last epoch is kept. The weights are rounded to half precision, which
    halves the file.
    """
    model, curve = five_digits(recipe, mnist, range(5))
    _, control = five_digits(recipe, mnist, range(5, 10))
    model.set_weights(
        [w.astype(np.float16).astype(np.float32) for w in model.get_weights()]
    )
    parts = {
        "validation": data.select_labels(mnist.validation, range(5)),
        "test": data.select_labels(mnist.test, range(5)),
    }
    return model, {
        "epoch_kept": recipe.epochs,
        **scores(model, mnist._replace(**parts)),
        "test_accuracy_by_epoch": curve,
        "control": {
            "what": "the same training on the digits 5 to 9, from random weights",
            "test_accuracy_by_epoch": control,
        },
    }


def five_digits(
    recipe: Recipe, mnist: data.ImageData, labels: range
) -> tuple[keras.Model, list[float]]:
    """Train on five digits; return the model, and its test accuracy by epoch."""
    training.set_seed(SEED)
    model = recipe.build()
    model.compile(
        optimizer=keras.optimizers.Adadelta(learning_rate=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    train, test = (
        data.select_labels(part, labels) for part in (mnist.train, mnist.test)
    )
    history = training.fit(model, train, test, epochs=recipe.epochs)
    return model, [round(value, 4) for value in history["val_accuracy"]]


# --- Trained without labels ---------------------------------------------------------


def rotations(
    recipe: Recipe, mnist: data.ImageData
) -> tuple[keras.Model, dict]:
    """Train to tell which way up an image is (Gidaris et al. 2018)."""
    rng = np.random.default_rng(SEED)
    model = training.compiled(recipe.build(4))
    turned = turn(mnist.validation.x, rng)
    for _ in range(recipe.epochs):
        training.fit(model, turn(mnist.train.x, rng), epochs=1)
    found = round(accuracy(model, turned), 4)
    return with_fresh_head(recipe, model.layers[:-1]), {
        "epoch_kept": recipe.epochs,
        "pretext_accuracy": found,
    }


def turn(images: np.ndarray, rng: np.random.Generator) -> data.Split:
    """Turn each image by none to three right angles; the number is its label."""
    turns = rng.integers(0, 4, len(images))
    turned = np.stack(
        [np.rot90(x, k) for x, k in zip(images, turns, strict=True)]
    )
    return data.Split(turned, turns)


def contrastive(
    recipe: Recipe, mnist: data.ImageData
) -> tuple[keras.Model, dict]:
    """Train to find the other view of an image among many (Chen et al. 2020)."""
    two_views = distortion()
    features = recipe.build().layers[:-1]
    # The projection is thrown away at the end: features below it transfer better.
    projection = [layers.Dense(128, activation="relu"), layers.Dense(64)]
    size = data.IMAGE_SIZE
    model = keras.Sequential(
        [keras.Input((size, size)), *features, *projection]
    )
    variables = model.trainable_variables
    optimizer = keras.optimizers.Adam(learning_rate=0.001)
    optimizer.build(variables)
    images = tf.constant(mnist.train.x)

    def logits_of(batch: tf.Tensor) -> tf.Tensor:
        """Return how alike all views are, (2n, 2n), none compared with itself."""
        pair = tf.concat([batch, batch], axis=0)
        views = tf.math.l2_normalize(
            model(two_views(pair, training=True)), axis=1
        )
        alike = tf.matmul(views, views, transpose_b=True) / TEMPERATURE
        return alike - 1e9 * tf.eye(2 * PAIRS)

    other = tf.concat([tf.range(PAIRS, 2 * PAIRS), tf.range(PAIRS)], axis=0)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def one_epoch(batches: tf.Tensor) -> None:
        for batch in batches:
            with tf.GradientTape() as tape:
                loss = loss_of(other, logits_of(tf.gather(images, batch)))
            optimizer.apply(tape.gradient(loss, variables), variables)

    rng = np.random.default_rng(SEED)
    steps = len(mnist.train.y) // PAIRS
    for _ in range(recipe.epochs):
        order = rng.permutation(len(mnist.train.y))[: steps * PAIRS]
        one_epoch(tf.constant(order.reshape(steps, PAIRS), tf.int32))
    unseen = np.array_split(mnist.validation.x[: 10 * PAIRS], 10)
    right = [
        np.mean(logits_of(part).numpy().argmax(axis=1) == other)
        for part in unseen
    ]
    return with_fresh_head(recipe, features), {
        "epoch_kept": recipe.epochs,
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


def with_fresh_head(
    recipe: Recipe, features: list[layers.Layer]
) -> keras.Model:
    """Return a model for ten classes: trained features below a random head."""
    training.set_seed(SEED)
    model = recipe.build()
    for layer, trained in zip(model.layers[:-1], features, strict=True):
        layer.set_weights(trained.get_weights())
    return model


# --- Recipes and cards --------------------------------------------------------------

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
RECIPES = {
    "mnist-0-4": Recipe(models.classic_network, 5, old_digits, FIVE_DIGITS),
    "mnist-contrastive": Recipe(
        models.convolutional_network, 6, contrastive, CONTRASTIVE
    ),
    "mnist-convolutional": Recipe(
        models.convolutional_network, 10, all_digits, DIGITS
    ),
    "mnist-dense": Recipe(models.dense_network, 10, all_digits, DIGITS),
    "mnist-normalised": Recipe(
        models.normalised_network, 10, all_digits, DIGITS
    ),
    "mnist-rotation": Recipe(
        models.convolutional_network, 5, rotations, ROTATIONS
    ),
}


def make(name: str, mnist: data.ImageData) -> None:
    """Train one checkpoint; write the model and then its card."""
    recipe = RECIPES[name]
    training.set_seed(SEED)
    trained, measured = recipe.train(recipe, mnist)
    # A model that was never compiled carries no optimiser state.
    model = recipe.build()
    model.set_weights(trained.get_weights())
    card = {
        "name": name,
        "architecture": f"helpers.models.{recipe.build.__name__}",
        "parameters": model.count_params(),
        "input": "images, (n, 28, 28) float32 in [0, 1], white ink on black",
        **recipe.card,
        "training_data_sha256": {
            k: data.MNIST_SHA256[k] for k in ("x_train", "y_train")
        },
        "epochs": recipe.epochs,
        "seed": SEED,
        **measured,
        "weights_sha256": models.weights_sha256(model.get_weights()),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "intended_use": "a source model for the experiments of this book",
        "licence": "CC BY-SA 3.0, as MNIST, from which it was trained",
    }
    path = models.CHECKPOINTS / name
    save(model, path.with_suffix(".keras"))
    text = json.dumps(card, indent=2) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    print(f"{name}: {measured}")


def save(model: keras.Model, path: Path) -> None:
    """Save a model as Keras does, and compress what Keras only packs."""
    part = path.with_suffix(".part")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.keras"
        model.save(plain)
        with (
            zipfile.ZipFile(plain) as stored,
            zipfile.ZipFile(
                part, "w", zipfile.ZIP_DEFLATED, compresslevel=9
            ) as small,
        ):
            for member in stored.infolist():
                small.writestr(member.filename, stored.read(member))
    part.replace(path)


if __name__ == "__main__":
    names = sys.argv[1:] or list(RECIPES)
    if unknown := set(names) - set(RECIPES):
        sys.exit(
            f"Unknown: {', '.join(unknown)}. Expected: {', '.join(RECIPES)}."
        )
    all_of_mnist = data.load_mnist("full")
    for checkpoint in names:
        make(checkpoint, all_of_mnist)
