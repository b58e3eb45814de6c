"""Time training on cached features beside the same training through all layers.

The task is that of Keras' classic example: the digits 5 to 9, from a source
model of the digits 0 to 4. Three ways: all weights from scratch, frozen
features computed again in every update, and frozen features computed once. They
are repeated with several seeds, as an experiment is: the cache is computed once
for all of them, and its time is included, as is tracing. Run it on an idle
machine; it takes several minutes:

    BOOK_DATA_DIR=... .venv/bin/python benchmarks/cached_features.py
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers import checkpoints, claims, data, measures, models, sweeps, training

WAYS = ("scratch", "all layers", "cache")
CUT = 4  # reshape, two convolutions and pooling lie below; dropout comes next
ARRAYS = 4  # kernels and biases below the cut
POOL, PER_CLASS = 2000, 20  # images that few labels are drawn from, and how many


class Task(NamedTuple):
    """What is trained, in all three ways."""

    name: str
    train: data.Split
    scored: data.Split
    optimizer: Callable[[], keras.optimizers.Optimizer]
    batches: Callable[[int], np.ndarray]  # of a seed: (steps, batch_size)
    fresh_head: bool  # if not, the old head is copied, as in the example
    seeds: list[int]


def few_labels(mnist: data.ImageData, steps: int = 300) -> Task:
    """Return the task with few labels, trained by Adam."""
    train, scored = new_digits(mnist)
    pool = data.Split(train.x[:POOL], train.y[:POOL])

    def batches(seed: int) -> np.ndarray:
        chosen = data.label_budget(pool, PER_CLASS, seed)
        recipe = sweeps.Recipe(steps)
        return chosen[sweeps.draw_batches(len(chosen), recipe, seed)]

    name = f"{PER_CLASS} labels per class"
    adam, seeds = lambda: keras.optimizers.Adam(0.001), training.seeds(10)
    return Task(name, pool, scored, adam, batches, True, seeds)


def all_labels(mnist: data.ImageData) -> Task:
    """Return the task with all labels, trained for five epochs as published."""
    train, scored = new_digits(mnist)

    def batches(seed: int) -> np.ndarray:
        recipe = sweeps.Recipe(steps=5 * len(train.y) // 128, batch_size=128)
        return sweeps.draw_batches(len(train.y), recipe, seed)

    name = "all labels, five epochs"
    adadelta, seeds = lambda: keras.optimizers.Adadelta(1.0), training.seeds(5)
    return Task(name, train, scored, adadelta, batches, False, seeds)


def new_digits(mnist: data.ImageData) -> tuple[data.Split, data.Split]:
    """Return the digits 5 to 9, to train on and to score."""
    train, scored = (
        data.select_labels(part, range(5, 10))
        for part in (mnist.train, mnist.validation)
    )
    return train, scored


def run(task: Task, way: str) -> np.ndarray:
    """Train once for each seed; return the accuracies, (seeds,)."""
    source = checkpoints.load("mnist-0-4")
    known = source.get_weights()
    inputs, asked, model, below = task.train.x, task.scored.x, source, ARRAYS
    if way != "scratch":
        for layer in source.layers[:CUT]:
            layer.trainable = False
    if way == "cache":
        features = keras.Sequential([keras.Input((28, 28)), *source.layers[:CUT]])
        model = keras.Sequential([keras.Input((12, 12, 32)), *source.layers[CUT:]])
        inputs, asked = (measures.logits(features, x) for x in (inputs, asked))
        below = 0
    train = compile_training(model, task.optimizer())
    x, y = tf.constant(inputs), tf.constant(task.train.y)
    reached = []
    for seed in task.seeds:
        training.set_seed(seed)
        fresh = models.classic_network().get_weights()
        lower = fresh[:below] if way == "scratch" else known[:below]
        head = fresh if task.fresh_head or way == "scratch" else known
        model.set_weights(lower + head[ARRAYS:])
        train([x, y], [task.batches(seed)])
        reached.append(measures.accuracy(model, data.Split(asked, task.scored.y)))
    return np.array(reached)


def compile_training(model: keras.Model, optimizer: keras.Optimizer) -> Callable:
    """Return the loop of updates on batches of `x` and `y`, as one graph."""
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_of(x: tf.Tensor, y: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
        logits = model(tf.gather(x, batch), training=True)
        return cross_entropy(tf.gather(y, batch), logits)

    return training.compile_loop(loss_of, model.trainable_variables, optimizer)


def compare(task: Task) -> None:
    """Run a task in all ways in turn, and print the ratios of their times."""
    seconds, reached = {}, {}
    for way in WAYS:
        start = time.perf_counter()
        reached[way] = run(task, way)
        seconds[way] = time.perf_counter() - start
    print(f"{task.name}, {len(task.seeds)} seeds")
    for way in WAYS:
        accuracy = 100 * reached[way].mean()
        print(f"{way:10} {seconds[way]:6.1f} s, accuracy {accuracy:.2f} %", end="")
        if way != "cache":
            ratio = seconds[way] / seconds["cache"]
            print(f", {ratio:.1f} times the cache's time", end="")
        if way != "cache" and len(task.seeds) > 1:
            found = claims.interval(100 * (reached["cache"] - reached[way]))
            print(f"; the cache differs by {found.mean:+.2f} points", end="")
            print(f" ({found.low:+.2f} to {found.high:+.2f})", end="")
        print()


def main(mnist: data.ImageData) -> None:
    """Compare the three ways on both tasks."""
    for task in (few_labels(mnist), all_labels(mnist)):
        compare(task)


if __name__ == "__main__":
    main(data.load_mnist("full"))
