"""Corruptions are what they are called, as strong as they say, and named by seeds."""

import itertools

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from helpers import data

SEVERITIES = range(1, 6)
every_severity = pytest.mark.parametrize("severity", SEVERITIES)


def flat(count: int, value: float) -> np.ndarray:
    return np.full((count, 28, 28), value, np.float32)


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_corruptions_keep_form_and_range_and_leave_the_original(
    kind: str, digits: data.ImageData
) -> None:
    images = digits.test.x[:50].copy()
    for severity in SEVERITIES:
        changed = data.corrupt(images, kind, severity, seed=3)
        assert changed.shape == images.shape and changed.dtype == np.float32
        assert 0 <= changed.min() < changed.max() <= 1
        assert np.array_equal(images, digits.test.x[:50])
        same = np.mean(list(map(np.array_equal, changed, images)))
        # A black square may fall on black paper; nothing else leaves an image.
        assert same < 0.4 if kind == "occlusion" else same == 0


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_a_stronger_corruption_leads_further_away(
    kind: str, digits: data.ImageData
) -> None:
    images = digits.test.x[:100]
    away = [
        np.linalg.norm(data.corrupt(images, kind, severity, seed=5) - images)
        for severity in SEVERITIES
    ]
    assert all(near < far for near, far in itertools.pairwise(away))


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_a_seed_names_one_corruption_and_global_numbers_do_not(
    kind: str, digits: data.ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = digits.test.x[:50]
    first = data.corrupt(images, kind, 3, seed=1)
    np.random.seed(7)
    state = np.random.get_state()[1].copy()
    monkeypatch.setenv("BOOK_SEED", "7")
    assert np.array_equal(data.corrupt(images, kind, 3, seed=1), first)
    assert np.array_equal(np.random.get_state()[1], state)
    fixed = kind in ("blur", "contrast")
    assert np.array_equal(data.corrupt(images, kind, 3, seed=2), first) == fixed


@every_severity
def test_noise_is_gaussian_and_independent(severity: int) -> None:
    """Clipping leaves the quartiles of grey images where a normal has them."""
    noisy = data.corrupt(flat(100, 0.5), "noise", severity, seed=0)
    spread = (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1]
    expected = stats.norm(0.5, spread).ppf([0.25, 0.5, 0.75])
    found = np.quantile(noisy, [0.25, 0.5, 0.75])
    assert np.abs(found - expected).max() < 0.02 * spread
    pixels = noisy.reshape(100, 784)
    for one, other in ((pixels[:-1], pixels[1:]), (pixels[:, :-1], pixels[:, 1:])):
        correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(one.size)


@every_severity
def test_blur_is_a_product_with_gaussian_weights(
    severity: int, digits: data.ImageData
) -> None:
    """From both sides; the digits are taken away from the edges."""
    images = np.pad(digits.test.x[:20, 8:20, 8:20], ((0, 0), (8, 8), (8, 8)))
    sigma = (0.5, 1.0, 1.5, 2.0, 2.5)[severity - 1]
    gap = np.subtract.outer(np.arange(28), np.arange(28))
    weights = stats.norm(0, sigma).pdf(gap)
    weights /= stats.norm(0, sigma).pdf(np.arange(-60, 61)).sum()
    expected = weights @ images @ weights.T
    blurred = data.corrupt(images, "blur", severity, seed=0)
    assert np.abs(blurred - expected)[:, 4:24, 4:24].max() < 2e-3


@every_severity
def test_shifts_are_rolls_in_eight_directions_without_wrapping(severity: int) -> None:
    images = np.random.default_rng(2).random((150, 28, 28), np.float32)
    padded = np.pad(images, ((0, 0), (5, 5), (5, 5)))
    ways = [way for way in itertools.product((-1, 0, 1), repeat=2) if any(way)]
    rolled = [
        np.roll(padded, (severity * down, severity * right), axis=(1, 2))
        for down, right in ways
    ]
    shifted = data.corrupt(images, "shift", severity, seed=0)
    same = [(r[:, 5:33, 5:33] == shifted).all(axis=(1, 2)) for r in rolled]
    assert (np.sum(same, axis=0) == 1).all()
    assert (np.sum(same, axis=1) > 5).all()


@every_severity
def test_rotations_are_those_of_pillow_to_both_sides(
    severity: int, digits: data.ImageData
) -> None:
    images = digits.test.x[:60]
    rotated = data.corrupt(images, "rotation", severity, seed=0)

    def by_pillow(image: np.ndarray, angle: float) -> np.ndarray:
        turned = Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR)
        return np.asarray(turned)

    apart = [
        [
            np.abs(by_pillow(image, angle) - turned)[2:26, 2:26].max()
            for image, turned in zip(images, rotated, strict=True)
        ]
        for angle in (10 * severity, -10 * severity)
    ]
    assert np.max(np.min(apart, axis=0)) < 1e-4
    assert (np.bincount(np.argmin(apart, axis=0), minlength=2) > 10).all()


@every_severity
def test_less_contrast_is_one_factor(severity: int) -> None:
    images = np.random.default_rng(4).random((9, 28, 28), np.float32)
    slope, level, *_ = stats.linregress(
        images.ravel(), data.corrupt(images, "contrast", severity, seed=0).ravel()
    )
    expected = (0.75, 0.6, 0.45, 0.3, 0.15)[severity - 1]
    assert slope == pytest.approx(expected) and abs(level) < 1e-6


@every_severity
def test_occlusions_are_one_square_anywhere(severity: int) -> None:
    side, count = 2 + 2 * severity, 3000
    occluded = data.corrupt(flat(count, 0.7), "occlusion", severity, seed=0)
    assert set(np.unique(occluded)) == {np.float32(0), np.float32(0.7)}
    black = occluded == 0
    rows, columns = black.any(axis=2), black.any(axis=1)  # (n, 28) each
    assert np.array_equal(black, rows[:, :, None] & columns[:, None, :])
    corners = []
    for lines in (rows, columns):
        start = lines.argmax(axis=1)
        assert (lines.sum(axis=1) == side).all()
        assert lines[np.arange(count), start + side - 1].all()  # without a gap
        assert set(start) == set(range(28 - side + 1))
        corners.append(start)
    assert abs(np.corrcoef(corners)[0, 1]) < 5 / np.sqrt(count)


@pytest.mark.parametrize(
    ("kind", "severity"), [("fog", 3), ("noise", 0), ("noise", 6), ("noise", 2.5)]
)
def test_an_unknown_corruption_is_refused(kind: str, severity: float) -> None:
    with pytest.raises(data.DataError) as refused:
        data.corrupt(flat(2, 0.5), kind, severity, seed=0)
    for essence in (repr(kind), str(severity), "noise, blur", "1 to 5"):
        assert essence in str(refused.value)


@pytest.mark.parametrize("shape", [(28, 28), (2, 8, 8), (2, 28, 28, 1), (2, 784)])
def test_corruptions_refuse_other_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(data.DataError) as refused:
        data.corrupt(np.zeros(shape, np.float32), "noise", 3, seed=0)
    assert str(shape) in str(refused.value) and "28" in str(refused.value)
