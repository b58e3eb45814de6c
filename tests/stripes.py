"""A tiny task and tiny networks for the tests of training."""

from typing import ClassVar

import keras
import numpy as np

from helpers import data, training

CLASSES, SIZE = 3, 6  # images of 6 x 6


def make_split(count: int, seed: int) -> data.Split:
    """Return noisy images of three classes: a bright stripe at one of three places."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % CLASSES
    x = rng.random((count, SIZE, SIZE), np.float32)
    x[np.arange(count), 2 * y] += 0.35
    return data.Split(x, y)


TRAIN, VALIDATION, TEST = (make_split(n, seed) for seed, n in enumerate([36, 60, 90]))
DOMAIN = data.ImageData("stripes", TRAIN, VALIDATION, TEST, ("0", "1", "2"), "full")


def dense(*extra: keras.Layer) -> keras.Model:
    """Return a dense network with one hidden layer, and other layers above it."""
    hidden = keras.layers.Dense(7, activation="relu")
    layers = [keras.layers.Flatten(), hidden, *extra, keras.layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input((SIZE, SIZE)), *layers])


def convolutional() -> keras.Model:
    """Return a network with one convolution."""
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE)),
            keras.layers.Reshape((SIZE, SIZE, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES),
        ]
    )


class CountedDense(keras.layers.Dense):
    """Counts how often Python passes through it: a graph that runs again is free."""

    calls: ClassVar[list[int]] = []

    def call(self, inputs: object) -> object:
        """Return what a dense layer returns."""
        self.calls.append(1)
        return super().call(inputs)


def compiled(model: keras.Model, rate: float = 0.01) -> keras.Model:
    """Compile a model without the package's help, without a graph, and return it."""
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        run_eagerly=True,
    )
    return model


def accuracy(model: keras.Model, split: data.Split) -> float:
    """Return the share of right answers."""
    return float(np.mean(np.argmax(model(split.x), axis=1) == split.y))


def numpy_adam(
    weights: training.Weights, rates: list[float] | np.ndarray, batches: np.ndarray
) -> training.Weights:
    """Train `dense()` on `TRAIN` by Adam's formulas, in float64.

    Rates are (layers,) or (updates, layers). One optimiser of its own for each layer;
    Kingma and Ba (2015), algorithm 1 in the form of its section 2, with Keras' epsilon.

    Returns:
        The trained weights.
    """
    theta = [array.astype(float) for layer in weights for array in layer]
    table = np.broadcast_to(np.repeat(rates, 2, axis=-1), (len(batches), 4))
    m, v = ([np.zeros_like(array) for array in theta] for _ in range(2))
    for step, batch in enumerate(batches, start=1):
        x, y = TRAIN.x[batch].reshape(len(batch), -1).astype(float), TRAIN.y[batch]
        hidden = np.maximum(x @ theta[0] + theta[1], 0)
        logits = hidden @ theta[2] + theta[3]
        softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax /= softmax.sum(axis=1, keepdims=True)
        output = (softmax - np.eye(CLASSES)[y]) / len(batch)
        below = (output @ theta[2].T) * (hidden > 0)
        gradients = [x.T @ below, below.sum(0), hidden.T @ output, output.sum(0)]
        for i, gradient in enumerate(gradients):
            m[i] = 0.9 * m[i] + 0.1 * gradient
            v[i] = 0.999 * v[i] + 0.001 * gradient**2
            alpha = table[step - 1, i] * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            theta[i] = theta[i] - alpha * m[i] / (np.sqrt(v[i]) + 1e-7)
    return [theta[:2], theta[2:]]


def assert_equal_weights(
    found: training.Weights, expected: training.Weights, atol: float = 0
) -> None:
    """Compare two networks array by array."""
    for one, other in zip(found, expected, strict=True):
        for array, wanted in zip(one, other, strict=True):
            assert array.shape == wanted.shape
            assert np.allclose(array, wanted, rtol=0, atol=atol)


def copied(weights: training.Weights) -> training.Weights:
    """Return copies of all arrays."""
    return [[array.copy() for array in layer] for layer in weights]


def screen(text: str) -> list[str]:
    """Return what a terminal shows after each rewriting of its one line."""
    shown, line = [], ""
    for part in text.split("\r"):
        line = part + line[len(part) :]
        shown.append(line.strip())
    return shown
