"""Every domain has the form it promises, and label budgets are fair."""

import hashlib
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from helpers import data

from . import PARTS

PART_SIZES = {
    "MNIST, full": (55000, 5000, 10000),
    "MNIST, sample": (3500, 500, 1000),
    "UCI digits, full": (906, 251, 640),
    "typed digits, full": (600, 200, 400),
    "typed letters, full": (600, 200, 400),
}


# --- What all loaders return ------------------------------------------------------


def test_parts_have_the_sizes_types_and_range_they_promise(
    domain: data.ImageData,
) -> None:
    sizes = PART_SIZES[f"{domain.name}, {domain.tier}"]
    for part, size in zip(PARTS, sizes, strict=True):
        x, y = getattr(domain, part)
        assert x.shape == (size, 28, 28) and x.dtype == np.float32
        assert y.shape == (size,) and y.dtype == np.int64
        assert x.min() == 0 and 0.9 < x.max() <= 1
        assert set(y) == set(range(len(domain.class_names)))
    letters = domain.name == "typed letters"
    assert "".join(domain.class_names) == ("ABCDEFGHIJ" if letters else "0123456789")


def test_parts_share_no_image(domain: data.ImageData) -> None:
    images = [image for part in PARTS for image in getattr(domain, part).x]
    assert len({hashlib.sha256(image).digest() for image in images}) == len(images)


def test_domains_share_no_image(digits: data.ImageData, sample: data.ImageData) -> None:
    for part in PARTS:
        assert data.count_shared(sample.train, getattr(digits, part)) == 0


def test_shared_images_are_counted_whatever_their_labels() -> None:
    rng = np.random.default_rng(1)
    images = rng.random((9, 28, 28), np.float32)
    first = data.Split(images[:6], np.zeros(6, np.int64))
    second = data.Split(images[[0, 0, 5, 6, 7, 8]], np.ones(6, np.int64))
    assert data.count_shared(first, second) == 3


def test_hash_is_of_the_values_and_not_of_their_place_in_memory() -> None:
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    expected = hashlib.sha256(array.tobytes()).hexdigest()
    assert data.sha256(np.asfortranarray(array)) == expected
    assert data.sha256(np.repeat(array, 2, axis=1)[:, ::2]) == expected
    assert data.sha256(array + 1) != expected


# --- Label budgets ----------------------------------------------------------------


def test_budgets_are_balanced_and_nested_and_repeat_no_image(
    domain: data.ImageData,
) -> None:
    sizes = (1, 2, 5, 50)
    budgets = [data.label_budget(domain.train, size, 3) for size in sizes]
    for size, chosen in zip(sizes, budgets, strict=True):
        assert len(set(chosen)) == len(chosen)
        assert domain.train.y[chosen].tolist() == np.repeat(range(10), size).tolist()
    for small, large in itertools.pairwise(budgets):
        assert set(small) < set(large)


def test_a_draw_is_the_images_of_its_label_budget(digits: data.ImageData) -> None:
    """With their labels, from the part that was named and from no other."""
    few = data.draw(digits.train, 20, seed=4)
    chosen = data.label_budget(digits.train, 20, seed=4)
    for image, label, position in zip(few.x, few.y, chosen, strict=True):
        assert np.array_equal(image, digits.train.x[position])
        assert label == digits.train.y[position]
    shared = [data.count_shared(getattr(digits, part), few) for part in PARTS]
    assert shared == [200, 0, 0]


def test_a_seed_names_one_draw(digits: data.ImageData) -> None:
    draws = [data.label_budget(digits.train, 5, seed) for seed in (0, 0, 1, 1000)]
    assert np.array_equal(draws[0], draws[1])
    assert len({tuple(draw) for draw in draws}) == 3


def test_every_image_is_drawn_equally_often() -> None:
    """Over many seeds: within five standard deviations of a fair draw."""
    labels = np.repeat([0, 1], [4, 8])
    split = data.Split(np.zeros((12, 28, 28), np.float32), labels)
    runs = 1500
    draws = [data.label_budget(split, 2, seed) for seed in range(runs)]
    counts = np.bincount(np.concatenate(draws), minlength=12)
    chance = np.where(labels == 0, 2 / 4, 2 / 8)
    deviation = np.sqrt(runs * chance * (1 - chance))
    assert (np.abs(counts - runs * chance) < 5 * deviation).all()


@pytest.mark.parametrize("draw", [data.label_budget, data.draw])
@pytest.mark.parametrize("size", [0, -1, 3, 1000])
def test_an_impossible_budget_is_refused(
    draw: Callable[..., object], size: int
) -> None:
    split = data.Split(
        np.zeros((7, 28, 28), np.float32), np.array([0, 0, 0, 0, 0, 1, 1])
    )
    with pytest.raises(data.DataError) as refused:
        draw(split, size, seed=0)
    for essence in (f"{size} per class", "1 to 2", "class 1", "Ask for fewer"):
        assert essence in str(refused.value)


@pytest.mark.parametrize("labels", [[5, 6, 7, 8, 9], [7, 3], [0], list(range(10))])
def test_selected_labels_are_a_task_of_their_own(
    labels: list[int], digits: data.ImageData
) -> None:
    """The same images in the same order; class k is the k-th label asked for."""
    split = digits.validation
    found = data.select_labels(split, labels)
    chosen = [i for i, label in enumerate(split.y) if label in labels]
    assert np.array_equal(found.x, split.x[chosen])
    assert [labels[k] for k in found.y] == split.y[chosen].tolist()
    assert found.y.dtype == split.y.dtype


@pytest.mark.parametrize("labels", [[3, 3], [0, 10], [-1]])
def test_labels_that_no_image_has_or_that_come_twice_are_refused(
    labels: list[int], digits: data.ImageData
) -> None:
    with pytest.raises(data.DataError) as refused:
        data.select_labels(digits.test, labels)
    for essence in (str(labels), "expected different ones of [0, 1, 2, 3, 4, 5"):
        assert essence in str(refused.value)


# --- Half the size ----------------------------------------------------------------


def test_halved_images_are_means_of_two_by_two_pixels() -> None:
    """Every second value of a moving average; the type stays."""
    images = np.random.default_rng(5).random((6, 28, 28), np.float32)
    averages = ndimage.uniform_filter(images, (0, 2, 2))
    small = data.halved(images)
    assert small.dtype == images.dtype
    assert np.allclose(small, averages[:, 1::2, 1::2], atol=1e-6)
    assert data.halved(images[:0]).shape == (0, 14, 14)


@pytest.mark.parametrize("shape", [(28, 28), (4, 14, 14), (2, 784), (2, 28, 28, 1)])
def test_other_images_are_not_halved(shape: tuple[int, ...]) -> None:
    with pytest.raises(data.DataError) as refused:
        data.halved(np.zeros(shape, np.float32))
    assert str(shape) in str(refused.value) and "28" in str(refused.value)
