"""Run published experiments once more, with their set-up: part of `make checkpoints`.

`published.toml` says what was published and how ours differs. A card in
`book/published` holds that and what each seed measured. It is replaced as a whole after
each seed; one that lacks seeds is continued. Needs all of MNIST.
"""

import functools
import json
import platform
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.metrics import roc_auc_score

from helpers import checkpoints, data, measures, models, pages, sweeps, training
from helpers.paths import ROOT
from tools.checkpoints import replace

PLANS = tomllib.loads((ROOT / "tools" / "published.toml").read_text(encoding="utf-8"))
BATCH = 128  # images of an update, in all experiments
TEMPERATURE = 20.0  # of Hinton's soft targets
SHARES = (0.08, 0.09, 0.26)  # of the weights of LeNet's layers that are left
TASK = np.arange(10) // 2  # the task of each digit in Split MNIST
STRENGTHS = (0.1, 1e8)  # EWC's strength is looked for between these
# As the chapter code/new_labels calls them.
FEW_LABELS: dict[str, Callable[..., sweeps.Strategy]] = {
    "scratch": sweeps.scratch,
    "random": functools.partial(sweeps.random_features, head=2),
    "frozen": functools.partial(sweeps.frozen_features, head=2),
    "tuned": functools.partial(sweeps.fine_tuning, head=1),
}

Numbers = dict[str, float]  # what one seed has measured


def all_60000(mnist: data.ImageData) -> data.Split:
    """Return all of MNIST's training images, as the published experiments use them."""
    parts = zip(mnist.train, mnist.validation, strict=True)
    return data.Split(*map(np.concatenate, parts))


def flat(split: data.Split) -> tuple[tf.Tensor, tf.Tensor]:
    """Return images as rows, (n, 784), and their labels, (n,), as tensors."""
    return tf.constant(split.x.reshape(len(split.y), -1)), tf.constant(split.y)


def network(*widths: int, seed: int) -> list[keras.Variable]:
    """Return fresh variables of a dense network: kernel and bias, layer by layer."""
    return [keras.Variable(array) for array in training.glorot(widths, seed)]


def assign(theta: Sequence[keras.Variable], values: Sequence) -> None:
    """Give variables these values."""
    for variable, value in zip(theta, values, strict=True):
        variable.assign(value)


def dense(theta: Sequence, h: Any, activation: Callable = tf.nn.relu) -> tf.Tensor:
    """Return the logits of a dense network, (n, outputs), for rows (n, 784)."""
    *hidden, last = zip(theta[0::2], theta[1::2], strict=True)
    for kernel, bias in hidden:
        h = activation(tf.matmul(h, kernel) + bias)
    return tf.matmul(h, last[0]) + last[1]


def cross_entropy(labels: Any, logits: Any) -> tf.Tensor:
    """Return the mean cross-entropy of labels, (n,), and logits, (n, outputs)."""
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(loss)


def order(count: int, epochs: int, seed: int) -> np.ndarray:
    """Return which images each update sees, (updates, BATCH), in shuffled passes."""
    updates = max(1, epochs * count // BATCH)
    return sweeps.draw_batches(count, sweeps.Recipe(updates, BATCH), seed)


def trainer(loss_of: Callable, theta: Any, updates: int, xla: bool = True) -> Callable:
    """Return `compile_loop` with Adam, whose rate falls from 0.001 to 0 in a line."""
    rate = keras.optimizers.schedules.PolynomialDecay(0.001, updates, 0.0)
    adam = keras.optimizers.Adam(learning_rate=rate)
    return training.compile_loop(loss_of, theta, adam, xla)


def fit(model: keras.Model, optimizer: Any, images: data.Split, epochs: int) -> None:
    """Train as the examples do, with their softmax inside the loss."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # XLA is slow with convolutions and dropout.
    model.compile(optimizer, loss, jit_compile=False, steps_per_execution=20)
    model.fit(images.x, images.y, batch_size=BATCH, epochs=epochs, verbose=0)


def keras_mlp(mnist: data.ImageData, seed: int, epochs: int) -> Numbers:
    """Train the network of mnist_mlp."""
    model = keras.Sequential([layers.Flatten()])
    for _ in range(2):
        model.add(layers.Dense(512, activation="relu"))
        model.add(layers.Dropout(0.2))
    model.add(layers.Dense(10))
    fit(model, keras.optimizers.RMSprop(), all_60000(mnist), epochs)
    return {"error": 100 - 100 * measures.accuracy(model, mnist.test)}


def keras_convnet(mnist: data.ImageData, seed: int, epochs: int) -> Numbers:
    """Train the network of mnist_convnet; the last tenth of the images is left out."""
    model = keras.Sequential([keras.Input((28, 28)), layers.Reshape((28, 28, 1))])
    for channels in (32, 64):
        model.add(layers.Conv2D(channels, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    for layer in (layers.Flatten(), layers.Dropout(0.5), layers.Dense(10)):
        model.add(layer)
    x, y = all_60000(mnist)
    used = data.Split(x[: len(y) * 9 // 10], y[: len(y) * 9 // 10])
    fit(model, keras.optimizers.Adam(), used, epochs)
    error = 100 - 100 * measures.accuracy(model, mnist.test)
    return {"error": error, "parameters": model.count_params()}


def keras_transfer(mnist: data.ImageData, seed: int, epochs: int) -> Numbers:
    """Train on 0 to 4; freeze the convolutions; train the same head on 5 to 9."""
    found = {}
    for ending, rate in (("", 1.0), ("-slow", 0.001)):
        training.set_seed(seed)
        model = models.classic_network()
        for name, digits in (("source", range(5)), ("target", range(5, 10))):
            images = data.select_labels(all_60000(mnist), digits)
            fit(model, keras.optimizers.Adadelta(rate), images, epochs)
            test = data.select_labels(mnist.test, digits)
            found[name + ending] = 100 * measures.accuracy(model, test)
            for layer in model.layers[:4]:
                layer.trainable = False
    return found


def keras_transfer_controls(mnist: data.ImageData, seed: int, epochs: int) -> Numbers:
    """Train the old head on 5 to 9, on old and random features, and from scratch."""
    train, test = map(new_digits, (mnist.train, mnist.test))
    source = checkpoints.load("mnist-0-4")
    fresh, found = training.untrained(source, seed), {}
    for name, below, rate in (
        ("transfer", source, 1.0),
        ("slow", source, 0.001),
        ("random", fresh, 1.0),
    ):
        features = keras.Sequential([keras.Input((28, 28)), *below.layers[:4]])
        copy = training.untrained(source, seed)
        copy.set_weights(source.get_weights())
        head = keras.Sequential([keras.Input((12, 12, 32)), *copy.layers[4:]])
        cached = data.Split(measures.logits(features, train.x), train.y)
        fit(head, keras.optimizers.Adadelta(rate), cached, epochs)
        cached = data.Split(measures.logits(features, test.x), test.y)
        found[name] = 100 * measures.accuracy(head, cached)
    fit(fresh, keras.optimizers.Adadelta(1.0), train, epochs)
    return found | {"scratch": 100 * measures.accuracy(fresh, test)}


def keras_transfer_rates(mnist: data.ImageData, seed: int, updates: int) -> Numbers:
    """Try learning rates for few labels of 5 to 9, on validation images."""
    source = checkpoints.load("mnist-0-4")
    tried = {
        f"{name}-{rate}": make(float(rate))
        for name, make in FEW_LABELS.items()
        for rate in ("1e-4", "1e-3", "3e-3", "3e-2")
    }
    old_test = data.select_labels(mnist.test, range(5))
    found = {"source": 100 * measures.accuracy(source, old_test)}
    asked = data.Split(*(part[:1000] for part in new_digits(mnist.validation)))
    recipe, few = sweeps.Recipe(updates, 16), new_digits(mnist.train)
    for run in sweeps.runs(source, tried, few, [10], [seed], recipe):
        found[run.name] = 100 * measures.accuracy(run.model, asked)
    return found


def new_digits(split: data.Split) -> data.Split:
    """Return the digits 5 to 9, with the labels 0 to 4."""
    return data.select_labels(split, range(5, 10))


def hendrycks(mnist: data.ImageData, seed: int, epochs: int) -> Numbers:
    """Train three hidden layers; ask how sure they are of digits and of noise."""
    rng = np.random.default_rng(seed)
    theta = network(784, 256, 256, 256, 10, seed=seed)
    for kernel, scale in zip(theta[0::2], (1.425, 0.85, 0.85, 1.425), strict=True):
        normal = rng.normal(size=kernel.shape)
        kernel.assign(normal / np.linalg.norm(normal, axis=0) / scale**0.5)
    gelu = functools.partial(tf.nn.gelu, approximate=True)
    outputs = functools.partial(dense, theta, activation=gelu)

    def loss_of(x: Any, y: Any, batch: Any) -> tf.Tensor:
        decay = 1e-5 * sum(tf.nn.l2_loss(kernel) for kernel in theta[0:6:2])
        return cross_entropy(tf.gather(y, batch), outputs(tf.gather(x, batch))) + decay

    images = flat(all_60000(mnist))
    batches = order(len(images[1]), epochs, seed)
    third = len(batches) // 3
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([2 * third], [1e-3, 1e-4])
    adam = keras.optimizers.Adam(learning_rate=rate)
    training.compile_loop(loss_of, theta, adam, xla=True)(images, [batches])

    def confidence(x: np.ndarray) -> np.ndarray:
        rows = x.astype(np.float32).reshape(len(x), -1)
        return tf.nn.softmax(outputs(rows)).numpy().max(axis=1)

    x, y = mnist.test
    answers = outputs(flat(mnist.test)[0]).numpy().argmax(axis=1)
    sure, right = confidence(x), answers == y
    found = {
        "error": 100 * np.mean(~right),
        "right-wrong": 100 * roc_auc_score(right, sure),
        "wrong-sure": 100 * np.mean(sure[~right]),
    }
    for name, draw in (("gaussian", rng.normal), ("uniform", rng.uniform)):
        scores = np.concatenate([sure, confidence(draw(size=x.shape))])
        found[name] = 100 * roc_auc_score(np.arange(len(scores)) < len(y), scores)
    return found


def lenet_pruned(mnist: data.ImageData, seed: int, epochs: int) -> Numbers:
    """Train LeNet-300-100, then prune it in three rounds, or train it on as it is."""
    theta = network(784, 300, 100, 10, seed=seed)

    def masked(masks: Any) -> list:
        kernels = [w * mask for w, mask in zip(theta[0::2], masks, strict=True)]
        return [a for pair in zip(kernels, theta[1::2], strict=True) for a in pair]

    def loss_of(x: Any, y: Any, masks: Any, batch: Any) -> tf.Tensor:
        logits = dense(masked(masks), tf.gather(x, batch))
        return cross_entropy(tf.gather(y, batch), logits)

    images, (x, y) = flat(all_60000(mnist)), flat(mnist.test)
    batches = [order(len(images[1]), epochs, 4 * seed + turn) for turn in range(4)]
    update = trainer(loss_of, theta, len(batches[0]))
    update([*images, [largest(kernel, 1.0) for kernel in theta[0::2]]], [batches[0]])
    first, found = [w.numpy() for w in theta], {}
    for name, shares in (("dense", (1.0, 1.0, 1.0)), ("pruned", SHARES)):
        assign(theta, first)
        for turn in (1, 2, 3):
            layer = zip(theta[0::2], shares, strict=True)
            masks = [largest(kernel, share ** (turn / 3)) for kernel, share in layer]
            assign(theta, masked(masks))
            update([*images, masks], [batches[turn]])
        wrong = dense(masked(masks), x).numpy().argmax(axis=1) != y.numpy()
        found[name] = 100 * np.mean(wrong)
        found[f"{name}-weights"] = sum(mask.sum() for mask in masks)
    return found


def largest(kernel: keras.Variable, share: float) -> np.ndarray:
    """Return a mask, 0 or 1, that keeps this share of the weights: the largest."""
    size = np.abs(kernel.numpy())
    return (size >= np.quantile(size, 1 - share)).astype(np.float32)


def hinton(mnist: data.ImageData, seed: int, epochs: int) -> Numbers:
    """Train a teacher and three students: from labels, from both, without threes."""
    teacher = taught_with_dropout(mnist.train, seed, 2 * epochs)
    given = [*flat(mnist.train), measures.logits(teacher, mnist.train.x)]
    theta = network(784, 800, 800, 10, seed=seed)

    def loss_of(x: Any, y: Any, soft: Any, shares: Any, batch: Any) -> tf.Tensor:
        logits = dense(theta, tf.gather(x, batch))
        targets = tf.nn.softmax(tf.gather(soft, batch) / TEMPERATURE)
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits / TEMPERATURE)
        hard = cross_entropy(tf.gather(y, batch), logits)
        return shares[0] * hard + shares[1] * TEMPERATURE**2 * tf.reduce_mean(losses)

    def student(hard: float, soft: float, used: np.ndarray) -> list[np.ndarray]:
        assign(theta, training.glorot((784, 800, 800, 10), seed))
        batches = used[order(len(used), epochs, seed)]
        update = trainer(loss_of, theta, len(batches))
        update([*given, np.array([hard, soft], np.float32)], [batches])
        parts = (mnist.validation, mnist.test)
        return [dense(theta, flat(part)[0]).numpy() for part in parts]

    def wrong(logits: np.ndarray, y: np.ndarray, shift: float = 0.0) -> np.ndarray:
        return (logits + shift * (np.arange(10) == 3)).argmax(axis=1) != y

    every, y = np.arange(len(mnist.train.y)), mnist.test.y
    found = {"teacher": wrong(measures.logits(teacher, mnist.test.x), y).sum()}
    found["labels"] = wrong(student(1.0, 0.0, every)[1], y).sum()
    found["soft"] = wrong(student(1.0, 1.0, every)[1], y).sum()
    chosen, test = student(0.0, 1.0, every[mnist.train.y != 3])
    shifts = np.arange(0, 20.01, 0.1)
    counts = [wrong(chosen, mnist.validation.y, shift).sum() for shift in shifts]
    found["shift"] = shifts[np.argmin(counts)]
    for name, shift in (("no-three", 0.0), ("no-three-mended", found["shift"])):
        missed = wrong(test, y, shift)
        found |= {name: missed.sum(), f"{name}-threes": missed[y == 3].sum()}
    return found


def taught_with_dropout(images: data.Split, seed: int, epochs: int) -> keras.Model:
    """Train 1200 and 1200 units with dropout, max-norm and images that are shifted."""
    size = data.IMAGE_SIZE
    model = keras.Sequential([keras.Input((size, size)), layers.Flatten()])
    model.add(layers.Dropout(0.2))
    for _ in range(2):
        short = keras.constraints.MaxNorm(3)
        model.add(layers.Dense(1200, "relu", kernel_constraint=short))
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10))

    def loss_of(x: Any, y: Any, batch: Any, shifts: Any) -> tf.Tensor:
        h = tf.pad(tf.gather(x, batch), ((0, 0), (2, 2), (2, 2)))
        for axis in (1, 2):
            places = shifts[:, axis - 1, None] + tf.range(size)
            h = tf.gather(h, places, axis=axis, batch_dims=1)
        return cross_entropy(tf.gather(y, batch), model(h, training=True))

    batches = order(len(images.y), epochs, seed)
    shifts = np.random.default_rng(seed).integers(0, 5, (*batches.shape, 2))
    update = trainer(loss_of, model.trainable_variables, len(batches), xla=False)
    update(list(images), [batches, shifts.astype(np.int32)])
    return model


def split_mnist(mnist: data.ImageData, seed: int, updates: int) -> Numbers:
    """Learn five pairs of digits in turn, naively and with EWC, in three scenarios."""
    # EWC's strength is a power of ten that beats both neighbours on validation images.
    learn = continual_learner(mnist, seed, updates)
    found = {}
    for scenario, best in (("task", 100.0), ("domain", 1e4), ("class", 1.0)):
        found[f"{scenario}-naive"] = learn(scenario, 0.0)[1]
        scores: dict[float, list[float]] = {}
        tried = {best / 10, best, best * 10}
        while not tried <= scores.keys() and STRENGTHS[0] <= best <= STRENGTHS[1]:
            scores |= {s: learn(scenario, s) for s in sorted(tried - scores.keys())}
            best = max(scores, key=lambda strength: scores[strength][0])
            tried = {best / 10, best, best * 10}
        found |= {f"{scenario}-ewc": scores[best][1], f"{scenario}-strength": best}
    return found


def continual_learner(mnist: data.ImageData, seed: int, updates: int) -> Callable:
    """Return what learns all tasks, `learn(scenario, strength)`; 0 is without EWC.

    `learn` returns the accuracy on validation and on test images, in percent, each the
    mean over the tasks.
    """
    theta = network(784, 400, 400, 10, seed=seed)
    images, digits = flat(mnist.train)

    def loss_of(x: Any, y: Any, rules: Any, springs: Any, batch: Any) -> tf.Tensor:
        digit = tf.gather(y, batch)
        logits = dense(theta, tf.gather(x, batch)) + tf.gather(rules[1], digit)
        pulls = zip(theta, *springs, strict=True)
        pull = sum(tf.reduce_sum(0.5 * q * w**2 - r * w) for w, q, r in pulls)
        return cross_entropy(tf.gather(rules[0], digit), logits) + pull

    adam = keras.optimizers.Adam(learning_rate=0.001)
    update = training.compile_loop(loss_of, theta, adam, xla=True)

    def learn(scenario: str, strength: float) -> list[float]:
        rng = np.random.default_rng(seed)
        assign(theta, training.glorot((784, 400, 400, 10), seed))
        q, r = ([np.zeros(w.shape, np.float32) for w in theta] for _ in range(2))
        for task in range(5):
            rules = rules_of(scenario, task)
            here = rng.permutation(np.flatnonzero(TASK[mnist.train.y] == task))
            batches = rng.choice(here, (updates, BATCH))
            update([images, digits, rules, [q, r]], [batches])
            if not strength:
                continue
            w, mask = [w.numpy() for w in theta], rules[1][mnist.train.y[here[:1000]]]
            stiff = fisher(w, images.numpy()[here[:1000]], mask)
            q = [a + strength * f for a, f in zip(q, stiff, strict=True)]
            r = [a + strength * f * b for a, f, b in zip(r, stiff, w, strict=True)]
        found = []
        for x, y in (mnist.validation, mnist.test):
            logits = dense(theta, x.reshape(len(y), -1)).numpy() + rules[1][y]
            hits = logits.argmax(axis=1) == rules[0][y]
            found.append(100 * np.mean([hits[TASK[y] == t].mean() for t in range(5)]))
        return found

    return learn


def rules_of(scenario: str, task: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each digit's output, (10,), and -1e9 where one may not rise, (10, 10)."""
    outputs = np.arange(10) % 2 if scenario == "domain" else np.arange(10)
    may = {
        "task": TASK[:, None] == TASK,
        "domain": np.tile(np.arange(10) < 2, (10, 1)),
        "class": np.tile(task >= TASK, (10, 1)),
    }
    return outputs, np.float32(-1e9) * ~may[scenario]


def fisher(theta: list[np.ndarray], x: np.ndarray, mask: np.ndarray) -> list:
    """Return the exact diagonal of the Fisher matrix on rows x, shaped like theta."""
    h = [x]
    for kernel, bias in (theta[0:2], theta[2:4]):
        h.append(np.maximum(h[-1] @ kernel + bias, 0))
    chances = tf.nn.softmax(h[2] @ theta[4] + theta[5] + mask).numpy()
    squares = [np.zeros((), np.float32)] * 3
    for label, one_hot in enumerate(np.eye(10, dtype=np.float32)):
        score = one_hot - chances
        for layer in (2, 1, 0):
            squares[layer] = squares[layer] + chances[:, [label]] * score**2
            if layer:
                score = score @ theta[2 * layer].T * (h[layer] > 0)
    pairs = zip(h, squares, strict=True)
    both = [((a**2).T @ s / len(x), s.mean(axis=0)) for a, s in pairs]
    return [array for layer in both for array in layer]


TRANSFER = (keras_transfer, keras_transfer_controls, keras_transfer_rates)
KERAS = (keras_mlp, *TRANSFER, keras_convnet)
RUNS = (hendrycks, lenet_pruned, *KERAS, split_mnist, hinton)
RUNS_OF = {run.__name__.replace("_", "-"): run for run in RUNS}


def make(name: str, plan: dict[str, Any], mnist: data.ImageData, folder: Path) -> None:
    """Run an experiment for every seed; write its card into a folder after each."""
    path = folder / f"{name}.json"
    packages = {m.__name__: m.__version__ for m in (keras, tf, np)}
    versions = {"python": platform.python_version(), **packages}
    card = {**plan, "data_sha256": data.MNIST_SHA256, "versions": versions}
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    measured = found.pop("measured", {})
    if found != card or len(measured) == plan["seeds"]:
        measured = {}
    for seed in range(1, plan["seeds"] + 1):
        if str(seed) not in measured:
            training.set_seed(seed)
            found = RUNS_OF[name](mnist, seed, plan["length"])
            measured[str(seed)] = {k: round(float(v), 2) for k, v in found.items()}
            text = json.dumps(card | {"measured": measured}, indent=2) + "\n"
            replace(path, text.encode())
            print(f"{name}, seed {seed}: {measured[str(seed)]}", flush=True)


def main(names: list[str], folder: Path) -> None:
    """Run the named experiments, or all, and write their cards into a folder."""
    if unknown := sorted(set(names) - set(RUNS_OF)):
        known = f"expected names of experiments: {', '.join(RUNS_OF)}"
        sys.exit(f"Received {', '.join(unknown)}; {known}. Without a name all are run.")
    mnist = data.load_mnist("full")
    folder.mkdir(exist_ok=True)
    for name in names or RUNS_OF:
        make(name, PLANS[name], mnist, folder)


if __name__ == "__main__":
    main(sys.argv[1:], pages.PUBLISHED)
