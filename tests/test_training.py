"""Training does what plain Keras and Adam's formulas do, and repeats exactly."""

import gc
import itertools
import random
import weakref
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from stripes import (
    TEST,
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

from helpers import data, models, sweeps, training

BUILDERS = [dense, convolutional]


@pytest.fixture
def source() -> keras.Model:
    training.set_seed(11)
    return dense()


@pytest.fixture(scope="module")
def fitted() -> keras.Model:
    """One model for tests of what a further call of `fit` does around the training."""
    model = training.compile_model(dense())
    training.fit(model, TRAIN, epochs=1)
    return model


@pytest.fixture
def no_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs that are compiled faster, where it does not matter how."""
    monkeypatch.setattr(training, "xla_pays", lambda layers: False)


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
def test_fit_does_what_kerass_own_fit_does_with_the_same_batches(
    build: Callable[[], keras.Model],
) -> None:
    training.set_seed(1)
    ours = training.compile_model(build(), 0.01)
    history = training.fit(ours, TRAIN, VALIDATION, epochs=3, batch_size=7)
    training.set_seed(1)
    theirs = compiled(build())
    orders = [np.random.permutation(36)[:35] for _ in range(3)]  # 36 = 5 * 7 + 1
    for epoch, order in enumerate(orders):
        fitted = theirs.fit(
            TRAIN.x[order],
            TRAIN.y[order],
            validation_data=tuple(VALIDATION),
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


def test_without_validation_images_nothing_is_said_of_them(fitted: keras.Model) -> None:
    history = training.fit(fitted, TRAIN, epochs=2)
    assert {key: len(values) for key, values in history.items()} == {
        "loss": 2,
        "accuracy": 2,
    }


def test_a_compiled_model_is_trained_by_adam_on_cross_entropy(
    source: keras.Model,
) -> None:
    batches = sweeps.draw_batches(36, sweeps.Recipe(20, 5), seed=6)
    expected = numpy_adam(training.layer_weights(source), [0.005] * 2, batches)
    model = training.compile_model(source, 0.005)
    for batch in batches:
        model.train_on_batch(TRAIN.x[batch], TRAIN.y[batch])
    assert_equal_weights(training.layer_weights(model), expected, atol=2e-5)
    logits = np.asarray(model(TEST.x), dtype=float)
    chosen = logits[np.arange(len(TEST.y)), TEST.y]
    loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen)
    measured = model.evaluate(*TEST, verbose=0)
    assert measured == pytest.approx([loss, accuracy(model, TEST)], abs=1e-5)


def test_a_reader_sees_the_epochs_pass_and_nothing_is_left(
    fitted: keras.Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.delenv("BOOK_QUIET", raising=False)
    training.fit(fitted, TRAIN, epochs=11)
    written = capsys.readouterr().out
    shown = screen(written)
    assert [line for line in shown if line] == [
        f"epoch {i} of 11" for i in range(1, 11)
    ]
    assert shown[-1] == "" and written.endswith("\r") and "\n" not in written


@pytest.mark.parametrize("variable", ["BOOK_QUIET", "PYTEST_CURRENT_TEST"])
def test_a_quiet_run_writes_nothing(
    variable: str,
    fitted: keras.Model,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("BOOK_QUIET", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "1")
    training.fit(fitted, TRAIN, VALIDATION, epochs=2)
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("no_xla")
def test_fit_traces_once_for_a_model() -> None:
    """As a loop that keeps the best epoch calls it, again and again."""
    training.set_seed(5)
    model = training.compile_model(dense(CountedDense(7)))
    passes = []
    for train in (TRAIN, TRAIN, data.Split(TRAIN.x[::-1], TRAIN.y[::-1])):
        CountedDense.calls.clear()
        training.fit(model, train, epochs=1, batch_size=9)
        passes.append(len(CountedDense.calls))
    assert passes[0] > 0 == passes[1] == passes[2]


@pytest.mark.usefixtures("no_xla")
def test_a_model_that_is_compiled_again_is_traced_again(source: keras.Model) -> None:
    """Its frozen layer stays, its new rate acts, and its twin is another model.

    There are fewer images than a batch was offered: all of them are one batch.
    """
    twin = keras.models.clone_model(source)
    for model in (source, twin):
        training.fit(training.compile_model(model, 0.01), TRAIN, epochs=1)
    before = training.layer_weights(source), training.layer_weights(twin)
    whole = np.tile(np.arange(36), (2, 1))
    expected = numpy_adam(before[0], [0, 0.003], whole)
    source.layers[1].trainable = False
    training.fit(training.compile_model(source, 0.003), TRAIN, epochs=2)
    source.layers[1].trainable = True
    assert_equal_weights(training.layer_weights(source), expected, atol=2e-5)
    assert_equal_weights(training.layer_weights(twin), before[1])


def test_fit_keeps_no_data(fitted: keras.Model) -> None:
    train = data.Split(TRAIN.x + 1, TRAIN.y)
    training.fit(fitted, train, epochs=1)
    images = weakref.ref(train.x)
    del train
    gc.collect()
    assert images() is None


# --- Weights --------------------------------------------------------------------------


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


def test_layer_weights_are_copies() -> None:
    model = dense()
    found = training.layer_weights(model)
    before = copied(found)
    for variable in model.trainable_variables:
        variable.assign_add(variable + 1)
    assert_equal_weights(found, before)
    found[0][0][:] = 99
    assert np.abs(model.get_weights()[0]).max() < 99


def low_rank() -> keras.Model:
    model = dense(keras.layers.Dense(7))
    model.layers[1].enable_lora(2)
    return model


def with_everything() -> keras.Model:
    return dense(
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.1),
        keras.layers.Dense(5, kernel_initializer="he_normal", use_bias=False),
        keras.layers.GaussianNoise(0.1),
        CountedDense(4, kernel_initializer=keras.initializers.RandomNormal(seed=3)),
    )


@pytest.mark.parametrize("build", [*BUILDERS, low_rank, with_everything])
def test_fresh_weights_are_those_of_a_new_model_built_after_the_seed(
    build: Callable[[], keras.Model],
) -> None:
    """Drawn layer by layer, or with the whole model: Keras' own numbers."""
    model = build()
    before = training.layer_weights(model)
    for seed in (5, 1006):
        training.set_seed(seed)
        expected = training.layer_weights(keras.models.clone_model(model))
        assert_equal_weights(training.fresh_weights(model, seed), expected)
        new = training.untrained(model, seed)
        assert_equal_weights(training.layer_weights(new), expected)
        assert new.count_params() == model.count_params()
    assert_equal_weights(training.layer_weights(model), before)


def test_another_seed_is_another_network() -> None:
    model = dense()
    kernels = [training.fresh_weights(model, seed)[0][0] for seed in (5, 6)]
    kernels.append(training.layer_weights(model)[0][0])
    assert not any(np.allclose(a, b) for a, b in itertools.combinations(kernels, 2))


@pytest.mark.parametrize("draw", [training.fresh_weights, training.untrained])
def test_drawing_weights_neither_depends_on_nor_moves_other_random_numbers(
    draw: Callable[[keras.Model, int], object],
) -> None:
    """What comes next is what would have come, and what came before is forgotten."""
    model = with_everything()
    training.set_seed(1)
    expected = random_numbers()
    training.set_seed(1)
    draw(model, 7)
    assert random_numbers() == expected
    moved = training.fresh_weights(model, 7)
    training.set_seed(2)
    assert_equal_weights(training.fresh_weights(model, 7), moved)


def test_glorot_draws_as_kerass_initialiser_does() -> None:
    """Uniform up to sqrt(6 / (inputs + outputs)); biases are zero."""
    theta = training.glorot((300, 200, 10), seed=1)
    assert [a.shape for a in theta] == [(300, 200), (200,), (200, 10), (10,)]
    assert {a.dtype for a in theta} == {np.dtype(np.float32)}
    assert not theta[1].any() and not theta[3].any()
    for kernel in theta[::2]:
        bound = np.sqrt(6 / sum(kernel.shape))
        keras_kernel = keras.initializers.GlorotUniform(seed=1)(kernel.shape).numpy()
        assert 0.98 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6)
        assert np.abs(keras_kernel).max() <= bound * (1 + 1e-6)
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
        assert abs(kernel.mean()) < 4 * kernel.std() / np.sqrt(kernel.size)


def test_glorot_is_named_by_its_seed_and_takes_no_global_numbers() -> None:
    training.set_seed(1)
    expected = random_numbers()
    training.set_seed(1)
    first, again, other = (training.glorot((9, 4), seed)[0] for seed in (5, 5, 6))
    assert random_numbers() == expected
    assert np.array_equal(first, again) and not np.isin(first, other).any()


@pytest.mark.parametrize("sizes", [(), (784,), (784, 0, 10)])
def test_a_network_without_layers_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least two of at least 1") as refused:
        training.glorot(sizes, seed=0)
    assert str(list(sizes)) in str(refused.value)


# --- Adam by its formulas -------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, tf.constant], ids=["NumPy", "tensors"])
@pytest.mark.parametrize("rates", [[0.1, 0.1], [0.1, 0.02]], ids=str)
def test_adam_is_kerass(rates: list[float], kind: Callable) -> None:
    """Ten steps on two arrays; equal rates are given as one number."""
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("f4") for shape in ((3, 2), (2,))]
    pushes = [[rng.normal(size=w.shape).astype("f4") for w in start] for _ in range(10)]
    theirs = [keras.Variable(w) for w in start]
    adams = [keras.optimizers.Adam(rate) for rate in rates]
    theta = [kind(w) for w in start]
    m = v = [kind(np.zeros_like(w)) for w in start]
    alpha = rates[0] if rates[0] == rates[1] else rates
    for t, push in enumerate(pushes, start=1):
        for adam, variable, gradient in zip(adams, theirs, push, strict=True):
            adam.apply([tf.constant(gradient)], [variable])
        gradients = [kind(g) for g in push]
        theta, m, v = training.adam(theta, gradients, m, v, t, alpha)
    for ours, variable in zip(theta, theirs, strict=True):
        # In 32 bits 1 - 0.999 is off by a part in 10^5.
        assert np.allclose(ours, variable.numpy(), atol=2e-5)


def test_adams_rate_may_be_an_array_that_fits_all_weights() -> None:
    """Two networks side by side, each with its own rate, as if each were alone."""
    rng = np.random.default_rng(1)
    start, push = rng.normal(size=(2, 2, 4, 3))
    rates = np.array([0.1, 0.003]).reshape(2, 1, 1)
    nothing = [np.zeros_like(start)]
    (both,), _, _ = training.adam([start], [push], nothing, nothing, 1, rates)
    for k in range(2):
        empty = [np.zeros((4, 3))]
        (alone,), _, _ = training.adam(
            [start[k]], [push[k]], empty, empty, 1, rates[k, 0, 0]
        )
        assert np.array_equal(both[k], alone)


# --- A training with a loss of its own ------------------------------------------------


def least_squares(w: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The gradient of the mean of (row . w - 1)^2."""
    return 2 * rows.T @ (rows @ w - 1) / len(rows)


@pytest.mark.parametrize("xla", [True, False])
def test_the_loop_descends_a_loss_of_ones_own(xla: bool) -> None:
    """Gradient descent in NumPy: data given whole, and a row of indices an update."""
    rng = np.random.default_rng(2)
    X, start = rng.normal(size=(20, 4)).astype("f4"), np.ones(4, np.float32)
    w = keras.Variable(start)

    def loss_of(x: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
        rows = tf.gather(x, batch)
        return tf.reduce_mean((tf.linalg.matvec(rows, w) - 1) ** 2)

    train = training.compile_loop(loss_of, [w], keras.optimizers.SGD(0.1), xla)
    for steps in (30, 5):  # another number of updates, and again from the start
        batches = sweeps.draw_batches(20, sweeps.Recipe(steps, 5), seed=steps)
        expected = start.astype(float)
        for batch in batches:
            expected = expected - 0.1 * least_squares(expected, X[batch].astype(float))
        w.assign(start)
        train([X], [batches])
        assert np.allclose(w.numpy(), expected, atol=1e-5)


def test_many_weights_move_as_few_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA merges the optimiser's arithmetic; it computes the same."""
    begin = np.linspace(-1, 1, 30, dtype=np.float32)
    rates = np.full((5, 1), 0.3, np.float32)

    def end(limit: int) -> np.ndarray:
        monkeypatch.setattr(training, "_MANY_WEIGHTS", limit)
        w = keras.Variable(begin)

        def loss_of(pull: tf.Tensor) -> tf.Tensor:
            return pull * tf.reduce_sum(w**2)

        train = training.compile_loop(loss_of, [w], keras.optimizers.Adam(1.0))
        train([], [np.ones(5, np.float32)], rates)
        return w.numpy()

    np.testing.assert_allclose(end(1), end(100), rtol=1e-5)
    assert np.abs(end(1) - begin).max() > 0.1


def test_rates_multiply_each_variables_updates_in_each_step() -> None:
    """Zero freezes; a rate that falls is that of the step."""
    v, w = keras.Variable([1.0, 2.0]), keras.Variable(3.0)

    def loss_of(pull: tf.Tensor) -> tf.Tensor:  # its gradient is the pull, everywhere
        return pull * (tf.reduce_sum(v) + w)

    train = training.compile_loop(loss_of, [v, w], keras.optimizers.SGD(1.0))
    pulls = np.array([1.0, 10.0, 100.0], np.float32)
    rates = np.array([[0.5, 0.0], [0.25, 0.0], [0.0, 0.01]], np.float32)
    train([], [pulls], rates)
    assert v.numpy().tolist() == [1 - 0.5 - 2.5, 2 - 0.5 - 2.5]
    assert w.numpy() == pytest.approx(3 - 1)


def test_every_call_of_the_loop_is_a_training_of_its_own(source: keras.Model) -> None:
    """Adam's means and its count of steps begin anew, as `numpy_adam` does."""
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_of(x: tf.Tensor, y: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
        logits = source(tf.gather(x, batch), training=True)
        return cross_entropy(tf.gather(y, batch), logits)

    adam = keras.optimizers.Adam(0.01)
    train = training.compile_loop(loss_of, source.trainable_variables, adam)
    for seed in (1, 2):
        batches = sweeps.draw_batches(36, sweeps.Recipe(10, 6), seed)
        expected = numpy_adam(training.layer_weights(source), [0.01] * 2, batches)
        train(TRAIN, [batches])
        assert_equal_weights(training.layer_weights(source), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("steps", "rates", "lengths"),
    [([], None, []), ([3, 2], None, [3, 2]), ([3], 2, [3, 2]), ([0], None, [0])],
)
def test_rows_for_another_number_of_updates_are_refused(
    steps: list[int], rates: int | None, lengths: list[int]
) -> None:
    w = keras.Variable(1.0)
    train = training.compile_loop(
        lambda *rows: w * sum(rows), [w], keras.optimizers.SGD(0.1)
    )
    table = None if rates is None else np.ones((rates, 1))
    with pytest.raises(ValueError, match="one row for each update") as refused:
        train([], [np.ones(length, np.float32) for length in steps], table)
    assert str(lengths) in str(refused.value)
    assert float(w) == 1.0


def test_xla_is_for_dense_layers_only() -> None:
    """Its convolutions and its random numbers for dropout are slow on CPUs."""
    assert training.xla_pays(dense().layers)
    assert not training.xla_pays(dense(keras.layers.Dropout(0.5)).layers)
    assert not training.xla_pays(convolutional().layers)
    assert not training.xla_pays(models.classic_network().layers)
    assert training.xla_pays(models.classic_network().layers[8:])  # its last layer
