"""Time the article's training to the letter beside the book's, on all of MNIST.

Both train the article's network for ten epochs with Adam at 0.001 in batches
of 128, in one process, compilation included. Run it on an idle machine:

    BOOK_DATA_DIR=... .venv/bin/python benchmarks/training.py
"""

import time

import keras
import numpy as np

from helpers import data, measures, models, training


def to_the_letter(mnist: data.ImageData, epochs: int) -> float:
    """Train as the article's program does, once its images are flattened.

    Returns:
        The test accuracy, in [0, 1].
    """
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
    model.fit(x_train, mnist.train.y, epochs=epochs, batch_size=128, verbose=0)
    flat = data.Split(mnist.test.x.reshape(-1, 784), mnist.test.y)
    return measures.accuracy(model, flat)


def as_in_the_book(mnist: data.ImageData, epochs: int) -> float:
    """Train as the chapters do; return the test accuracy, in [0, 1]."""
    model = training.compile_model(models.dense_network())
    training.fit(model, mnist.train, epochs=epochs)
    return measures.accuracy(model, mnist.test)


def main(mnist: data.ImageData, epochs: int = 10, rounds: int = 2) -> None:
    """Run both some times, in turn, and print the ratio of their shortest times."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for way in (to_the_letter, as_in_the_book):
            training.set_seed()
            start = time.perf_counter()
            reached = way(mnist, epochs)
            seconds.setdefault(way.__name__, []).append(time.perf_counter() - start)
            print(f"\r{way.__name__}: {seconds[way.__name__][-1]:.1f} s, ", end="")
            print(f"test accuracy {100 * reached:.2f} %")
    ratio = min(seconds["to_the_letter"]) / min(seconds["as_in_the_book"])
    print(f"the book's training is {ratio:.1f} times faster")


if __name__ == "__main__":
    main(data.load_mnist("full"))
