"""Training does what plain Keras and Adam's formulas do, and repeats exactly."""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import keras
import numpy as np
import pytest

from helpers import data, training, transfer

CLASSES, SIZE = 3, 6  # images of 6 x 6
RECIPE = training.Recipe(steps=20, batch_size=5)
Weights = list[list[np.ndarray]]


def make_split(count: int, seed: int) -> data.Split:
    """Noisy images of three classes: a bright stripe at one of three places."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % CLASSES
    x = rng.random((count, SIZE, SIZE), np.float32)
    x[np.arange(count), 2 * y] += 0.35
    return data.Split(x, y)


TRAIN, VALIDATION, TEST = (make_split(n, seed) for seed, n in enumerate([36, 60, 90]))
DOMAIN = data.ImageData("stripes", TRAIN, VALIDATION, TEST, ("0", "1", "2"), "full")


def dense(*extra: keras.Layer) -> keras.Model:
    hidden = keras.layers.Dense(7, activation="relu")
    layers = [keras.layers.Flatten(), hidden, *extra, keras.layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input((SIZE, SIZE)), *layers])


def convolutional() -> keras.Model:
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


BUILDERS = [dense, convolutional]


@pytest.fixture
def source() -> keras.Model:
    training.set_seed(11)
    return dense()


def compiled(model: keras.Model, rate: float = 0.01) -> keras.Model:
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def accuracy(model: keras.Model, split: data.Split) -> float:
    return np.mean(np.argmax(model(split.x), axis=1) == split.y)


def assert_equal_weights(found: Weights, expected: Weights, atol: float = 0) -> None:
    for one, other in zip(found, expected, strict=True):
        for array, wanted in zip(one, other, strict=True):
            assert array.shape == wanted.shape
            assert np.allclose(array, wanted, rtol=0, atol=atol)


def copied(weights: Weights) -> Weights:
    return [[array.copy() for array in layer] for layer in weights]


def start_of(model: keras.Model, *rates: float) -> training.Start:
    return training.Start(training.layer_weights(model), list(rates))


# --- Seeds ------------------------------------------------------------------------


def test_book_seed_is_zero_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOOK_SEED", raising=False)
    assert training.book_seed() == 0
    monkeypatch.setenv("BOOK_SEED", "9999")
    assert training.book_seed() == 9999


@pytest.mark.parametrize("value", ["", "-1", "1.5", "one", "10000", "²", "1 2"])
def test_a_bad_book_seed_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOK_SEED", value)
    for function in (training.book_seed, lambda: training.seeds(1), training.set_seed):
        with pytest.raises(ValueError, match="0 to 9999") as refused:
            function()
        assert f"BOOK_SEED is {value!r}" in str(refused.value)


def test_every_book_seed_moves_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for value in ("0", "1", "2", "9999"):
        monkeypatch.setenv("BOOK_SEED", value)
        drawn += training.seeds(1000)
    assert len(set(drawn)) == 4000
    assert min(drawn) > 0  # the seed of the checkpoints
    assert max(drawn) < 2**32  # what NumPy and Keras accept


def test_more_seeds_begin_with_the_fewer() -> None:
    assert training.seeds(20)[:10] == training.seeds(10)


@pytest.mark.parametrize("count", [0, -3, 1001])
def test_an_impossible_number_of_seeds_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} seeds .* 1 to 1000"):
        training.seeds(count)


def random_numbers() -> list[float]:
    weights = dense().get_weights()[0].ravel().tolist()
    return [random.random(), np.random.random(), *weights]


def test_a_seed_names_the_initial_weights_and_all_other_random_numbers() -> None:
    draws = []
    for seed in (5, 5, 6):
        training.set_seed(seed)
        draws.append(random_numbers())
    assert draws[0] == draws[1]
    assert not set(draws[0]) & set(draws[2])


def test_without_a_seed_the_first_of_the_book_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BOOK_SEED", "3")
    training.set_seed()
    found = random_numbers()
    training.set_seed(training.seeds(1)[0])
    assert found == random_numbers()


# --- Quiet fitting ------------------------------------------------------------------


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("validation", [VALIDATION, None], ids=["with", "without"])
def test_fit_does_what_kerass_own_fit_does_with_the_same_batches(
    validation: data.Split | None, build: Callable[[], keras.Model]
) -> None:
    training.set_seed(1)
    ours = training.compiled(build(), 0.01)
    history = training.fit(ours, TRAIN, validation, epochs=3, batch_size=7)
    training.set_seed(1)
    theirs = compiled(build())
    orders = [np.random.permutation(36)[:35] for _ in range(3)]  # 36 = 5 * 7 + 1
    checked = validation and tuple(validation)
    for epoch, order in enumerate(orders):
        fitted = theirs.fit(
            TRAIN.x[order],
            TRAIN.y[order],
            validation_data=checked,
            batch_size=7,
            shuffle=False,
            verbose=0,
        ).history
        assert fitted.keys() == history.keys()
        for key, values in fitted.items():
            assert history[key][epoch] == pytest.approx(values[0], abs=1e-5), key
    assert_equal_weights(
        training.layer_weights(ours), training.layer_weights(theirs), atol=1e-5
    )


def test_fit_leaves_frozen_layers_alone_and_takes_small_data_as_one_batch(
    source: keras.Model,
) -> None:
    whole = np.tile(np.arange(36), (3, 1))  # although 128 images were offered
    expected = numpy_adam(training.layer_weights(source), [0, 0.01], whole)
    source.layers[1].trainable = False
    training.fit(training.compiled(source, 0.01), TRAIN, epochs=3)
    source.layers[1].trainable = True
    assert_equal_weights(training.layer_weights(source), expected, atol=2e-5)


def test_a_compiled_model_is_trained_by_adam_on_cross_entropy(
    source: keras.Model,
) -> None:
    batches = training.draw_batches(36, RECIPE, seed=6)
    expected = numpy_adam(training.layer_weights(source), [0.005] * 2, batches)
    model = training.compiled(source, 0.005)
    for batch in batches:
        model.train_on_batch(TRAIN.x[batch], TRAIN.y[batch])
    assert_equal_weights(training.layer_weights(model), expected, atol=2e-5)
    logits = np.asarray(model(TEST.x), dtype=float)
    chosen = logits[np.arange(len(TEST.y)), TEST.y]
    loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen)
    measured = model.evaluate(*TEST, verbose=0)
    assert measured == pytest.approx([loss, accuracy(model, TEST)], abs=1e-5)


def screen(text: str) -> list[str]:
    """What a terminal shows after each rewriting of its one line."""
    shown, line = [], ""
    for part in text.split("\r"):
        line = part + line[len(part) :]
        shown.append(line.strip())
    return shown


def test_a_reader_sees_the_epochs_pass_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.delenv("BOOK_QUIET", raising=False)
    training.fit(compiled(dense()), TRAIN, epochs=11)
    written = capsys.readouterr().out
    shown = screen(written)
    assert [line for line in shown if line] == [
        f"epoch {i} of 11" for i in range(1, 11)
    ]
    assert shown[-1] == "" and written.endswith("\r") and "\n" not in written


@pytest.mark.parametrize("variable", ["BOOK_QUIET", "PYTEST_CURRENT_TEST"])
def test_a_quiet_run_writes_nothing(
    variable: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("BOOK_QUIET", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "1")
    training.fit(compiled(dense()), TRAIN, VALIDATION, epochs=2)
    assert capfd.readouterr().out == ""


# --- Layers and batches -------------------------------------------------------------


def test_layer_weights_are_those_that_training_changes_in_order() -> None:
    model = dense(keras.layers.BatchNormalization(), keras.layers.Dropout(0.1))
    found = training.layer_weights(model)
    _, hidden, norm, _, head = model.layers
    expected = [
        [hidden.kernel, hidden.bias],
        [norm.gamma, norm.beta],
        [head.kernel, head.bias],
    ]
    assert_equal_weights(found, [[v.numpy() for v in layer] for layer in expected])


def test_fresh_weights_are_named_by_their_seed_and_leave_the_model_alone() -> None:
    model = dense()
    before = training.layer_weights(model)
    first, again, other = (training.fresh_weights(model, seed) for seed in (5, 5, 6))
    assert_equal_weights(first, again)
    assert_equal_weights(training.layer_weights(model), before)
    assert [w.shape for layer in first for w in layer] == [
        w.shape for layer in before for w in layer
    ]
    kernels = [weights[0][0] for weights in (first, other, before)]
    assert not any(np.allclose(a, b) for a, b in itertools.combinations(kernels, 2))
    training.set_seed(5)
    assert_equal_weights(first, training.layer_weights(keras.models.clone_model(model)))


def test_xla_compiles_dense_networks_only() -> None:
    """Its convolutions and its random numbers for dropout are slow on CPUs."""
    assert training._xla_pays(dense())
    assert not training._xla_pays(dense(keras.layers.Dropout(0.5)))
    assert not training._xla_pays(convolutional())


def test_layer_weights_are_copies() -> None:
    model = compiled(dense())
    found = training.layer_weights(model)
    before = copied(found)
    training.fit(model, TRAIN, epochs=1)
    assert_equal_weights(found, before)
    found[0][0][:] = 99
    assert np.abs(model.get_weights()[0]).max() < 99


@pytest.mark.parametrize("count", [1, 3, 10, 32, 45, 1000])
def test_batches_see_every_image_equally_often(count: int) -> None:
    recipe = training.Recipe(steps=30, batch_size=9)
    batches = training.draw_batches(count, recipe, seed=2)
    assert batches.shape == (30, 9)
    stream = batches.ravel()
    for start in range(0, len(stream) - count + 1, count):  # pass after pass
        assert sorted(stream[start : start + count]) == list(range(count))
    seen = Counter(stream.tolist())
    counts = [seen[image] for image in range(count)]
    assert sum(counts) == 270 and max(counts) - min(counts) <= 1


def test_batches_are_shuffled_anew_in_every_pass_and_for_every_seed() -> None:
    recipe = training.Recipe(steps=4, batch_size=50)
    draws = [training.draw_batches(50, recipe, seed) for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    orders = {tuple(order) for order in [*draws[0], *draws[2]]}
    assert len(orders) == 8 and tuple(range(50)) not in orders


@pytest.mark.parametrize("recipe", [training.Recipe(steps=0), training.Recipe(9, 0)])
def test_batches_without_images_are_refused(recipe: training.Recipe) -> None:
    received = f"{recipe.steps} steps of {recipe.batch_size} images"
    with pytest.raises(ValueError, match=f"{received}; expected at least one"):
        training.draw_batches(10, recipe, seed=0)


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


@pytest.mark.parametrize("trained", [[True, True], [False, True]], ids=str)
@pytest.mark.parametrize("build", BUILDERS)
def test_a_run_is_plain_keras_training(
    build: Callable[[], keras.Model], trained: list[bool]
) -> None:
    training.set_seed(3)
    model, rate = build(), 0.01
    start = start_of(model, *(rate * moves for moves in trained))
    batches = training.draw_batches(36, RECIPE, seed=3)
    expected = train_plainly(keras.models.clone_model(model), batches, rate, [True] * 2)
    assert_differs(expected, start)  # from other weights, so another result
    expected = keras.models.clone_model(model)
    expected.set_weights(model.get_weights())
    train_plainly(expected, batches, rate, trained)
    run = training.compile_run(model, TRAIN, VALIDATION)
    scored = run(start, batches)
    found, wanted = map(training.layer_weights, (model, expected))
    assert_equal_weights(found, wanted, atol=2e-5)
    assert abs(scored - accuracy(expected, VALIDATION)) < 1.5 / len(VALIDATION.y)
    assert scored == accuracy(model, VALIDATION)
    for layer, before, moves in zip(found, start.weights, trained, strict=True):
        for array, old in zip(layer, before, strict=True):
            assert np.array_equal(array, old) is not moves  # frozen: bit for bit


def assert_differs(model: keras.Model, start: training.Start) -> None:
    found = training.layer_weights(model)
    assert np.abs(found[0][0] - start.weights[0][0]).max() > 1e-3


def numpy_adam(weights: Weights, rates: list[float], batches: np.ndarray) -> Weights:
    """Adam by its formulas on a dense network with one hidden layer, in float64.

    One optimiser of its own for each layer; Kingma and Ba (2015), algorithm 1
    in the form of its section 2, with Keras' epsilon.
    """
    theta = [array.astype(float) for layer in weights for array in layer]
    rate = np.repeat(rates, 2)
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
            alpha = rate[i] * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            theta[i] = theta[i] - alpha * m[i] / (np.sqrt(v[i]) + 1e-7)
    return [theta[:2], theta[2:]]


@pytest.mark.parametrize("rates", [[0.01, 0.001], [0.0003, 0.02], [0.01, 0]], ids=str)
def test_each_layers_rate_acts_as_an_adam_of_its_own(
    rates: list[float], source: keras.Model
) -> None:
    start = start_of(source, *rates)
    batches = training.draw_batches(36, RECIPE, seed=4)
    expected = numpy_adam(start.weights, rates, batches)
    training.compile_run(source, TRAIN, VALIDATION)(start, batches)
    assert_equal_weights(training.layer_weights(source), expected, atol=2e-5)


class CountedDense(keras.layers.Dense):
    """Counts how often Python passes through it: once for each tracing."""

    calls: ClassVar[list[int]] = []

    def call(self, inputs: object) -> object:
        self.calls.append(1)
        return super().call(inputs)


def test_the_loop_is_traced_once_for_each_choice_of_layers() -> None:
    model = dense(CountedDense(7))
    run = training.compile_run(model, TRAIN, VALIDATION)
    counts = []
    for seed, trained in enumerate([(1, 1, 1), (0, 0, 1)] * 3):
        start = start_of(
            dense(keras.layers.Dense(7)), *np.multiply(trained, 0.01 + seed)
        )
        batches = training.draw_batches(9 + seed, RECIPE, seed)
        CountedDense.calls.clear()
        run(start, batches)
        counts.append(len(CountedDense.calls))
    assert min(counts[:2]) > 0 and counts[2:] == [0] * 4


def test_a_run_leaves_nothing_behind_for_the_next() -> None:
    """Weights, moments and batch statistics start afresh; arrays are not changed."""
    training.set_seed(8)
    model = dense(keras.layers.BatchNormalization())
    first, second = start_of(model, 0.01, 0.01, 0.01), start_of(model, 0.0, 0.0, 0.3)
    before = copied(first.weights)
    batches = training.draw_batches(36, RECIPE, seed=5)
    run = training.compile_run(model, TRAIN, VALIDATION)
    results = []
    for start in (first, second, first, first):
        scored = run(start, batches)
        results.append((scored, *map(np.ndarray.tobytes, model.get_weights())))
        assert np.abs(model.layers[2].moving_mean).max() > 0  # they did move
    assert results[0] == results[2] == results[3] != results[1]
    assert_equal_weights(first.weights, before)


def low_rank(seed: int) -> keras.Sequential:
    """A dense network whose first layer is frozen below a change of rank 2."""
    training.set_seed(seed)
    model = dense(keras.layers.Dense(7))
    model.layers[1].enable_lora(2)
    return model


def test_a_start_may_bring_what_keras_never_trains() -> None:
    """One compiled run, given another network's kernel, trains that network."""
    first, second = low_rank(1), low_rank(2)
    start = start_of(second, *[0.01] * len(training.layer_weights(second)))
    frozen = [weight.numpy() for weight in second.non_trainable_weights]
    assert len(frozen) == 1  # the kernel
    batches = training.draw_batches(36, RECIPE, seed=5)
    own = training.compile_run(second, TRAIN, VALIDATION)(start, batches)
    run = training.compile_run(first, TRAIN, VALIDATION)
    without = run(start, batches)
    assert np.abs(frozen[0] - first.non_trainable_weights[0]).max() > 0.1
    assert run(start._replace(frozen=frozen), batches) == own
    found, wanted = first.get_weights(), second.get_weights()
    for array, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(array, expected, atol=2e-5)
    assert run(start, batches) == without  # and the next run has its own again


# --- Sweeps -------------------------------------------------------------------------

STRATEGIES = {
    "scratch": transfer.scratch(0.01),
    "frozen": transfer.frozen_features(0.02),
    "tuned": transfer.fine_tuning(0.003),
}


def sweep(
    source: keras.Model, strategies: dict[str, training.Strategy] = STRATEGIES
) -> dict[str, np.ndarray]:
    return training.sweep(source, strategies, DOMAIN, [1, 5], [7, 1007], RECIPE)


@pytest.fixture(scope="module")
def swept() -> dict[str, np.ndarray]:
    training.set_seed(11)
    return sweep(dense())


def test_a_sweep_is_the_same_runs_in_plain_keras(
    source: keras.Model, swept: dict[str, np.ndarray]
) -> None:
    """Same budget, same fresh weights, same batches, one `model.fit` each."""
    recipes = {
        "scratch": (0.01, "fresh", "fresh", [True, True]),
        "frozen": (0.02, "source", "fresh", [False, True]),
        "tuned": (0.003, "source", "source", [True, True]),
    }
    seed, per_class = 1007, 5
    for name, (rate, below, head, trained) in recipes.items():
        training.set_seed(seed)
        fresh = keras.models.clone_model(source)
        models = {"source": source.get_weights(), "fresh": fresh.get_weights()}
        fresh.set_weights(models[below][:2] + models[head][2:])
        chosen = data.label_budget(TRAIN, per_class, seed)
        batches = chosen[training.draw_batches(len(chosen), RECIPE, seed)]
        train_plainly(fresh, batches, rate, trained)
        found = swept[name][1, 1]
        assert abs(found - accuracy(fresh, VALIDATION)) < 1.5 / len(VALIDATION.y)


def test_a_sweep_repeats_itself_and_other_seeds_differ(
    source: keras.Model, swept: dict[str, np.ndarray]
) -> None:
    training.set_seed(99)  # what came before does not matter
    again = sweep(source)
    assert {name: values.shape for name, values in again.items()} == dict.fromkeys(
        STRATEGIES, (2, 2)
    )
    for name, values in again.items():
        assert np.array_equal(values, swept[name])
    table = np.stack(list(swept.values()))
    assert not np.array_equal(table[..., 0], table[..., 1])


def test_a_run_does_not_depend_on_its_company(
    source: keras.Model, swept: dict[str, np.ndarray]
) -> None:
    alone = {"tuned": STRATEGIES["tuned"]}
    found = training.sweep(source, alone, DOMAIN, [5], [1007], RECIPE)
    assert found["tuned"].tolist() == [[swept["tuned"][1, 1]]]


def test_dropout_is_drawn_from_the_seeds_too() -> None:
    training.set_seed(12)
    model = dense(keras.layers.Dropout(0.5))
    results = []
    for before in (1, 2):
        training.set_seed(before)
        results.append(sweep(model, {"scratch": transfer.scratch(0.05)})["scratch"])
    assert np.array_equal(*results)


def test_strategies_share_the_draws_of_their_seed(source: keras.Model) -> None:
    seen: list[tuple[Weights, Weights]] = []

    def spy(known: Weights, fresh: Weights) -> training.Start:
        seen.append((copied(known), copied(fresh)))
        return training.Start(fresh, [0.01, 0.01])

    before = training.layer_weights(source)
    found = sweep(source, {"one": spy, "two": spy})
    assert np.array_equal(found["one"], found["two"])
    assert len(seen) == 8  # 2 seeds x 2 budgets x 2 strategies
    for run, (known, fresh) in enumerate(seen):
        assert_equal_weights(known, before)
        assert_equal_weights(fresh, seen[run // 4 * 4][1])  # the first of its seed
    assert not np.array_equal(seen[0][1][0][0], seen[4][1][0][0])
    assert_equal_weights(training.layer_weights(source), before)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_sweep_opens_only_the_part_it_was_told_to(
    part: str, source: keras.Model
) -> None:
    """The unchanged model scores what it does directly; the other part is missing."""
    other = {"validation": "test", "test": "validation"}[part]
    domain = DOMAIN._replace(**{other: None})
    recipe = RECIPE._replace(part=part)
    unchanged = {"unchanged": lambda known, fresh: training.Start(known, [0.0, 0.0])}
    found = training.sweep(source, unchanged, domain, [2], [0, 1], recipe)
    expected = accuracy(source, getattr(DOMAIN, part))
    assert found["unchanged"].tolist() == [[expected, expected]]


def test_a_sweep_shows_its_seeds_and_leaves_nothing(
    source: keras.Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.delenv("BOOK_QUIET", raising=False)
    unchanged = {"unchanged": lambda known, fresh: training.Start(known, [0.0, 0.0])}
    training.sweep(source, unchanged, DOMAIN, [1], [0, 1, 2], RECIPE)
    shown = screen(capsys.readouterr().out)
    assert [line for line in shown if line] == ["seed 1 of 3", "seed 2 of 3"]
    assert shown[-1] == ""


@pytest.mark.parametrize(
    ("strategies", "budgets", "seeds"),
    [({}, [1], [0]), (STRATEGIES, [], [0]), (STRATEGIES, [1], [])],
)
def test_an_empty_sweep_is_refused(
    strategies: dict[str, training.Strategy],
    budgets: list[int],
    seeds: list[int],
    source: keras.Model,
) -> None:
    received = (
        f"{len(strategies)} strategies, {len(budgets)} budgets and {len(seeds)} seeds"
    )
    with pytest.raises(ValueError, match=f"{received}; expected at least one"):
        training.sweep(source, strategies, DOMAIN, budgets, seeds)


def test_a_sweep_refuses_an_unknown_part_and_an_impossible_budget(
    source: keras.Model,
) -> None:
    with pytest.raises(ValueError, match=r"'train'.*validation, test"):
        recipe = training.Recipe(part="train")
        training.sweep(source, STRATEGIES, DOMAIN, [1], [0], recipe)
    with pytest.raises(data.DataError, match="13 per class"):
        training.sweep(source, STRATEGIES, DOMAIN, [13], [0], RECIPE)
