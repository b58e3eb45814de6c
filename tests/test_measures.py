"""What is measured agrees with Keras, scikit-learn and known formulas."""

import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from stripes import TEST, VALIDATION, dense

from helpers import data, measures, training

# --- Logits and accuracy --------------------------------------------------------------


def test_logits_are_what_keras_predicts_however_many_images_there_are() -> None:
    """1,203 images are two whole batches and a part; none are no images."""
    training.set_seed(1)
    model = dense()
    x = np.random.default_rng(0).random((1203, 6, 6), np.float32)
    for count in (1203, 1000, 1, 0):
        found = measures.logits(model, x[:count])
        assert found.shape == (count, 3) and found.dtype == np.float32
        if count:
            expected = model.predict(x[:count], verbose=0)
            assert np.allclose(found, expected, atol=1e-5)


def test_logits_are_those_outside_of_training() -> None:
    """Dropout lets all pass; batch normalisation does not look at the batch."""
    training.set_seed(2)
    model = dense(keras.layers.BatchNormalization(), keras.layers.Dropout(0.5))
    first, again = (measures.logits(model, TEST.x) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.allclose(measures.logits(model, TEST.x[:1]), first[:1], atol=1e-6)
    assert np.allclose(model.layers[2].moving_mean, 0)


def test_accuracy_is_scikit_learns() -> None:
    training.set_seed(3)
    model = dense()
    answers = model.predict(VALIDATION.x, verbose=0).argmax(axis=1)
    found = measures.accuracy(model, VALIDATION)
    assert found == accuracy_score(VALIDATION.y, answers) and isinstance(found, float)
    assert measures.accuracy(model, data.Split(VALIDATION.x, answers)) == 1
    assert measures.accuracy(model, data.Split(VALIDATION.x, (answers + 1) % 3)) == 0


def test_an_accuracy_on_no_images_is_refused() -> None:
    nothing = data.Split(TEST.x[:0], TEST.y[:0])
    with pytest.raises(data.DataError, match="no images; expected at least one"):
        measures.accuracy(dense(), nothing)


# --- Distances ------------------------------------------------------------------------


def test_the_distance_of_two_lists_is_that_of_two_vectors() -> None:
    rng = np.random.default_rng(0)
    shapes = ((4, 3), (3,), (2, 2, 2), ())
    first, second = ([rng.normal(size=s).astype("f4") for s in shapes] for _ in "ab")
    flat = [np.concatenate([a.ravel() for a in arrays]) for arrays in (first, second)]
    expected = np.linalg.norm(flat[0].astype(float) - flat[1])
    assert measures.distance(first, second) == pytest.approx(expected, rel=1e-12)
    assert measures.distance(first, first) == 0 == measures.distance([], [])


@pytest.mark.parametrize(
    ("first", "second"),
    [([(2, 3)], [(3, 2)]), ([(2, 3)], [(1, 3)]), ([(2,)], [(2,), (2,)]), ([(2,)], [])],
)
def test_arrays_of_other_shapes_have_no_distance(
    first: list[tuple], second: list[tuple]
) -> None:
    """Nor those that NumPy would stretch to fit."""
    with pytest.raises(ValueError, match="expected the same shapes") as refused:
        measures.distance(list(map(np.ones, first)), list(map(np.ones, second)))
    assert str(first) in str(refused.value) and str(second) in str(refused.value)


# --- How far apart two domains are ----------------------------------------------------


def test_a_domain_is_at_no_distance_from_itself_and_at_two_from_its_negative() -> None:
    x, apart = data.load_digits().train.x[:, ::2, ::2], []  # every other pixel
    for seed in range(20):
        halves = np.array_split(np.random.default_rng(seed).permutation(x), 2)
        apart.append(measures.proxy_a_distance(*halves, seed))
    assert abs(np.mean(apart)) < 0.1
    assert measures.proxy_a_distance(x, 1 - x, seed=0) == 2.0


def test_the_distance_is_that_of_a_discriminant_analysis_on_known_gaussians() -> None:
    """Unit Gaussians d apart: the best classifier errs on a share of Phi(-d/2)."""
    rng = np.random.default_rng(1)
    for apart, error in ((0.5, 0.4013), (1.0, 0.3085), (2.0, 0.1587)):
        first, second = rng.normal(size=(2, 20000, 1, 1))
        found = measures.proxy_a_distance(first, second + apart, 0, size=20000)
        assert abs(found - 2 * (1 - 2 * error)) < 0.04


@pytest.mark.parametrize(
    "shapes", [((9, 4), (9, 5)), ((1, 4), (9, 4)), ((9, 4), (0, 4))]
)
def test_domains_that_cannot_be_compared_are_refused(
    shapes: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    with pytest.raises(data.DataError) as refused:
        measures.proxy_a_distance(np.ones(shapes[0]), np.ones(shapes[1]), seed=0)
    for essence in (*map(str, shapes), "at least two of each"):
        assert essence in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_distance_of_domains_refuses_what_is_not_finite(value: float) -> None:
    broken = np.ones((4, 3))
    broken[1, 2] = broken[3, 0] = value
    with pytest.raises(data.DataError, match="second domain holds 2 values"):
        measures.proxy_a_distance(np.ones((4, 3)), broken, seed=0)
