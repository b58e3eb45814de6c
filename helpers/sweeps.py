"""Many short trainings of one network: strategies, runs, sweeps, and choices.

A strategy is a function of the source model's weights and of fresh random weights,
both layer by layer with the input first (`training.layer_weights`). It says where a
training starts and how fast each layer moves. A run is one such training. A sweep
trains every strategy with every label budget and every seed.
"""

import functools
import itertools
import json
import math
import numbers
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from helpers import data, measures, training
from helpers.training import Weights

if TYPE_CHECKING:
    import keras

PARTS = ("validation", "test")  # what a sweep may be scored on
MIN_SEEDS, MIN_VALUES = 10, 3  # what a choice rests on, at least

_CACHED = 2**25  # numbers of frozen features that are kept for a run, at most
# Without state, and at the same input always with the same output.
_PLAIN_LAYERS = (
    *("Activation", "AveragePooling2D", "Conv2D", "Dense", "Flatten"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "LeakyReLU"),
    *("MaxPooling2D", "ReLU", "Reshape", "Softmax"),
)


class Start(NamedTuple):
    """Where one training starts, and what it may change.

    The first two have one entry for each layer that has weights, input first.
    """

    weights: Weights  # the arrays of the layer, as Keras orders them
    # Adam's; 0.0 freezes the layer. A schedule has a row for each update:
    # (updates, layers). Adam's averages go on where a rate is 0 for a while.
    learning_rates: Sequence[float] | np.ndarray
    # What Keras never trains, as `model.non_trainable_weights` orders it: the
    # kernel below a low-rank change, the statistics of batch normalisation.
    # Empty: as they were when the run was compiled.
    frozen: Sequence[np.ndarray] = ()


# Of the weights of the source model and of fresh random weights of the same shapes.
Strategy = Callable[[Weights, Weights], Start]


class Recipe(NamedTuple):
    """What the runs of one sweep have in common."""

    steps: int = 300  # updates by Adam in each run
    batch_size: int = 32  # images per update
    part: str = "validation"  # scored by `sweep`: "validation", or once: "test"


class Run(NamedTuple):
    """One training that has ended."""

    name: str  # of the strategy
    per_class: int  # labelled images of each class
    seed: int
    model: "keras.Model"  # with the trained weights, until the next run ends


# --- Strategies ---------------------------------------------------------------------


def scratch(rate: float) -> Strategy:
    """Fresh weights everywhere, all trained at `rate`: the control without transfer."""
    return lambda source, fresh: Start(fresh, [rate] * len(fresh))


def random_features(rate: float, head: int = 1) -> Strategy:
    """Return the control for frozen features: fresh weights, only the head trained.

    Args:
        rate: the head's.
        head: how many of the layers with weights it has.

    Returns:
        The strategy.
    """
    return lambda source, fresh: Start(fresh, _head_only(rate, fresh, head))


def frozen_features(rate: float, head: int = 1) -> Strategy:
    """Return source weights below a fresh head, and only the head trained.

    Args:
        rate: the head's.
        head: how many of the layers with weights it has.

    Returns:
        The strategy.
    """
    return lambda source, fresh: Start(
        _fresh_head(source, fresh, head), _head_only(rate, fresh, head)
    )


def fine_tuning(rate: float, head: int = 0) -> Strategy:
    """Return source weights, head included, all trained at `rate`.

    Args:
        rate: that of every layer.
        head: how many of the layers with weights start fresh, from the end.

    Returns:
        The strategy.
    """
    return lambda source, fresh: Start(
        _fresh_head(source, fresh, head), [rate] * len(source)
    )


def _fresh_head(source: Weights, fresh: Weights, head: int) -> Weights:
    below = len(source) - head
    return source[:below] + fresh[below:]


def _head_only(rate: float, weights: Weights, head: int) -> list[float]:
    return [0.0] * (len(weights) - head) + [rate] * head


class Tuned(NamedTuple):
    """A kind of strategy, and the learning rate that suits it."""

    make: Callable[[float], Strategy]  # of a learning rate
    rate: float  # chosen on validation data in the chapter code/transfer


STRATEGIES = {
    "from scratch": Tuned(scratch, 1e-3),
    "random features": Tuned(random_features, 3e-2),
    "frozen features": Tuned(frozen_features, 1e-2),
    "fine-tuning": Tuned(fine_tuning, 3e-4),
}
RATES = {name: tuned.rate for name, tuned in STRATEGIES.items()}


def strategies(*names: str) -> dict[str, Strategy]:
    """Return the named strategies at their chosen rates, for `sweep`.

    At another rate, a strategy is `STRATEGIES[name].make(rate)`.

    Raises:
        ValueError: a name is unknown.

    Example:
        >>> list(strategies("from scratch", "fine-tuning"))
        ['from scratch', 'fine-tuning']
    """
    for name in names:
        if name not in STRATEGIES:
            raise ValueError(
                f"Unknown strategy {name!r}; expected one of "
                f"{', '.join(map(repr, STRATEGIES))}. The source model unchanged "
                "needs no training: score it directly."
            )
    return {name: STRATEGIES[name].make(RATES[name]) for name in names}


# --- Runs ---------------------------------------------------------------------------


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
    model: "keras.Model", train: data.Split
) -> Callable[[Start, np.ndarray], None]:
    """Return a function that trains a model from any start, inside one graph.

    The loss is cross-entropy from logits, the optimiser Adam, with a learning rate
    for each layer. The graph is made by the first run, and again for another choice
    of layers that move or another number of updates. What frozen layers below the
    first one that moves make of the images is computed once for a run.

    Args:
        model: the model to train; its weights are overwritten in every run.
        train: the images that batches index.

    Returns:
        `run(start, batches)`, which takes a `Start` and batches, (steps, batch_size)
        positions in `train`. Afterwards `model` holds the trained weights.

    Raises:
        ValueError: by the result, if the start does not fit the model or a batch
            names an image that is not there.
    """
    return _bind(model, train, _updates_of(model))


def runs(
    source: "keras.Model",
    strategies: Mapping[str, Strategy],
    train: data.Split,
    budgets: Sequence[int],
    run_seeds: Sequence[int],
    recipe: Recipe = Recipe(),  # noqa: B008 (immutable)
) -> Iterator[Run]:
    """Train every strategy with every label budget and every seed, one by one.

    A seed draws the labelled images, the fresh weights and the order of the
    images. All strategies share these draws, so they can be compared in pairs.

    Args:
        source: the source model; models of the same architecture are trained.
            Its last layer must return logits.
        strategies: name and function of each strategy, e.g. from `strategies`.
        train: label budgets are drawn from these images.
        budgets: labelled images per class.
        run_seeds: one run each, e.g. `training.seeds(10)`.
        recipe: what all runs have in common; its part is not looked at.

    Returns:
        An iterator of runs: seed after seed, in each budget after budget, in each
        strategy after strategy. The model is the same for all; it holds the weights
        of a run until the next one is asked for.

    Raises:
        ValueError: there is nothing to run.
        data.DataError: a budget is larger than the training part allows.

    Example:
        >>> for run in runs(source, strategies, digits.train, [5], [1, 2]):
        ...     print(run.name, run.seed, len(training.layer_weights(run.model)))
        fine-tuning 1 1
        fine-tuning 2 1
    """
    if not (strategies and len(budgets) and len(run_seeds)):
        raise ValueError(
            f"Received {len(strategies)} strategies, {len(budgets)} budgets and "
            f"{len(run_seeds)} seeds; expected at least one of each."
        )
    for per_class in budgets:  # an impossible one is refused before anything is trained
        data.label_budget(train, per_class, run_seeds[0])
    return _runs(source, strategies, train, budgets, run_seeds, recipe)


def _runs(
    source: "keras.Model",
    strategies: Mapping[str, Strategy],
    train: data.Split,
    budgets: Sequence[int],
    run_seeds: Sequence[int],
    recipe: Recipe,
) -> Iterator[Run]:
    # Dropout draws its seed when a model is built.
    model = training.untrained(source, run_seeds[0])
    learner, compile_updates = _learner(source)
    _copy_variables(model, learner)
    run = _bind(learner, train, compile_updates)
    known = training.layer_weights(source)
    for done, seed in enumerate(run_seeds, start=1):
        fresh = training.fresh_weights(source, seed)
        for per_class in budgets:
            chosen = data.label_budget(train, per_class, seed)
            batches = chosen[draw_batches(len(chosen), recipe, seed)]
            for name, strategy in strategies.items():
                run(strategy(known, fresh), batches)
                _copy_variables(learner, model)
                yield Run(name, per_class, seed, model)
        training.show_progress(done, len(run_seeds), "seed")


def sweep(
    source: "keras.Model",
    strategies: Mapping[str, Strategy],
    domain: data.ImageData,
    budgets: Sequence[int],
    run_seeds: Sequence[int],
    recipe: Recipe = Recipe(),  # noqa: B008 (immutable)
) -> dict[str, np.ndarray]:
    """Score every strategy with every label budget and every seed, see `runs`.

    Args:
        source: the source model; a model of the same architecture is trained.
        strategies: name and function of each strategy, e.g. from `strategies`.
        domain: label budgets are drawn from its training part only.
        budgets: labelled images per class.
        run_seeds: one run each, e.g. `training.seeds(10)`.
        recipe: what all runs have in common.

    Returns:
        For each strategy its accuracies, shape (budgets, seeds), in [0, 1],
        on the part that `recipe.part` names.

    Raises:
        ValueError: there is nothing to run, or the part is unknown.
        data.DataError: a budget is larger than the training part allows.

    Example:
        >>> accuracies = sweep(source, strategies, digits, [1, 10], [1, 2, 3])
        >>> accuracies["fine-tuning"].shape
        (2, 3)
    """
    if recipe.part not in PARTS:
        raise ValueError(
            f"Unknown part {recipe.part!r}; expected one of {', '.join(PARTS)}."
        )
    scored = getattr(domain, recipe.part)
    scores: dict[str, list[float]] = {name: [] for name in strategies}
    for run in runs(source, strategies, domain.train, budgets, run_seeds, recipe):
        scores[run.name].append(measures.accuracy(run.model, scored))
    shape = len(run_seeds), len(budgets)
    return {name: np.reshape(values, shape).T for name, values in scores.items()}


# --- The graph of a run -------------------------------------------------------------

# Of how many layers lie below, which layers move, and the shapes of inputs and batches.
_Updates = Callable[[int, tuple[bool, ...], tuple], Callable]


def _bind(
    model: "keras.Model", train: data.Split, compile_updates: _Updates
) -> Callable[[Start, np.ndarray], None]:
    """Return what `compile_run` returns."""
    import tensorflow as tf

    state = [(variable, variable.numpy()) for variable in _state(model)]
    images = functools.cache(lambda: tf.constant(train.x))  # made when it is needed

    def run(start: Start, batches: np.ndarray) -> None:
        _check_batches(train, batches)
        _check_start(model, start, len(batches))
        _begin(model, state, start)
        rates = np.asarray(start.learning_rates, np.float32)
        rates = np.broadcast_to(rates, (len(batches), rates.shape[-1]))
        moves = tuple(bool(column.any()) for column in (rates > 0).T)
        rows = min(batches.size, len(train.y))
        cut = _cut(model, moves, rows)
        if cut == len(model.layers):
            return  # nothing moves
        x, y = train
        if cut:
            x, y, batches = _frozen_features(model, cut, train, batches, rows)
        loop = compile_updates(cut, moves, (x.shape, batches.shape))
        counts = [
            len(layer.trainable_weights) if flag else 0
            for layer, flag in zip(_trained(model), moves, strict=True)
        ]
        table = np.repeat(rates, counts, axis=1)  # (updates, arrays that move)
        loop([x if cut else images(), y], [batches.astype(np.int32)], table)

    return run


def _trained(model: "keras.Model") -> "list[keras.Layer]":
    """Return the layers that a start speaks of."""
    return [layer for layer in model.layers if layer.trainable_weights]


def _state(model: "keras.Model") -> "list[keras.Variable]":
    """Return what gradients do not change: statistics, states of random numbers."""
    trained = {id(variable) for variable in model.trainable_weights}
    return [variable for variable in model.variables if id(variable) not in trained]


def _check_start(model: "keras.Model", start: Start, updates: int) -> None:
    expected = [[v.shape for v in layer.trainable_weights] for layer in _trained(model)]
    received = [[np.shape(array) for array in layer] for layer in start.weights]
    shape = np.shape(start.learning_rates)
    if received != expected or shape[-1:] != (len(expected),):
        raise ValueError(
            f"Received weights of shapes {received} and learning rates of shape "
            f"{shape}; expected shapes {expected}, and a rate for each layer. "
            "A start needs an entry for every layer that has weights, frozen or not."
        )
    if shape[:-1] not in ((), (updates,)):
        raise ValueError(
            f"Received learning rates of shape {shape} for {updates} updates; "
            "expected a rate for each layer, or a row of them for each update."
        )
    given = [np.shape(array) for array in start.frozen]
    never = [variable.shape for variable in model.non_trainable_weights]
    if given and given != never:
        raise ValueError(
            f"Received frozen arrays of shapes {given}; expected {never}, as "
            "`model.non_trainable_weights` orders them, or none."
        )


def _check_batches(train: data.Split, batches: np.ndarray) -> None:
    """Refuse positions outside: the graph would take another image without a word."""
    if batches.ndim != 2 or not batches.size:
        raise ValueError(
            f"Received batches of shape {batches.shape}; expected (steps, batch_size), "
            "at least one of each: see `draw_batches`."
        )
    if batches.min() < 0 or batches.max() >= len(train.y):
        raise ValueError(
            f"Received positions from {batches.min()} to {batches.max()}; expected 0 "
            f"to {len(train.y) - 1}, which are the training images."
        )


def _begin(
    model: "keras.Model",
    state: "Sequence[tuple[keras.Variable, np.ndarray]]",
    start: Start,
) -> None:
    """Give the model the weights of a start, and nothing of earlier runs."""
    for variable, value in state:
        variable.assign(value)
    if len(start.frozen):
        pairs = zip(model.non_trainable_weights, start.frozen, strict=True)
        for variable, value in pairs:
            variable.assign(value)
    for layer, values in zip(_trained(model), start.weights, strict=True):
        for variable, value in zip(layer.trainable_weights, values, strict=True):
            variable.assign(value)


def _cut(model: "keras.Model", moves: tuple[bool, ...], rows: int) -> int:
    """Return how many layers at the bottom make the same features in every update.

    It is 0 if their features of so many images would take too much memory.
    """
    import keras

    if not isinstance(model, keras.Sequential):
        return 0
    flags = zip(_trained(model), moves, strict=True)
    moving = [id(layer) for layer, flag in flags if flag]
    plain = [getattr(keras.layers, name) for name in _PLAIN_LAYERS]
    cut = 0
    for layer in model.layers:
        if type(layer) not in plain or id(layer) in moving:
            break
        cut += 1
    if not cut or cut == len(model.layers):
        return cut
    size = math.prod(model.layers[cut - 1].output.shape[1:])
    return cut if rows * size <= _CACHED else 0


def _frozen_features(
    model: "keras.Model", cut: int, train: data.Split, batches: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features and labels of the images in the batches, and where each stands.

    Rows that no batch names fill up the features, so that one graph serves all label
    budgets.
    """
    used, places = np.unique(batches, return_inverse=True)

    def below(x: Any, training: bool) -> Any:
        for layer in model.layers[:cut]:
            x = layer(x)
        return x

    features = measures.logits(below, train.x[used])
    x = np.zeros((rows, *features.shape[1:]), features.dtype)
    y = np.zeros(rows, train.y.dtype)
    x[: len(used)], y[: len(used)] = features, train.y[used]
    return x, y, places.reshape(batches.shape)


def _updates_of(model: "keras.Model") -> _Updates:
    """Return what compiles the updates of a model; it keeps the last graphs."""
    import keras
    import tensorflow as tf

    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @functools.lru_cache(maxsize=8)
    def compile_updates(cut: int, moves: tuple[bool, ...], shapes: tuple) -> Callable:
        above = model.layers[cut:]

        def loss_of(x: Any, y: Any, batch: Any) -> Any:
            h = tf.gather(x, batch)
            for layer in above if cut else [model]:
                h = layer(h, training=True)
            return cross_entropy(tf.gather(y, batch), h)

        variables = [
            variable
            for layer, flag in zip(_trained(model), moves, strict=True)
            for variable in (layer.trainable_weights if flag else [])
        ]
        # At rate 1 an update of Adam is a direction; each layer scales its own.
        optimizer = keras.optimizers.Adam(learning_rate=1.0)
        xla = training.xla_pays(above)
        return training.compile_loop(loss_of, variables, optimizer, xla)

    return compile_updates


_learners: "dict[Hashable, tuple[keras.Model, _Updates]]" = {}


def _learner(source: "keras.Model") -> "tuple[keras.Model, _Updates]":
    """Return the one model that all sweeps of an architecture train, and its graphs.

    A graph belongs to a model: so sweeps share it. The last eight models are kept.
    """
    key = _architecture(source)
    if key not in _learners:
        learner = training.untrained(source, seed=0)
        _learners[key] = learner, _updates_of(learner)
        if len(_learners) > 8:
            del _learners[next(iter(_learners))]
    return _learners[key]


def _architecture(model: "keras.Model") -> Hashable:
    """Return what two models share if they were built alike, whatever their names."""
    import keras

    config = model.get_config()
    if isinstance(model, keras.Sequential):  # in a row, so names link nothing
        config = [layer.get_config() | {"name": ""} for layer in model.layers]
    kinds = tuple(type(layer) for layer in model.layers)
    text = json.dumps(keras.saving.serialize_keras_object(config), sort_keys=True)
    return kinds, str(model.input_shape), text


def _copy_variables(first: "keras.Model", second: "keras.Model") -> None:
    for mine, theirs in zip(first.variables, second.variables, strict=True):
        theirs.assign(mine)


# --- Choices ------------------------------------------------------------------------


class ChoiceError(ValueError):
    """Validation scores that no choice should rest on."""


class Choice(NamedTuple):
    """A value chosen on validation data, and how clearly."""

    what: str  # what was chosen, e.g. "learning rate"
    value: float
    means: dict[float, float]  # the mean score of every value of the grid
    seeds: int
    over_lower: float  # the chosen value's mean score minus its lower neighbour's
    over_higher: float  # and minus its higher neighbour's

    def __str__(self) -> str:
        """Return the choice in one line."""
        grid = ", ".join(f"{value:g}" for value in self.means)
        return (
            f"{self.what} {self.value:g}, of {grid}: mean score "
            f"{self.means[self.value]:.4f}, better than its neighbours by "
            f"{self.over_lower:.4f} and {self.over_higher:.4f}, {self.seeds} seeds"
        )


def choose(scores: Mapping[float, Sequence[float]], what: str) -> Choice:
    """Choose the value with the best mean score on validation data.

    Every choice of a rate, a strength or a stage is made here. A best value at an
    end of the grid is refused, because a better one may lie beyond. Of equal means
    the lowest value is chosen, unless an end is among them.

    Args:
        scores: for each value, in rising order, its validation scores, (seeds,):
            the same seeds for all, and higher is better. At least three values and
            ten seeds.
        what: what is chosen, for messages: "learning rate".

    Returns:
        The chosen value, the mean score of every value, and by how much the chosen
        one is better than its neighbours. `print` shows it in one line.

    Raises:
        ChoiceError: the grid or the scores are not as described, or the best value
            lies at an end.

    Example:
        >>> scores = {0.001: [0.7] * 10, 0.01: [0.9] * 10, 0.1: [0.4] * 10}
        >>> print(choose(scores, "learning rate"))
        learning rate 0.01, of 0.001, 0.01, 0.1: mean score 0.9000, better than its \
neighbours by 0.2000 and 0.5000, 10 seeds
    """
    table = _check_scores(scores, what)
    # Exact sums: scores in another order are equal scores.
    means = {value: math.fsum(row) / len(row) for value, row in table.items()}
    values = list(means)
    best = max(means.values())
    chosen = [value for value in values if means[value] == best]
    for end, beyond in ((values[0], "below"), (values[-1], "above")):
        if end in chosen:
            shown = ", ".join(f"{value:g}: {means[value]:.4f}" for value in values)
            raise ChoiceError(
                f"The best {what} lies at an end of the grid: received the mean scores "
                f"{shown}; expected the best one between two others. Extend the grid "
                f"{beyond} {end:g}."
            )
    index = values.index(chosen[0])
    lower, higher = (best - means[values[i]] for i in (index - 1, index + 1))
    return Choice(what, chosen[0], means, len(table[chosen[0]]), lower, higher)


def _check_scores(
    scores: Mapping[float, Sequence[float]], what: str
) -> dict[float, np.ndarray]:
    """Return the scores as arrays, if they are what `choose` asks for."""
    values = list(scores)
    numbers_only = all(isinstance(value, numbers.Real) for value in values)
    rising = numbers_only and all(a < b for a, b in itertools.pairwise(values))
    if len(values) < MIN_VALUES or not rising:
        raise ChoiceError(
            f"Received the grid {values} for the {what}; expected at least "
            f"{MIN_VALUES} different numbers in rising order. Add values, or sort them."
        )
    try:
        table = {value: np.asarray(row, float) for value, row in scores.items()}
    except (TypeError, ValueError) as error:
        raise ChoiceError(
            f"Received scores for the {what} that are no numbers ({error}); expected "
            "one number for each seed."
        ) from error
    shapes = [row.shape for row in table.values()]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1 or shapes[0][0] < MIN_SEEDS:
        raise ChoiceError(
            f"Received scores of shapes {shapes} for the {what}; expected one score "
            f"for each of at least {MIN_SEEDS} seeds, the same seeds for every value. "
            "Run more seeds; of a sweep take one budget, `scores[name][0]`."
        )
    for value, row in table.items():
        if not np.isfinite(row).all():
            raise ChoiceError(
                f"Received scores that are not finite for the {what} {value:g}: "
                f"{row.tolist()}; expected numbers. Leave the value out, or score "
                "what diverged as the worst there is."
            )
    return table
