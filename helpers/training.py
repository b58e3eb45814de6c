"""Seeds, quiet fitting, and many short trainings inside one compiled graph."""

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from helpers import data

if TYPE_CHECKING:
    import keras

PARTS = ("validation", "test")


class Start(NamedTuple):
    """Where one training starts, and what it may change.

    The first two have one entry for each layer that has weights, input first.
    """

    weights: list[list[np.ndarray]]  # the arrays of the layer, as Keras orders them
    learning_rates: list[float]  # 0.0 freezes the layer
    # What Keras never trains, as `model.non_trainable_weights` orders it: the
    # kernel below a low-rank change, the statistics of batch normalisation.
    # Empty: as they were when the run was compiled.
    frozen: Sequence[np.ndarray] = ()


# A strategy gets the weights of the source model and fresh random weights of
# the same shapes, layer by layer, and says where the training starts.
Strategy = Callable[[list[list[np.ndarray]], list[list[np.ndarray]]], Start]


class Recipe(NamedTuple):
    """What the runs of one sweep have in common."""

    steps: int = 300  # updates by Adam in each run
    batch_size: int = 32  # images per update
    part: str = "validation"  # scored at the end: "validation", or once: "test"


def book_seed() -> int:
    """Return the environment variable `BOOK_SEED`, 0 if it is not set.

    It moves every random number in the book: another value is another
    complete repetition of all experiments.

    Raises:
        ValueError: the variable is not a whole number from 0 to 9999.
    """
    text = os.environ.get("BOOK_SEED", "0")
    if not text.isdecimal() or int(text) > 9999:
        raise ValueError(
            f"BOOK_SEED is {text!r}; expected a whole number from 0 to 9999. "
            "Unset it for the seed that the stored outputs were made with."
        )
    return int(text)


def seeds(count: int) -> list[int]:
    """Return `count` different seeds, other ones for every `BOOK_SEED`.

    None of them is 0, the seed of the checkpoints: the initial weights of a
    source model never come back as the random weights of a control.

    Raises:
        ValueError: `count` is not 1 to 1000, or `BOOK_SEED` is refused.

    Example:
        >>> seeds(3)
        [1, 2, 3]
    """
    if not 1 <= count <= 1000:
        raise ValueError(f"{count} seeds were asked for; expected 1 to 1000.")
    return [1000 * book_seed() + i for i in range(1, count + 1)]


def set_seed(seed: int | None = None) -> None:
    """Seed Python, NumPy and Keras; without an argument with `seeds(1)[0]`.

    Call it before a model is built: the initial weights are random numbers too.
    """
    import keras

    keras.utils.set_random_seed(seeds(1)[0] if seed is None else seed)


def compiled(model: "keras.Model", learning_rate: float = 0.001) -> "keras.Model":
    """Return a model, ready for `fit`: Adam, cross-entropy from logits, accuracy.

    Args:
        model: a model whose last layer returns logits. Freeze layers before:
            compiling fixes which weights are trained.
        learning_rate: Adam's, above 0.
    """
    import keras

    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def fit(
    model: "keras.Model",
    train: data.Split,
    validation: data.Split | None = None,
    epochs: int = 10,
    batch_size: int = 128,
) -> dict[str, list[float]]:
    """Do what `model.fit` does, with each epoch as one call into the graph.

    The images are shuffled anew in every epoch; those that do not fill the
    last batch are left out of that epoch. A reader who runs the cell sees the
    epochs pass; the line is wiped at the end and nothing of it is stored.

    Args:
        model: a model from `compiled`, or compiled in the same way.
        train: what to fit.
        validation: what to measure after every epoch, if anything.
        epochs: passes over `train`.
        batch_size: images per update; fewer if `train` has fewer.

    Returns:
        The history, one value for each epoch: `loss` and `accuracy` while the
        epoch ran, and `val_loss` and `val_accuracy` after it.
    """
    import tensorflow as tf

    x, y = tf.constant(train.x), tf.constant(train.y)
    variables, optimizer = model.trainable_variables, model.optimizer
    optimizer.build(variables)

    @tf.function(jit_compile=_xla_pays(model))
    def one_epoch(batches):
        total, right = tf.constant(0.0), tf.constant(0, tf.int64)
        for batch in batches:
            labels = tf.gather(y, batch)
            with tf.GradientTape() as tape:
                logits = model(tf.gather(x, batch), training=True)
                loss = model.compute_loss(y=labels, y_pred=logits)
            optimizer.apply(tape.gradient(loss, variables), variables)
            total += loss
            right += tf.math.count_nonzero(tf.argmax(logits, axis=1) == labels)
        return total, right

    size = min(batch_size, len(train.y))
    steps = len(train.y) // size
    history: dict[str, list[float]] = {}
    for epoch in range(1, epochs + 1):
        order = np.random.permutation(len(train.y))[: steps * size]
        total, right = one_epoch(tf.constant(order.reshape(steps, size), tf.int32))
        measured = {"loss": total / steps, "accuracy": right / (steps * size)}
        if validation is not None:
            scores = model.evaluate(*validation, batch_size=500, verbose=0)
            measured |= dict(zip(("val_loss", "val_accuracy"), scores, strict=True))
        for key, value in measured.items():
            history.setdefault(key, []).append(float(value))
        _show_progress(epoch, epochs, "epoch")
    return history


def _xla_pays(model: "keras.Model") -> bool:
    """XLA doubles the speed of dense networks; convolutions and dropout crawl."""
    return not any(
        slow in type(layer).__name__.lower()
        for layer in model.layers
        for slow in ("conv", "dropout")
    )


def layer_weights(model: "keras.Model") -> list[list[np.ndarray]]:
    """Return the weights of a model layer by layer, input first.

    Layers without weights are left out; of a layer with weights only those
    that training changes are taken (kernel, bias).
    """
    return [
        [weight.numpy() for weight in layer.trainable_weights]
        for layer in model.layers
        if layer.trainable_weights
    ]


def fresh_weights(model: "keras.Model", seed: int) -> list[list[np.ndarray]]:
    """Return new random weights for a model, as `layer_weights` returns them.

    They are drawn by the initialisers of the model's layers after
    `set_seed(seed)`; the model keeps its own.
    """
    import keras

    set_seed(seed)
    return layer_weights(keras.models.clone_model(model))


def sweep(
    source: "keras.Model",
    strategies: Mapping[str, Strategy],
    domain: data.ImageData,
    budgets: Sequence[int],
    run_seeds: Sequence[int],
    recipe: Recipe = Recipe(),  # noqa: B008 (immutable)
) -> dict[str, np.ndarray]:
    """Train every strategy with every label budget and every seed.

    A seed draws the labelled images, the fresh weights and the order of the
    images. All strategies share these draws, so they can be compared in pairs.
    The training loop is traced once for each choice of trained layers and then
    runs inside the graph: three hundred updates are one call.

    Args:
        source: the source model; a model of the same architecture is trained.
            Its last layer must return logits.
        strategies: name and function of each strategy, see `transfer`.
        domain: label budgets are drawn from its training part only.
        budgets: labelled images per class.
        run_seeds: one run each, e.g. `seeds(10)`.
        recipe: what all runs have in common.

    Returns:
        For each strategy its accuracies, shape (budgets, seeds), in [0, 1],
        on the part that `recipe.part` names.

    Raises:
        ValueError: there is nothing to run, or the part is unknown.
        data.DataError: a budget is larger than the training part allows.

    Example:
        >>> accuracies = sweep(source, strategies, digits, [1, 10], seeds(10))
        >>> accuracies["fine-tuning"].shape
        (2, 10)
    """
    import keras

    if not (strategies and len(budgets) and len(run_seeds)):
        raise ValueError(
            f"Received {len(strategies)} strategies, {len(budgets)} budgets and "
            f"{len(run_seeds)} seeds; expected at least one of each."
        )
    if recipe.part not in PARTS:
        raise ValueError(
            f"Unknown part {recipe.part!r}; expected one of {', '.join(PARTS)}."
        )
    scored = getattr(domain, recipe.part)
    set_seed(run_seeds[0])  # a model with dropout draws its seed when it is built
    model = keras.models.clone_model(source)
    run = compile_run(model, domain.train, scored)
    known = layer_weights(source)
    accuracies = {name: np.empty((len(budgets), len(run_seeds))) for name in strategies}
    for column, seed in enumerate(run_seeds):
        fresh = fresh_weights(source, seed)
        for row, per_class in enumerate(budgets):
            chosen = data.label_budget(domain.train, per_class, seed)
            batches = draw_batches(len(chosen), recipe, seed)
            for name, strategy in strategies.items():
                start = strategy(known, fresh)
                accuracies[name][row, column] = run(start, chosen[batches])
        _show_progress(column + 1, len(run_seeds), "seed")
    return accuracies


def draw_batches(count: int, recipe: Recipe, seed: int) -> np.ndarray:
    """Return which of `count` images each update sees, (steps, batch_size) int.

    The images come in shuffled passes, one pass after the other, so each is
    seen equally often; a batch may run over the end of a pass.

    Args:
        count: how many images there are.
        recipe: how many updates, and how many images in each.
        seed: names the order.

    Raises:
        ValueError: the recipe has no updates, or no images in them.
    """
    if recipe.steps < 1 or recipe.batch_size < 1:
        raise ValueError(
            f"Received {recipe.steps} steps of {recipe.batch_size} images; "
            "expected at least one of each."
        )
    rng = np.random.default_rng(seed)
    passes = -(-recipe.steps * recipe.batch_size // count)
    stream = np.concatenate([rng.permutation(count) for _ in range(passes)])
    return stream[: recipe.steps * recipe.batch_size].reshape(recipe.steps, -1)


def compile_run(
    model: "keras.Model", train: data.Split, scored: data.Split
) -> Callable[[Start, np.ndarray], float]:
    """Compile one whole training, from its start to its accuracy, as one graph.

    Args:
        model: the model to train; its weights are overwritten in every run.
        train: the images that batches index.
        scored: the images whose accuracy is measured after the last update.

    Returns:
        A function of a `Start` and of batches, (steps, batch_size) indices
        into `train`, that returns the accuracy in [0, 1].
    """
    import keras
    import tensorflow as tf

    layers = [layer for layer in model.layers if layer.trainable_weights]
    initial = [(v, v.numpy()) for v in model.variables]
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y = tf.constant(train.x), tf.constant(train.y)

    @functools.cache
    def trace(trained: tuple[bool, ...]) -> Callable:
        """Trace the loop for the layers that move; frozen ones cost no gradient."""
        variables = [
            variable
            for layer, moves in zip(layers, trained, strict=True)
            for variable in (layer.trainable_weights if moves else [])
        ]
        # At rate 1 an update of Adam is a direction; each layer scales its own.
        optimizer = keras.optimizers.Adam(learning_rate=1.0)
        optimizer.build(variables)
        initial.extend((v, v.numpy()) for v in optimizer.variables)

        @tf.function(jit_compile=_xla_pays(model))
        def train_and_score(batches, rates):
            for batch in batches:
                with tf.GradientTape() as tape:
                    logits = model(tf.gather(x, batch), training=True)
                    loss = loss_of(tf.gather(y, batch), logits)
                before = [tf.identity(v) for v in variables]
                optimizer.apply(tape.gradient(loss, variables), variables)
                for i, variable in enumerate(variables):
                    variable.assign(before[i] + rates[i] * (variable - before[i]))
            return tf.argmax(model(scored.x, training=False), axis=1)

        return train_and_score

    def run(start: Start, batches: np.ndarray) -> float:
        train_and_score = trace(tuple(rate > 0 for rate in start.learning_rates))
        for variable, value in initial:
            variable.assign(value)
        if len(start.frozen):
            never_trained = zip(model.non_trainable_weights, start.frozen, strict=True)
            for variable, value in never_trained:
                variable.assign(value)
        rates = []
        for layer, values, rate in zip(
            layers, start.weights, start.learning_rates, strict=True
        ):
            for variable, value in zip(layer.trainable_weights, values, strict=True):
                variable.assign(value)
                if rate > 0:
                    rates.append(rate)
        predicted = train_and_score(
            tf.constant(batches, tf.int32), tf.constant(rates, tf.float32)
        )
        return float(np.mean(predicted.numpy() == scored.y))

    return run


def _show_progress(done: int, total: int, unit: str) -> None:
    """Rewrite one line on the reader's screen; wipe it when all is done."""
    if "PYTEST_CURRENT_TEST" in os.environ or "BOOK_QUIET" in os.environ:
        return
    line = f"{unit} {done} of {total}" if done < total else ""
    sys.stdout.write(f"\r{line:30}" if line else f"\r{'':30}\r")
    sys.stdout.flush()
