"""The update rules of the chapter on gradient descent are those of Keras."""

import ast
from collections.abc import Callable
from types import FunctionType

import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf

from helpers import training
from helpers.paths import ROOT

CHAPTER = ROOT / "book" / "math" / "gradient_descent.ipynb"
RATE = 2**-7  # exact in 32 bits, in which Keras stores it
BETA, BETA2 = np.float64(0.9), np.float64(0.999)  # plain numbers it would round
STEPS = 50

Rule = Callable[..., tuple[np.ndarray, object]]


@pytest.fixture(scope="module")
def taught() -> dict[str, FunctionType]:
    """Return the functions that the chapter defines, without running its cells."""
    cells = nbformat.read(CHAPTER, as_version=4).cells
    names: dict[str, FunctionType] = {"np": np}
    for cell in cells:
        if cell.cell_type == "code":
            body = ast.parse(cell.source).body
            found = [node for node in body if isinstance(node, ast.FunctionDef)]
            exec(compile(ast.Module(found, []), cell.id, "exec"), names)
    return names


def gradients() -> np.ndarray:
    """Return a gradient for each step, of very different sizes, (STEPS, 7)."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(STEPS, 7)) * np.logspace(-6, 2, 7)


def path_of(rule: Rule, **settings: float) -> np.ndarray:
    """Return theta after each step of a rule of the chapter, (STEPS, 7)."""
    theta, state, path = np.ones(7), 0, []
    for g in gradients():
        theta, state = rule(theta, g, state, alpha=RATE, **settings)
        path.append(theta)
    return np.array(path)


def path_of_keras(optimizer: keras.Optimizer) -> np.ndarray:
    """Return theta after each step of Keras, (STEPS, 7)."""
    theta, path = keras.Variable(np.ones(7), dtype="float64"), []
    for g in gradients():
        optimizer.apply([tf.constant(g)], [theta])
        path.append(theta.numpy())
    return np.array(path)


def test_gradient_descent_and_momentum_are_the_sgd_of_keras(
    taught: dict[str, FunctionType],
) -> None:
    plain = path_of(taught["gradient_descent"])
    np.testing.assert_allclose(plain, path_of_keras(keras.optimizers.SGD(RATE)))
    ball = path_of(taught["momentum"])
    theirs = path_of_keras(keras.optimizers.SGD(RATE, momentum=BETA))
    np.testing.assert_allclose(ball, theirs, rtol=1e-12)


def test_rmsprop_has_epsilon_under_the_root_as_in_keras(
    taught: dict[str, FunctionType],
) -> None:
    theirs = path_of_keras(keras.optimizers.RMSprop(RATE, rho=BETA))
    np.testing.assert_allclose(path_of(taught["rmsprop"]), theirs, rtol=1e-12)


def test_adam_is_that_of_keras_if_epsilon_is_moved(
    taught: dict[str, FunctionType],
) -> None:
    """And with the same number in the paper's place it is not, as the chapter says."""

    def moved(
        theta: np.ndarray, g: np.ndarray, state: tuple, alpha: float
    ) -> tuple[np.ndarray, tuple]:
        t = (state[2] if state else 0) + 1
        epsilon = 1e-7 / np.sqrt(1 - 0.999**t)
        return taught["adam"](theta, g, state, alpha, epsilon)

    theirs = path_of_keras(keras.optimizers.Adam(RATE, BETA, BETA2))
    np.testing.assert_allclose(path_of(moved), theirs, rtol=1e-12)
    paper = path_of(taught["adam"], epsilon=1e-7)
    assert np.abs(paper - theirs).max() > 1e-3

    theta, m, v, path = [np.ones(7)], [0.0], [0.0], []
    for t, g in enumerate(gradients(), start=1):
        theta, m, v = training.adam(theta, [g], m, v, t, RATE)
        path += theta
    np.testing.assert_allclose(path, theirs, rtol=1e-12)


def test_the_gradient_of_the_chapters_network_is_that_of_tensorflow(
    taught: dict[str, FunctionType],
) -> None:
    rng = np.random.default_rng(4)
    theta = tf.Variable(rng.normal(size=(2, 6634)))  # two runs
    x, labels = rng.random((2, 5, 196)), rng.integers(10, size=(2, 5))
    with tf.GradientTape() as tape:
        W1, b1, W2, b2 = tf.split(theta, [6272, 32, 320, 10], axis=1)
        hidden = tf.nn.relu(x @ tf.reshape(W1, (2, 196, 32)) + b1[:, None])
        logits = hidden @ tf.reshape(W2, (2, 32, 10)) + b2[:, None]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        loss = tf.reduce_sum(tf.reduce_mean(losses, axis=1))  # runs do not mix
    ours = taught["network_gradient"](theta.numpy(), x, np.eye(10)[labels])
    expected = tape.gradient(loss, theta).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)
