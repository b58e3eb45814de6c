"""Time the article's training to the letter beside the book's, on all of MNIST.

Both train the article's network for ten epochs with Adam at 0.001 in batches
of 128, in one process, compilation included. Run it on an idle machine:

    BOOK_DATA_DIR=... .venv/bin/python benchmarks/training.py
"""

import time

import keras
import numpy as np

from helpers import data, models, training

EPOCHS = 10


def to_the_letter(mnist: data.ImageData) -> float:
    """Train as the article's program does, once its images are flattened."""
    x_train = mnist.train.x.astype(np.float64).reshape(-1, 784)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.001),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x_train, mnist.train.y, epochs=EPOCHS, batch_size=128, verbose=0)
    return accuracy(model, mnist.test.x.reshape(-1, 784), mnist.test.y)


def as_in_the_book(mnist: data.ImageData) -> float:
    """Train as the chapters do."""
    model = training.compiled(models.dense_network())
    training.fit(model, mnist.train, epochs=EPOCHS)
    return accuracy(model, mnist.test.x, mnist.test.y)


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """Return the accuracy in [0, 1]."""
    return float(np.mean(model.predict(x, verbose=0).argmax(axis=1) == y))


def main() -> None:
    """Run both twice, in turn, and print the ratio of their shortest times."""
    mnist = data.load_mnist("full")
    seconds: dict[str, list[float]] = {}
    for _ in range(2):
        for way in (to_the_letter, as_in_the_book):
            training.set_seed()
            start = time.perf_counter()
            reached = way(mnist)
            seconds.setdefault(way.__name__, []).append(time.perf_counter() - start)
            print(f"\r{way.__name__}: {seconds[way.__name__][-1]:.1f} s, ", end="")
            print(f"test accuracy {100 * reached:.2f} %")
    ratio = min(seconds["to_the_letter"]) / min(seconds["as_in_the_book"])
    print(f"the book's training is {ratio:.1f} times faster")


if __name__ == "__main__":
    main()
