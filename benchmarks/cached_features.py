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

from helpers import claims, data, models, training

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


def tasks(mnist: data.ImageData) -> list[Task]:
    """Return the two tasks: few labels by Adam, all labels as published."""
    train, scored = (
        data.select_labels(part, range(5, 10))
        for part in (mnist.train, mnist.validation)
    )
    pool = data.Split(train.x[:POOL], train.y[:POOL])

    def few(seed: int) -> np.ndarray:
        chosen = data.label_budget(pool, PER_CLASS, seed)
        return chosen[training.draw_batches(len(chosen), training.Recipe(), seed)]

    def five_epochs(seed: int) -> np.ndarray:
        recipe = training.Recipe(steps=5 * len(train.y) // 128, batch_size=128)
        return training.draw_batches(len(train.y), recipe, seed)

    adam, adadelta = keras.optimizers.Adam, keras.optimizers.Adadelta
    ten, five = training.seeds(10), training.seeds(5)
    return [
        Task("20 labels per class", pool, scored, lambda: adam(0.001), few, True, ten),
        Task(
            *("all labels, five epochs", train, scored),
            *(lambda: adadelta(1.0), five_epochs, False, five),
        ),
    ]


def run(task: Task, way: str) -> np.ndarray:
    """Train once for each seed; return the accuracies, (seeds,)."""
    source = models.load_checkpoint("mnist-0-4")
    known = source.get_weights()
    inputs, asked, model, below = task.train.x, task.scored.x, source, ARRAYS
    if way != "scratch":
        for layer in source.layers[:CUT]:
            layer.trainable = False
    if way == "cache":
        features = keras.Sequential([keras.Input((28, 28)), *source.layers[:CUT]])
        model = keras.Sequential([keras.Input((12, 12, 32)), *source.layers[CUT:]])
        inputs, asked, below = outputs(features, inputs), outputs(features, asked), 0
    optimizer = task.optimizer()
    train = make_training(model, optimizer, inputs, task.train.y)
    initial = [variable.numpy() for variable in optimizer.variables]
    reached = []
    for seed in task.seeds:
        training.set_seed(seed)
        fresh = models.classic_network().get_weights()
        features = fresh[:below] if way == "scratch" else known[:below]
        head = fresh if task.fresh_head or way == "scratch" else known
        model.set_weights(features + head[ARRAYS:])
        for variable, value in zip(optimizer.variables, initial, strict=True):
            variable.assign(value)
        train(tf.constant(task.batches(seed), tf.int32))
        answers = np.argmax(outputs(model, asked), axis=1)
        reached.append(np.mean(answers == task.scored.y))
    return np.array(reached)


def outputs(network: keras.Model, inputs: np.ndarray | tf.Tensor) -> tf.Tensor:
    """Return a network's outputs, 500 inputs at a time."""
    starts = range(0, len(inputs), 500)
    return tf.concat(
        [network(inputs[i : i + 500], training=False) for i in starts], axis=0
    )


def make_training(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    inputs: np.ndarray | tf.Tensor,
    labels: np.ndarray,
) -> Callable[[tf.Tensor], None]:
    """Compile a loop of updates, one for each row of a matrix of indices.

    XLA compiles the optimiser's part only: on CPUs its convolutions crawl, and
    its dropout too.
    """
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    variables = model.trainable_variables
    optimizer.build(variables)
    move = tf.function(optimizer.apply, jit_compile=True)
    x, y = tf.convert_to_tensor(inputs), tf.convert_to_tensor(labels)

    @tf.function
    def train(batches: tf.Tensor) -> None:
        for batch in batches:
            with tf.GradientTape() as tape:
                logits = model(tf.gather(x, batch), training=True)
                loss = loss_of(tf.gather(y, batch), logits)
            move(tape.gradient(loss, variables))

    return train


def main() -> None:
    """Run all ways in turn, and print the ratios of their times."""
    mnist = data.load_mnist("full")
    for task in tasks(mnist):
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
                mean, low, high, _ = claims.interval(reached["cache"] - reached[way])
                print(f"; the cache differs by {100 * mean:+.2f} points", end="")
                print(f" ({100 * low:+.2f} to {100 * high:+.2f})", end="")
            print()


if __name__ == "__main__":
    main()
