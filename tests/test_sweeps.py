"""Runs are plain Keras trainings; a strategy moves what it says; choices are honest."""

import gc
import itertools
import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterator

import keras
import numpy as np
import pytest
from stripes import (
    DOMAIN,
    TRAIN,
    VALIDATION,
    CountedDense,
    accuracy,
    assert_equal_weights,
    compiled,
    convolutional,
    copied,
    dense,
    numpy_adam,
    screen,
)

from helpers import data, sweeps, training
from helpers.training import Weights

RATE = 0.02
RECIPE = sweeps.Recipe(steps=20, batch_size=5)


@pytest.fixture
def source() -> keras.Model:
    training.set_seed(11)
    return dense()


@pytest.fixture(scope="module")
def learner() -> keras.Model:
    """One model whose graphs several tests share."""
    training.set_seed(3)
    return dense()


@pytest.fixture(scope="module")
def run(learner: keras.Model) -> Callable[[sweeps.Start, np.ndarray], None]:
    return sweeps.compile_run(learner, TRAIN)


@pytest.fixture
def no_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs that are compiled faster, for networks that one test alone trains."""
    monkeypatch.setattr(training, "xla_pays", lambda layers: False)


without_xla = pytest.mark.usefixtures("no_xla")


def start_of(model: keras.Model, *rates: float) -> sweeps.Start:
    return sweeps.Start(training.layer_weights(model), list(rates))


# --- Strategies -----------------------------------------------------------------------


# Where each layer below the head, and the head, start; and whether they move.
EXPECTED = {
    "from scratch": ("fresh", "fresh", True),
    "random features": ("fresh", "fresh", False),
    "frozen features": ("source", "fresh", False),
    "fine-tuning": ("source", "source", True),
}
MAKERS = {
    "from scratch": sweeps.scratch,
    "random features": sweeps.random_features,
    "frozen features": sweeps.frozen_features,
    "fine-tuning": sweeps.fine_tuning,
}
by_name = pytest.mark.parametrize("name", EXPECTED)


def layers(count: int, value: float) -> Weights:
    return [[np.full((2, 2), value + i), np.full(2, value)] for i in range(count)]


def flat(weights: Weights) -> list[bytes]:
    return [array.tobytes() for layer in weights for array in layer]


@pytest.mark.parametrize("count", [1, 2, 5])
@by_name
def test_a_strategy_starts_and_moves_as_its_name_says(name: str, count: int) -> None:
    weights = {"source": layers(count, 100.0), "fresh": layers(count, 0.5)}
    below, head, moves = EXPECTED[name]
    start = MAKERS[name](RATE)(weights["source"], weights["fresh"])
    expected = weights[below][:-1] + weights[head][-1:]
    assert flat(start.weights) == flat(expected)
    assert start.learning_rates == [RATE if moves else 0] * (count - 1) + [RATE]


@pytest.mark.parametrize("head", [1, 2, 3])
def test_a_head_may_have_several_layers(head: int) -> None:
    """All of them are fresh, and only they move, unless everything does."""
    source, fresh = layers(4, 100.0), layers(4, 0.5)
    mixed = flat(source[: 4 - head] + fresh[4 - head :])
    frozen = [0] * (4 - head) + [RATE] * head
    for maker, weights, rates in (
        (sweeps.frozen_features, mixed, frozen),
        (sweeps.random_features, flat(fresh), frozen),
        (sweeps.fine_tuning, mixed, [RATE] * 4),
    ):
        start = maker(RATE, head)(source, fresh)
        assert flat(start.weights) == weights
        assert start.learning_rates == rates


@by_name
def test_strategies_are_found_by_name_at_the_published_rates(name: str) -> None:
    weights = layers(3, 100.0), layers(3, 0.5)
    (found,) = sweeps.strategies(name).values()
    expected = MAKERS[name](sweeps.RATES[name])(*weights)
    assert flat(found(*weights).weights) == flat(expected.weights)
    assert found(*weights).learning_rates == expected.learning_rates


def test_strategies_come_in_the_order_asked_for() -> None:
    for names in (tuple(EXPECTED), tuple(EXPECTED)[::-1], ("fine-tuning",), ()):
        assert tuple(sweeps.strategies(*names)) == names
    assert all(0 < rate < 0.1 for rate in sweeps.RATES.values())


def test_one_table_holds_each_strategy_and_its_rate() -> None:
    """So a page can build every strategy at every rate of a grid."""
    assert set(sweeps.STRATEGIES) == set(sweeps.RATES) == set(EXPECTED)
    for name, tuned in sweeps.STRATEGIES.items():
        assert tuned.make is MAKERS[name] and tuned.rate == sweeps.RATES[name]


@pytest.mark.parametrize("name", ["fine tuning", "Fine-tuning", "", "source unchanged"])
def test_an_unknown_strategy_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(ValueError) as refused:
        sweeps.strategies("from scratch", name)
    for essence in (repr(name), *map(repr, EXPECTED), "score it directly"):
        assert essence in str(refused.value)


# --- Batches --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 10, 32, 45, 1000])
def test_batches_see_every_image_equally_often(count: int) -> None:
    recipe = sweeps.Recipe(steps=30, batch_size=9)
    batches = sweeps.draw_batches(count, recipe, seed=2)
    assert batches.shape == (30, 9)
    stream = batches.ravel()
    for start in range(0, len(stream) - count + 1, count):  # pass after pass
        assert sorted(stream[start : start + count]) == list(range(count))
    seen = Counter(stream.tolist())
    counts = [seen[image] for image in range(count)]
    assert sum(counts) == 270 and max(counts) - min(counts) <= 1


def test_batches_are_shuffled_anew_in_every_pass_and_for_every_seed() -> None:
    recipe = sweeps.Recipe(steps=4, batch_size=50)
    draws = [sweeps.draw_batches(50, recipe, seed) for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    orders = {tuple(order) for order in [*draws[0], *draws[2]]}
    assert len(orders) == 8 and tuple(range(50)) not in orders


@pytest.mark.parametrize("recipe", [sweeps.Recipe(steps=0), sweeps.Recipe(9, 0)])
def test_batches_without_images_are_refused(recipe: sweeps.Recipe) -> None:
    received = f"{recipe.steps} steps of {recipe.batch_size} images"
    with pytest.raises(ValueError, match=f"{received}; expected at least one"):
        sweeps.draw_batches(10, recipe, seed=0)


# --- One run ------------------------------------------------------------------------


def train_plainly(
    model: keras.Model, batches: np.ndarray, rate: float, trained: list[bool]
) -> keras.Model:
    """Keras' own `fit` on the same images in the same order."""
    layers = [layer for layer in model.layers if layer.trainable_weights]
    for layer, moves in zip(layers, trained, strict=True):
        layer.trainable = moves
    order = batches.ravel()
    compiled(model, rate).fit(
        TRAIN.x[order],
        TRAIN.y[order],
        batch_size=batches.shape[1],
        shuffle=False,
        verbose=0,
    )
    for layer in layers:
        layer.trainable = True
    return model


def twin_of(model: keras.Model) -> keras.Model:
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    return twin


@pytest.mark.parametrize(
    ("build", "trained"),
    [
        (dense, [True, True]),
        (convolutional, [True, True]),
        (convolutional, [False, True]),
    ],
)
def test_a_run_is_plain_keras_training(
    build: Callable[[], keras.Model], trained: list[bool]
) -> None:
    """From the start's weights, not the model's; frozen layers stay bit for bit."""
    training.set_seed(3)
    model, rate = build(), 0.01
    start = start_of(model, *(rate * moves for moves in trained))
    batches = sweeps.draw_batches(36, RECIPE, seed=3)
    expected = train_plainly(twin_of(model), batches, rate, trained)
    model.set_weights([w + 1 for w in model.get_weights()])
    sweeps.compile_run(model, TRAIN)(start, batches)
    found, wanted = map(training.layer_weights, (model, expected))
    assert_equal_weights(found, wanted, atol=2e-5)
    assert np.abs(found[-1][0] - start.weights[-1][0]).max() > 1e-3
    for layer, before, moves in zip(found, start.weights, trained, strict=True):
        for array, old in zip(layer, before, strict=True):
            assert np.array_equal(array, old) is not moves


@without_xla
def test_layers_need_not_stand_in_a_row() -> None:
    """A functional model with a way around its second layer, the first one frozen."""
    training.set_seed(4)
    images = keras.Input((6, 6))
    first = keras.layers.Dense(7, activation="relu")(keras.layers.Flatten()(images))
    second = keras.layers.Dense(7, activation="relu")(first)
    logits = keras.layers.Dense(3)(keras.layers.add([first, second]))
    model = keras.Model(images, logits)
    (run,) = runs_of(
        model,
        strategies={"s": lambda known, _: sweeps.Start(known, [0.0, 0.01, 0.01])},
        budgets=[5],
        run_seeds=[7],
    )
    chosen = data.label_budget(TRAIN, 5, 7)
    batches = chosen[sweeps.draw_batches(len(chosen), RECIPE, 7)]
    expected = train_plainly(twin_of(model), batches, 0.01, [False, True, True])
    found, wanted = map(training.layer_weights, (run.model, expected))
    assert_equal_weights(found, wanted, atol=2e-5)
    assert np.array_equal(found[0][0], training.layer_weights(model)[0][0])


@pytest.mark.parametrize("rates", [[0.01, 0.001], [0.0003, 0.02], [0.01, 0]], ids=str)
def test_each_layers_rate_acts_as_an_adam_of_its_own(
    rates: list[float], learner: keras.Model, run: Callable
) -> None:
    start = sweeps.Start(training.fresh_weights(learner, 4), rates)
    batches = sweeps.draw_batches(36, RECIPE, seed=4)
    run(start, batches)
    expected = numpy_adam(start.weights, rates, batches)
    assert_equal_weights(training.layer_weights(learner), expected, atol=2e-5)


def test_a_schedule_has_a_row_of_rates_for_each_update(
    learner: keras.Model, run: Callable
) -> None:
    """While a layer waits, the averages of its Adam go on."""
    batches = sweeps.draw_batches(36, RECIPE, seed=4)
    schedule = np.full((len(batches), 2), 0.01)
    schedule[: len(batches) // 2, 0] = 0
    schedule[len(batches) // 2 :, 1] = 0.002
    start = sweeps.Start(training.fresh_weights(learner, 4), schedule)
    run(start, batches)
    expected = numpy_adam(start.weights, schedule, batches)
    assert_equal_weights(training.layer_weights(learner), expected, atol=2e-5)
    assert np.abs(expected[0][0] - start.weights[0][0]).max() > 1e-3


@without_xla
def test_the_updates_are_traced_once_for_each_choice_of_layers() -> None:
    model = dense(CountedDense(7))
    run = sweeps.compile_run(model, TRAIN)
    counts = []
    for seed, trained in enumerate([(1, 1, 1), (0, 0, 1)] * 3):
        rates = np.multiply(trained, 0.01 + seed).tolist()
        start = sweeps.Start(training.fresh_weights(model, seed), rates)
        batches = sweeps.draw_batches(9 + seed, RECIPE, seed)
        CountedDense.calls.clear()
        run(start, batches)
        counts.append(len(CountedDense.calls))
    assert min(counts[:2]) > 0 and counts[2:] == [0] * 4


@without_xla
def test_a_run_leaves_nothing_behind_for_the_next() -> None:
    """Weights, moments and batch statistics start afresh; arrays are not changed."""
    training.set_seed(8)
    model = dense(keras.layers.BatchNormalization())
    first, second = start_of(model, 0.01, 0.01, 0.01), start_of(model, 0.0, 0.0, 0.3)
    before = copied(first.weights)
    batches = sweeps.draw_batches(36, RECIPE, seed=5)
    run = sweeps.compile_run(model, TRAIN)
    results = []
    for start in (first, second, first, first):
        run(start, batches)
        results.append([w.tobytes() for w in model.get_weights()])
        assert np.abs(model.layers[2].moving_mean).max() > 0  # they did move
    assert results[0] == results[2] == results[3] != results[1]
    assert_equal_weights(first.weights, before)


def low_rank(seed: int) -> keras.Model:
    """A dense network whose first layer is frozen below a change of rank 2."""
    training.set_seed(seed)
    model = dense(keras.layers.Dense(7))
    model.layers[1].enable_lora(2)
    return model


@without_xla
@pytest.mark.parametrize("below", [0.01, 0.0], ids=["moving", "frozen"])
def test_a_start_may_bring_what_keras_never_trains(below: float) -> None:
    """One compiled run, given another network's kernel, trains that network.

    Also if no layer around that kernel moves, so that its features are kept.
    """
    first, second = low_rank(1), low_rank(2)
    start = start_of(second, below, below, 0.01)
    frozen = [weight.numpy() for weight in second.non_trainable_weights]
    assert len(frozen) == 1  # the kernel
    batches = sweeps.draw_batches(36, RECIPE, seed=5)
    own = sweeps.compile_run(second, TRAIN)
    own(start, batches)
    run = sweeps.compile_run(first, TRAIN)
    run(start, batches)
    without = first.get_weights()
    assert np.abs(frozen[0] - first.non_trainable_weights[0]).max() > 0.1
    run(start._replace(frozen=frozen), batches)
    for array, expected in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(array, expected, atol=2e-5)
    run(start, batches)  # and the next run has its own kernel again
    assert all(map(np.array_equal, first.get_weights(), without))


# --- Frozen features are computed once ------------------------------------------------


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Units of every dense layer that Python passes through, and rows it gets."""
    seen: list[tuple[int, int]] = []
    call = keras.layers.Dense.call

    def spy(layer: keras.layers.Dense, inputs: object) -> object:
        seen.append((layer.units, inputs.shape[0]))
        return call(layer, inputs)

    monkeypatch.setattr(keras.layers.Dense, "call", spy)
    return seen


@without_xla
def test_frozen_layers_see_each_image_once(passes: list[tuple[int, int]]) -> None:
    """And the graph has none of them: only the head sees batches of five."""
    training.set_seed(1)
    model = dense()
    passes.clear()
    run = sweeps.compile_run(model, TRAIN)
    for seed in (1, 2):
        run(start_of(model, 0.0, 0.1), sweeps.draw_batches(9, RECIPE, seed))
    hidden = [rows for units, rows in passes if units == 7]
    assert hidden == [9, 9]
    assert {rows for units, rows in passes if units == 3} == {5}


def stacked(*layers: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6, 6)), keras.layers.Flatten(), *layers])


NOT_KEPT = {
    "dropout below": lambda: stacked(
        keras.layers.Dropout(0.5), keras.layers.Dense(7), keras.layers.Dense(3)
    ),
    "a layer of one's own": lambda: stacked(CountedDense(7), keras.layers.Dense(3)),
}


@without_xla
@pytest.mark.parametrize("build", NOT_KEPT.values(), ids=NOT_KEPT)
def test_what_may_change_from_update_to_update_is_computed_in_each(
    build: Callable[[], keras.Model], passes: list[tuple[int, int]]
) -> None:
    training.set_seed(1)
    model = build()
    passes.clear()
    run = sweeps.compile_run(model, TRAIN)
    run(start_of(model, 0.0, 0.1), sweeps.draw_batches(9, RECIPE, 1))
    assert passes and {rows for _, rows in passes} == {5}


@without_xla
def test_dropout_above_frozen_features_is_kerass_own() -> None:
    """The features are kept, and the same units are dropped as without that."""
    training.set_seed(6)
    model = stacked(
        keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(3)
    )
    training.set_seed(6)  # the twin's dropout begins in the same state
    twin = stacked(
        keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(3)
    )
    batches = sweeps.draw_batches(36, RECIPE, seed=2)
    expected = train_plainly(twin, batches, 0.01, [False, True])
    sweeps.compile_run(model, TRAIN)(start_of(model, 0.0, 0.01), batches)
    found, wanted = map(training.layer_weights, (model, expected))
    assert_equal_weights(found, wanted, atol=2e-5)


@without_xla
def test_statistics_of_frozen_batch_normalisation_move_in_every_update() -> None:
    """0.99 of the old mean and 0.01 of the batch's, twenty times."""
    training.set_seed(7)
    model = stacked(
        keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dense(3)
    )
    batches = sweeps.draw_batches(36, RECIPE, seed=2)
    start = start_of(model, 0.0, 0.0, 0.1)
    kernel, bias = start.weights[0]
    mean = np.zeros(4)
    for batch in batches:
        features = TRAIN.x[batch].reshape(5, -1) @ kernel + bias
        mean = 0.99 * mean + 0.01 * features.mean(axis=0)
    sweeps.compile_run(model, TRAIN)(start, batches)
    assert np.allclose(model.layers[2].moving_mean, mean, atol=1e-5)


@without_xla
def test_features_too_large_to_keep_are_computed_in_each_update(
    passes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same result as if they were kept."""
    training.set_seed(1)
    model = dense()
    start, batches = start_of(model, 0.0, 0.1), sweeps.draw_batches(9, RECIPE, 1)
    sweeps.compile_run(model, TRAIN)(start, batches)
    kept = training.layer_weights(model)
    passes.clear()
    monkeypatch.setattr(sweeps, "_CACHED", 36 * 7 - 1)  # 36 images of 7 units
    sweeps.compile_run(model, TRAIN)(start, batches)
    assert {rows for units, rows in passes if units == 7} == {5}
    assert_equal_weights(training.layer_weights(model), kept, atol=2e-5)


def test_where_nothing_moves_the_model_is_the_start(
    learner: keras.Model, run: Callable
) -> None:
    start = sweeps.Start(training.fresh_weights(learner, 9), [0.0, 0.0])
    run(start, sweeps.draw_batches(36, RECIPE, seed=1))
    assert_equal_weights(training.layer_weights(learner), start.weights)


# --- Starts and batches that do not fit -----------------------------------------------


def test_a_start_that_does_not_fit_the_model_is_refused(
    learner: keras.Model, run: Callable
) -> None:
    weights = training.layer_weights(learner)
    batches = sweeps.draw_batches(36, RECIPE, seed=1)
    for start, essence in (
        (sweeps.Start(weights, [0.1]), r"learning rates of shape \(1,\)"),
        (sweeps.Start(weights[:1], [0.1, 0.1]), r"\(36, 7\), \(7,\)\]\] and learning"),
        (sweeps.Start(weights[::-1], [0.1, 0.1]), "expected shapes"),
        (sweeps.Start(weights, np.ones((3, 2))), r"\(3, 2\) for \d+ updates"),
        (sweeps.Start(weights, [0.1, 0.1], [np.ones(2)]), r"frozen .* \[\(2,\)\]"),
    ):
        with pytest.raises(ValueError, match=essence):
            run(start, batches)


@pytest.mark.parametrize(
    ("batches", "essence"),
    [
        (np.array([[0, 36]]), "from 0 to 36; expected 0 to 35"),
        (np.array([[-1, 3]]), "from -1 to 3; expected 0 to 35"),
        (np.arange(5), r"shape \(5,\); expected \(steps, batch_size\)"),
        (np.zeros((0, 5), int), r"shape \(0, 5\)"),
    ],
)
def test_batches_that_name_no_images_are_refused(
    batches: np.ndarray, essence: str, learner: keras.Model, run: Callable
) -> None:
    """A graph would take the nearest image there is without a word."""
    with pytest.raises(ValueError, match=essence):
        run(start_of(learner, 0.1, 0.1), batches)


# --- Runs -----------------------------------------------------------------------------

STRATEGIES = {
    "scratch": sweeps.scratch(0.01),
    "frozen": sweeps.frozen_features(0.02),
    "tuned": sweeps.fine_tuning(0.003),
}
BUDGETS, SEEDS = [1, 5], [7, 1007]


def runs_of(source: keras.Model, **changes: object) -> Iterator[sweeps.Run]:
    asked = {
        "strategies": STRATEGIES,
        "train": TRAIN,
        "budgets": BUDGETS,
        "run_seeds": SEEDS,
        "recipe": RECIPE,
    } | changes
    return sweeps.runs(source, *asked.values())


Results = dict[tuple[str, int, int], list[bytes]]


def weights_by_run(runs: Iterator[sweeps.Run]) -> Results:
    return {
        (run.name, run.per_class, run.seed): [
            weight.tobytes() for weight in run.model.get_weights()
        ]
        for run in runs
    }


@pytest.fixture(scope="module")
def reached() -> Results:
    training.set_seed(11)
    return weights_by_run(runs_of(dense()))


def test_runs_are_trainings_by_adams_formulas(source: keras.Model) -> None:
    """Of the same images in the same order, from the weights that Keras draws."""
    plans = {
        "scratch": ("fresh", "fresh", [0.01, 0.01]),
        "frozen": ("source", "fresh", [0, 0.02]),
        "tuned": ("source", "source", [0.003, 0.003]),
    }
    for run in runs_of(source, budgets=[5], run_seeds=[1007]):
        below, head, rates = plans.pop(run.name)
        training.set_seed(run.seed)
        fresh = keras.models.clone_model(source)
        weights = {
            "source": training.layer_weights(source),
            "fresh": training.layer_weights(fresh),
        }
        chosen = data.label_budget(TRAIN, run.per_class, run.seed)
        batches = chosen[sweeps.draw_batches(len(chosen), RECIPE, run.seed)]
        start = weights[below][:1] + weights[head][1:]
        expected = numpy_adam(start, rates, batches)
        assert_equal_weights(training.layer_weights(run.model), expected, atol=2e-5)
    assert not plans


def test_runs_come_seed_by_seed_and_each_is_another_training(reached: Results) -> None:
    order = [(name, n, seed) for seed in SEEDS for n in BUDGETS for name in STRATEGIES]
    assert list(reached) == order
    for (key, one), (other, two) in itertools.combinations(reached.items(), 2):
        assert one != two, (key, other)


def test_runs_repeat_themselves_whatever_came_before(
    source: keras.Model, reached: Results
) -> None:
    training.set_seed(99)
    assert weights_by_run(runs_of(source)) == reached


def test_a_run_does_not_depend_on_its_company(
    source: keras.Model, reached: Results
) -> None:
    alone = {"tuned": STRATEGIES["tuned"]}
    (key, found), *more = weights_by_run(
        runs_of(source, strategies=alone, budgets=[5], run_seeds=[1007])
    ).items()
    assert not more and found == reached[key]


def test_two_iterators_of_runs_do_not_disturb_each_other(
    source: keras.Model, reached: Results
) -> None:
    """Each has a model of its own, although they share the graph."""
    found: Results = {}
    backwards = runs_of(source, run_seeds=SEEDS[::-1])
    for first, second in zip(runs_of(source), backwards, strict=True):
        for run in (first, second):
            key = run.name, run.per_class, run.seed
            found[key] = [w.tobytes() for w in run.model.get_weights()]
            assert found[key] == reached[key]
    assert found == reached


@without_xla
def test_runs_of_one_architecture_share_their_graphs() -> None:
    """Other weights, other names, other data, another call: nothing is traced."""
    passes = []
    for images in (TRAIN, data.Split(TRAIN.x * 0.9, TRAIN.y)):
        source = dense(CountedDense(7))
        CountedDense.calls.clear()
        for _ in runs_of(source, train=images, strategies={"s": sweeps.scratch(0.1)}):
            pass
        passes.append(len(CountedDense.calls))
    building = len(CountedDense.calls)  # a model of the second call's own
    assert passes[0] > building == passes[1] <= 1


@without_xla
def test_networks_of_other_architectures_share_nothing() -> None:
    """Another activation is another network, though its shapes are the same."""
    one = {"tuned": sweeps.fine_tuning(0.01)}
    ends = []
    for activation in ("relu", "tanh"):
        training.set_seed(1)
        hidden = keras.layers.Dense(7, activation=activation)
        source = stacked(hidden, keras.layers.Dense(3))
        (run,) = runs_of(source, strategies=one, budgets=[5], run_seeds=[7])
        chosen = data.label_budget(TRAIN, 5, 7)
        batches = chosen[sweeps.draw_batches(len(chosen), RECIPE, 7)]
        alone = twin_of(source)
        sweeps.compile_run(alone, TRAIN)(start_of(source, 0.01, 0.01), batches)
        ends.append(training.layer_weights(run.model))
        assert_equal_weights(ends[-1], training.layer_weights(alone), atol=1e-6)
    assert np.abs(ends[0][0][0] - ends[1][0][0]).max() > 1e-3


def test_only_the_last_architectures_are_kept() -> None:
    made = []
    for units in range(20, 32):
        learner, _ = sweeps._learner(stacked(keras.layers.Dense(units)))
        made.append(weakref.ref(learner))
    del learner
    gc.collect()
    assert sum(kept() is not None for kept in made) <= 8
    assert made[-1]() is not None


@without_xla
def test_dropout_is_drawn_from_the_seeds_too() -> None:
    training.set_seed(12)
    model = dense(keras.layers.Dropout(0.5))
    results = []
    for before in (1, 2):
        training.set_seed(before)
        one = {"scratch": sweeps.scratch(0.05)}
        results.append(weights_by_run(runs_of(model, strategies=one)))
    assert results[0] == results[1]
    other = weights_by_run(runs_of(model, strategies=one, run_seeds=[8, 7]))
    assert other["scratch", 5, 7] != results[0]["scratch", 5, 7]  # another first seed


def test_strategies_share_the_draws_of_their_seed(source: keras.Model) -> None:
    seen: list[tuple[Weights, Weights]] = []

    def spy(known: Weights, fresh: Weights) -> sweeps.Start:
        seen.append((copied(known), copied(fresh)))
        return sweeps.Start(fresh, [0.01, 0.01])

    before = training.layer_weights(source)
    found = weights_by_run(runs_of(source, strategies={"one": spy, "two": spy}))
    assert len(seen) == 8  # 2 seeds x 2 budgets x 2 strategies
    for per_class, seed in itertools.product(BUDGETS, SEEDS):
        assert found["one", per_class, seed] == found["two", per_class, seed]
    for index, (known, fresh) in enumerate(seen):
        assert_equal_weights(known, before)
        assert_equal_weights(fresh, seen[index // 4 * 4][1])  # the first of its seed
    assert not np.array_equal(seen[0][1][0][0], seen[4][1][0][0])
    assert_equal_weights(training.layer_weights(source), before)


@by_name
def test_a_run_moves_only_what_its_strategy_lets_and_never_the_source(
    name: str, source: keras.Model
) -> None:
    """Frozen layers stay bit for bit, moving ones move, the source is left alone."""
    below, top, moves = EXPECTED[name]
    known = training.layer_weights(source)
    weights = {"source": known, "fresh": training.fresh_weights(source, 7)}
    before = {which: flat(arrays) for which, arrays in weights.items()}
    made = {name: MAKERS[name](RATE)}
    for run in runs_of(source, strategies=made, budgets=[5], run_seeds=[7]):
        found = flat(training.layer_weights(run.model))
    assert (found[:2] == before[below][:2]) is not moves
    assert found[2] != before[top][2] and found[3] != before[top][3]
    assert flat(training.layer_weights(source)) == before["source"]


def test_runs_that_cannot_be_are_refused_at_once(source: keras.Model) -> None:
    """Before the first is asked for."""
    for changes in ({"strategies": {}}, {"budgets": []}, {"run_seeds": []}):
        counts = {"strategies": 3, "budgets": 2, "seeds": 2}
        counts |= {key.removeprefix("run_"): 0 for key in changes}
        received = "{strategies} strategies, {budgets} budgets and {seeds} seeds"
        match = f"{received.format(**counts)}; expected at least one"
        with pytest.raises(ValueError, match=match):
            runs_of(source, **changes)
    with pytest.raises(data.DataError, match="13 per class"):
        runs_of(source, budgets=[1, 13])


def test_a_reader_sees_the_seeds_pass_and_nothing_is_left(
    source: keras.Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.delenv("BOOK_QUIET", raising=False)
    for _ in runs_of(source, strategies=UNCHANGED, budgets=[1], run_seeds=[0, 1, 2]):
        pass
    shown = screen(capsys.readouterr().out)
    assert [line for line in shown if line] == ["seed 1 of 3", "seed 2 of 3"]
    assert shown[-1] == ""


# --- Sweeps ---------------------------------------------------------------------------

UNCHANGED = {"unchanged": lambda known, fresh: sweeps.Start(known, [0.0, 0.0])}


def test_a_sweep_scores_the_runs(source: keras.Model) -> None:
    found = sweeps.sweep(source, STRATEGIES, DOMAIN, BUDGETS, SEEDS, RECIPE)
    assert list(found) == list(STRATEGIES)
    for run in runs_of(source):
        row, column = BUDGETS.index(run.per_class), SEEDS.index(run.seed)
        assert found[run.name].shape == (2, 2)
        assert found[run.name][row, column] == accuracy(run.model, VALIDATION)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_sweep_opens_only_the_part_it_was_told_to(
    part: str, source: keras.Model
) -> None:
    """The unchanged model scores what it does directly; the other part is missing."""
    other = {"validation": "test", "test": "validation"}[part]
    domain = DOMAIN._replace(**{other: None})
    recipe = RECIPE._replace(part=part)
    found = sweeps.sweep(source, UNCHANGED, domain, [2], [0, 1], recipe)
    expected = accuracy(source, getattr(DOMAIN, part))
    assert found["unchanged"].tolist() == [[expected, expected]]


def test_a_sweep_refuses_an_unknown_part_and_nothing_to_do(source: keras.Model) -> None:
    recipe = sweeps.Recipe(part="train")
    with pytest.raises(ValueError, match=r"'train'.*validation, test"):
        sweeps.sweep(source, STRATEGIES, DOMAIN, [1], [0], recipe)
    with pytest.raises(ValueError, match="0 strategies"):
        sweeps.sweep(source, {}, DOMAIN, [1], [0])


# --- Choices --------------------------------------------------------------------------


def scores_of(*means: float, seeds: int = 10) -> dict[float, list[float]]:
    """Scores on the grid 1, 2, 3 ... with these means, spread evenly around them."""
    around = np.linspace(-0.1, 0.1, seeds)
    return {i: (mean + around).tolist() for i, mean in enumerate(means, start=1)}


def test_the_best_mean_is_chosen_and_its_lead_is_told() -> None:
    rng = np.random.default_rng(0)
    table = rng.random((5, 12))
    table[2] += 0.3
    grid = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    choice = sweeps.choose(dict(zip(grid, table, strict=True)), "learning rate")
    means = table.mean(axis=1)
    assert (choice.value, choice.what, choice.seeds) == (1e-2, "learning rate", 12)
    assert list(choice.means) == grid
    assert np.allclose(list(choice.means.values()), means)
    assert choice.over_lower == pytest.approx(means[2] - means[1])
    assert choice.over_higher == pytest.approx(means[2] - means[3])
    line = str(choice)
    for essence in (
        "learning rate 0.01",
        "0.0001, 0.001",
        f"{means[2]:.4f}",
        "12 seeds",
    ):
        assert essence in line
    assert "\n" not in line


def test_higher_is_better_below_zero_too() -> None:
    """A loss is handed over with a minus."""
    assert sweeps.choose(scores_of(-3, -1, -2), "strength").value == 2


def test_of_equal_means_the_lowest_value_is_chosen() -> None:
    """Equal is equal in whatever order the seeds come."""
    scores = scores_of(1, 2, 2, 1)
    scores[2] = [0.1, 0.7, 0.3] * 4
    scores[3] = scores[2][::-1]
    scores[1] = scores[4] = [0.0] * 12
    assert math.fsum(scores[2]) == math.fsum(scores[3])
    choice = sweeps.choose(scores, "stage")
    assert choice.value == 2 and choice.over_higher == 0


@pytest.mark.parametrize(
    ("means", "advice"),
    [
        ((3, 2, 1), "below 1"),
        ((1, 2, 3), "above 3"),
        ((2, 2, 1), "below 1"),  # an end is as good as the middle
        ((1, 2, 2), "above 3"),
        ((1, 1, 1), "below 1"),
    ],
)
def test_a_best_value_at_an_end_of_the_grid_is_refused(
    means: tuple[float, ...], advice: str
) -> None:
    with pytest.raises(
        sweeps.ChoiceError, match=f"Extend the grid {advice}"
    ) as refused:
        sweeps.choose(scores_of(*means), "learning rate")
    for essence in ("best learning rate", f"1: {means[0]:.4f}", f"3: {means[2]:.4f}"):
        assert essence in str(refused.value)
    assert isinstance(refused.value, ValueError)


def test_a_small_rate_is_named_as_it_is_written() -> None:
    scores = dict(zip([1e-4, 1e-3, 1e-2], scores_of(3, 2, 1).values(), strict=True))
    with pytest.raises(sweeps.ChoiceError, match=r"Extend the grid below 0\.0001"):
        sweeps.choose(scores, "learning rate")


NO_SCORES = {
    "two values": (scores_of(1, 2), "at least 3 different numbers"),
    "none": ({}, r"the grid \[\]"),
    "falling": (dict(reversed(scores_of(1, 2, 1).items())), r"\[3, 2, 1\].*rising"),
    "names": ({"a": [1] * 10, "b": [2] * 10, "c": [1] * 10}, "different numbers"),
    "nine seeds": (scores_of(1, 2, 1, seeds=9), r"\(9,\).*at least 10 seeds"),
    "a seed is missing": (
        scores_of(1, 2, 1) | {2: [2.0] * 11},
        r"\(10,\), \(11,\).*the same seeds",
    ),
    "two budgets": (
        {key: [row, row] for key, row in scores_of(1, 2, 1).items()},
        r"\(2, 10\).*take one budget",
    ),
    "single numbers": ({1: 0.1, 2: 0.3, 3: 0.2}, r"\(\), \(\), \(\)"),
    "not a number": (
        scores_of(1, 2, 1) | {2: [math.nan] + [2.0] * 9},
        "not finite .* learning rate 2",
    ),
    "infinite": (scores_of(1, 2, 1) | {1: [-math.inf] * 10}, "not finite .* rate 1"),
    "words": (scores_of(1, 2, 1) | {3: ["good"] * 10}, "no numbers"),
    "nothing": (scores_of(1, 2, 1) | {3: None}, "no numbers|shapes"),
}


@pytest.mark.parametrize(("scores", "essence"), NO_SCORES.values(), ids=NO_SCORES)
def test_a_choice_without_enough_to_rest_on_is_refused(
    scores: dict, essence: str
) -> None:
    with pytest.raises(sweeps.ChoiceError, match=essence) as refused:
        sweeps.choose(scores, "learning rate")
    assert "Received" in str(refused.value) and "expected" in str(refused.value)
