"""Images with their labels, what is drawn from them, and what all domains share."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

IMAGE_SIZE = 28  # height and width of every image in the book, in pixels
DIGIT_NAMES = tuple("0123456789")


class DataError(ValueError):
    """The data are missing, truncated, altered or too few for the request."""


class Split(NamedTuple):
    """Images and their labels."""

    x: np.ndarray  # (n, 28, 28) float32 in [0, 1], white ink on black
    y: np.ndarray  # (n,) int64, class numbers from 0


class ImageData(NamedTuple):
    """One domain: three disjoint parts of the same kind of images."""

    name: str  # "MNIST", "UCI digits"
    train: Split  # for fitting, and for nothing else
    validation: Split  # for every choice
    test: Split  # opened once, at the end
    class_names: tuple[str, ...]  # what to call class 0, 1, ...
    tier: str  # "full", or "sample" for the offline part of MNIST


def sha256(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes in C order, as 64 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def label_budget(split: Split, per_class: int, seed: int) -> np.ndarray:
    """Draw the same number of labelled images of every class, as positions.

    For one seed the draws are nested: the images of a small budget are among
    those of a larger one, so that budgets can be compared seed by seed.

    Args:
        split: where to draw from. Draw from training parts only.
        per_class: how many images of each class, at least 1.
        seed: names the draw.

    Returns:
        The positions in `split` of `per_class` images of each class, class by
        class, (classes * per_class,) int.

    Raises:
        DataError: there are not that many images of some class.
    """
    classes, counts = np.unique(split.y, return_counts=True)
    if not 1 <= per_class <= counts.min():
        rarest = classes[counts.argmin()]
        raise DataError(
            f"A label budget of {per_class} per class was asked for, expected 1 to "
            f"{counts.min()}: class {rarest} has only {counts.min()} images here. "
            "Ask for fewer, or draw from a larger training part."
        )
    order = np.random.default_rng(seed).permutation(len(split.y))
    chosen = [order[split.y[order] == c][:per_class] for c in classes]
    return np.concatenate(chosen)


def draw(split: Split, per_class: int, seed: int) -> Split:
    """Draw the same number of labelled images of every class.

    Args:
        split: where to draw from. Draw from training parts only.
        per_class: how many images of each class, at least 1.
        seed: names the draw. The draws of one seed are nested.

    Returns:
        The images at the positions of `label_budget`, with their labels.

    Raises:
        DataError: there are not that many images of some class.

    Example:
        >>> few = draw(load_digits().train, per_class=5, seed=0)
        >>> few.x.shape
        (50, 28, 28)
    """
    chosen = label_budget(split, per_class, seed)
    return Split(split.x[chosen], split.y[chosen])


def select_labels(split: Split, labels: Sequence[int]) -> Split:
    """Return the images with these labels, in their order, as a task of its own.

    Args:
        split: where to select.
        labels: the labels that are kept; the first becomes class 0, and so on.

    Raises:
        DataError: a label is named twice, or no image has it.

    Example:
        >>> split = Split(np.zeros((4, 28, 28)), np.array([7, 1, 5, 7]))
        >>> select_labels(split, [5, 7]).y.tolist()
        [1, 0, 1]
    """
    known = np.unique(split.y).tolist()
    if len(set(labels)) < len(labels) or not set(labels) <= set(known):
        raise DataError(
            f"Labels {list(labels)} were asked for; expected different ones of "
            f"{known}, which are the labels of these images."
        )
    found = split.y[:, None] == np.asarray(labels, int)  # (n, classes)
    return Split(split.x[found.any(axis=1)], found.argmax(axis=1)[found.any(axis=1)])


def count_shared(first: Split, second: Split) -> int:
    """Count the images of `second` that are, pixel for pixel, also in `first`."""
    seen = {image.tobytes() for image in first.x}
    return sum(image.tobytes() in seen for image in second.x)


def halved(images: np.ndarray) -> np.ndarray:
    """Return images at half the height and width: means of 2 x 2 pixels.

    Args:
        images: (n, 28, 28).

    Returns:
        (n, 14, 14), of the same type and range.

    Raises:
        DataError: the images have another shape.

    Example:
        >>> halved(load_digits().train.x).reshape(-1, 196).shape
        (906, 196)
    """
    check_shape(images)
    half = IMAGE_SIZE // 2
    return images.reshape(-1, half, 2, half, 2).mean(axis=(2, 4))


def centred(boxes: np.ndarray) -> np.ndarray:
    """Put small images into the book's field by their centres of mass, as MNIST was.

    Args:
        boxes: (n, 20, 20), in [0, 1].

    Returns:
        (n, 28, 28) float32: the boxes, moved by whole pixels so that the centre
        of mass of the ink lies at the centre of the field, or as near to it as
        the box can go without leaving the field.

    Source:
        LeCun, Bottou, Bengio and Haffner (1998), section III.A.
    """
    padded = np.pad(boxes, ((0, 0), (4, 4), (4, 4)))
    ink = padded.sum(axis=(1, 2)) + 1e-12
    position = np.arange(IMAGE_SIZE)
    centre = (IMAGE_SIZE - 1) / 2
    down = centre - (padded.sum(axis=2) @ position) / ink
    right = centre - (padded.sum(axis=1) @ position) / ink
    # The box has four pixels of air on each side: more would wrap around.
    shifts = np.clip(np.rint(np.stack([down, right], axis=1)), -4, 4).astype(int)
    moved = [
        np.roll(image, tuple(shift), axis=(0, 1))
        for image, shift in zip(padded, shifts, strict=True)
    ]
    return np.stack(moved).astype(np.float32)


def check_shape(images: np.ndarray) -> None:
    """Refuse images of another shape than (n, 28, 28).

    Raises:
        DataError: the images have another shape.
    """
    if images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise DataError(
            f"Received images of shape {images.shape}; expected (n, 28, 28)."
        )


def check_packaged(what: str, contents: np.ndarray, expected: str) -> None:
    """Refuse data of a package that are not those the book was made with.

    Args:
        what: the name of the data, a plural.
        contents: the data.
        expected: their SHA-256, 64 hex digits.

    Raises:
        DataError: the contents have another SHA-256.
    """
    found = sha256(contents)
    if found != expected:
        raise DataError(
            f"{what}: their SHA-256 is {found}, expected {expected}. Another "
            "version of the package is installed; install what requirements.txt pins."
        )
