"""The UCI digits: where the forms start, and how the images were made."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn import datasets

from helpers import data

from . import PARTS


def edit_distances(copied: np.ndarray, written: np.ndarray) -> np.ndarray:
    """Return the edit distance of every prefix of one list to every of the other."""
    position = np.arange(len(written) + 1)
    table = [position]
    for label in copied:
        above = table[-1]
        replaced = np.append(np.inf, above[:-1] + (written != label))
        best = np.minimum(above + 1, replaced)
        table.append(np.minimum.accumulate(best - position) + position)
    return np.array(table)


def test_the_parts_begin_with_the_first_the_eighth_and_the_tenth_form(
    digits: data.ImageData,
) -> None:
    """Align the labels with 14 copies of the first form: each start is the only best.

    A form lost some digits, so it is matched by edit distance, forwards and
    backwards: a start is on a best alignment if both ways add up to the best.
    """
    labels = np.concatenate([getattr(digits, part).y for part in PARTS])
    assert np.array_equal(labels, datasets.load_digits().target)
    forms = np.tile(labels[:130], 14)
    forwards = edit_distances(forms, labels)
    backwards = edit_distances(forms[::-1], labels[::-1])[::-1, ::-1]
    through = (forwards + backwards)[130 * np.arange(14)]
    best = [np.flatnonzero(row == forwards[-1, -1]).tolist() for row in through]
    assert all(len(starts) == 1 for starts in best)
    ends = np.cumsum([len(getattr(digits, part).y) for part in PARTS])
    assert [best[0], best[7], best[9], [1797]] == [[0], *([end] for end in ends)]


def test_training_digits_reach_ninety_of_each_class(digits: data.ImageData) -> None:
    assert np.bincount(digits.train.y).min() >= 90


Formatted = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def formatted(digits: data.ImageData) -> Formatted:
    """The book's digits, Pillow's 20 x 20 boxes, and by how much each was moved."""
    x = np.concatenate([getattr(digits, part).x for part in PARTS])
    raw = (datasets.load_digits().images / 16).astype(np.float32)
    bilinear = Image.Resampling.BILINEAR
    boxes = np.stack([Image.fromarray(i).resize((20, 20), bilinear) for i in raw])
    centres = [
        np.array([ndimage.center_of_mass(i) for i in many]) for many in (x, boxes)
    ]
    return x, boxes, centres[0] - (centres[1] + 4)


def test_digits_are_resized_as_pillow_does_it(formatted: Formatted) -> None:
    x, boxes, moved = formatted
    assert np.allclose(moved, np.rint(moved), atol=1e-4)  # by whole pixels only
    places = 4 + np.rint(moved).astype(int)
    expected = np.zeros_like(x)
    for image, box, (top, left) in zip(expected, boxes, places, strict=True):
        image[top : top + 20, left : left + 20] = box
    assert np.abs(x - expected).max() < 1e-6


def test_digits_are_centred_to_half_a_pixel_unless_they_would_leave_the_field(
    formatted: Formatted,
) -> None:
    x, _, moved = formatted
    off_centre = np.array([ndimage.center_of_mass(image) for image in x]) - 13.5
    at_the_edge = np.abs(np.rint(moved)) == 4
    assert (np.abs(off_centre) <= 0.5 + 1e-4)[~at_the_edge].all()
    assert (~at_the_edge).mean() > 0.99  # the exception stays one


def test_other_digits_of_scikit_learn_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bunch = datasets.load_digits()
    bunch.images[5, 3, 3] += 1
    monkeypatch.setattr(datasets, "load_digits", lambda: bunch)
    with pytest.raises(data.DataError) as refused:
        data.load_digits()
    for essence in ("scikit-learn's digits", "SHA-256", "expected", "requirements.txt"):
        assert essence in str(refused.value)
