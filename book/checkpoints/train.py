"""Train the book's source models again from scratch: `make checkpoints`.

Each is trained on MNIST's training set (55,000 images; 5,000 more choose the
epoch) and written with a model card. Needs all of MNIST.
"""

import json
import platform
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from helpers import data, models, training

# Not BOOK_SEED: the files are the same for every repetition of the book.
SEED = 0
RECIPES: dict[str, tuple[Callable[[], keras.Model], int]] = {
    "mnist-dense": (models.dense_network, 10),
    "mnist-convolutional": (models.convolutional_network, 10),
}


def accuracy(model: keras.Model, split: data.Split) -> float:
    """Return the share of images that get the right label, in [0, 1]."""
    predicted = model.predict(split.x, batch_size=500, verbose=0).argmax(axis=1)
    return float(np.mean(predicted == split.y))


def train(name: str, mnist: data.ImageData) -> None:
    """Train one checkpoint; write the model and then its card."""
    build, epochs = RECIPES[name]
    training.set_seed(SEED)
    model = training.compiled(build())
    best, kept = 0, 0.0
    for epoch in range(1, epochs + 1):
        history = training.fit(model, mnist.train, mnist.validation, epochs=1)
        if history["val_accuracy"][0] > kept:
            best, kept = epoch, history["val_accuracy"][0]
            weights = model.get_weights()
    # A model that was never compiled carries no optimiser state.
    model = build()
    model.set_weights(weights)
    card = {
        "name": name,
        "architecture": f"helpers.models.{build.__name__}",
        "parameters": model.count_params(),
        "input": "images, (n, 28, 28) float32 in [0, 1], white ink on black",
        "output": "logits, (n, 10), for the digits 0 to 9",
        "training_data": "MNIST, training images 1 to 55,000",
        "validation_data": "MNIST, training images 55,001 to 60,000",
        "training_data_sha256": {
            k: data.MNIST_SHA256[k] for k in ("x_train", "y_train")
        },
        "optimiser": "Adam, learning rate 0.001, batches of 128",
        "loss": "cross-entropy from logits",
        "epochs": epochs,
        "epoch_kept": best,
        "seed": SEED,
        "validation_accuracy": round(accuracy(model, mnist.validation), 4),
        "test_accuracy": round(accuracy(model, mnist.test), 4),
        "weights_sha256": models.weights_sha256(model.get_weights()),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "tensorflow": version_of_tensorflow(),
            "numpy": np.__version__,
        },
        "intended_use": "a source model for the experiments of this book",
        "limits": "trained on centred grey digits of one data set, nothing else; "
        "never score it on the offline MNIST sample, which it was trained on",
        "licence": "CC BY-SA 3.0, as MNIST, from which it was trained",
    }
    path = models.CHECKPOINTS / name
    part = path.with_suffix(".part.keras")
    model.save(part)
    part.replace(path.with_suffix(".keras"))
    text = json.dumps(card, indent=2) + "\n"
    Path(path.with_suffix(".json")).write_text(text, encoding="utf-8")
    print(f"{name}: epoch {best}, test accuracy {card['test_accuracy']}")


def version_of_tensorflow() -> str:
    """Return TensorFlow's version, whichever of its packages is installed."""
    import tensorflow as tf

    return tf.__version__


if __name__ == "__main__":
    all_of_mnist = data.load_mnist("full")
    for checkpoint in RECIPES:
        train(checkpoint, all_of_mnist)
