"""What is measured on networks, weights and images: one function for each noun."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers import data

BATCH = 500  # images that a network gets at once


def logits(model: Callable, x: np.ndarray) -> np.ndarray:
    """Return what a network answers, some hundred images at a time.

    Dropout lets everything pass and batch normalisation uses its moving
    statistics, as always outside of training.

    Args:
        model: a Keras model, or a layer.
        x: its inputs, (n, ...).

    Returns:
        The outputs, (n, ...): logits, if the model's last layer returns logits.

    Example:
        >>> logits(source, digits.train.x).shape
        (24, 2)
    """
    starts = range(0, max(len(x), 1), BATCH)
    parts = [np.asarray(model(x[i : i + BATCH], training=False)) for i in starts]
    return np.concatenate(parts)


def hits(model: Callable, split: data.Split) -> np.ndarray:
    """Return for each image whether its largest logit is that of its label.

    Args:
        model: a Keras model that returns logits, (n, classes).
        split: images and labels; at least one.

    Returns:
        (n,) bool. Of equal logits the first counts.

    Raises:
        data.DataError: there are no images.
    """
    if not len(split.y):
        raise data.DataError(
            "Received no images; expected at least one. An accuracy needs something "
            "to count: check how the images were selected."
        )
    return logits(model, split.x).argmax(axis=1) == split.y


def accuracy(model: Callable, split: data.Split) -> float:
    """Return the share of `hits`, in [0, 1]; raises as `hits`."""
    return float(hits(model, split).mean())


def distance(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """Return the Euclidean distance between two lists of arrays, as one vector each.

    Raises:
        ValueError: the lists do not hold arrays of the same shapes.

    Example:
        >>> distance([np.zeros(2), np.zeros(1)], [np.array([1, 2]), np.array([2])])
        3.0
    """
    shapes = [[np.shape(array) for array in arrays] for arrays in (first, second)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"Received arrays of shapes {shapes[0]} and {shapes[1]}; expected the "
            "same shapes in the same order. Compare the weights of two networks of "
            "one architecture."
        )
    differences = [
        np.subtract(a, b, dtype=float) for a, b in zip(first, second, strict=True)
    ]
    return float(np.sqrt(sum(np.sum(d**2) for d in differences)))


def proxy_a_distance(
    first: np.ndarray, second: np.ndarray, seed: int, size: int = 600
) -> float:
    """Return how well a linear classifier tells two domains apart, in [-2, 2].

    It is `2 (1 - 2 err)`, with the error of ridge regression on the half of the
    inputs that it was not fitted to: 2 if it makes no mistake, 0 if it guesses;
    less than 0 is chance. Small inputs, few of them, or another classifier give
    another number: state all three.

    Args:
        first: inputs or features of one domain, (n, ...); at least two.
        second: those of the other, (m, ...), of the same shape each.
        seed: draws the inputs, and which half is fitted.
        size: inputs of each domain that are used; fewer if there are fewer.

    Raises:
        data.DataError: the shapes differ, a domain has fewer than two inputs, or an
            input is not finite.

    Source:
        Ben-David et al. (2007), Analysis of Representations for Domain
        Adaptation. The penalty is the mean squared length of the centred inputs.
    """
    from sklearn.linear_model import Ridge

    if first.shape[1:] != second.shape[1:] or min(len(first), len(second), size) < 2:
        raise data.DataError(
            f"Received inputs of shapes {first.shape} and {second.shape} and the "
            f"size {size}; expected at least two of each, of the same shape."
        )
    for place, sample in (("first", first), ("second", second)):
        if not np.isfinite(sample).all():
            raise data.DataError(
                f"The {place} domain holds {np.sum(~np.isfinite(sample)):,} values "
                "that are not finite; expected numbers. Features of a network whose "
                "training diverged look like this: lower its learning rate."
            )
    rng = np.random.default_rng(seed)
    rows = [
        sample[rng.permutation(len(sample))[:size]].reshape(-1, first[0].size)
        for sample in (first.astype(float), second.astype(float))
    ]
    half = min(map(len, rows)) // 2
    labels = np.repeat([-1, 1], half)
    fitted = np.concatenate([r[:half] for r in rows])
    held_out = np.concatenate([r[half : 2 * half] for r in rows])
    length = np.mean(np.sum((fitted - fitted.mean(axis=0)) ** 2, axis=1))
    scores = Ridge(alpha=max(length, 1e-12)).fit(fitted, labels).predict(held_out)
    return float(2 * (1 - 2 * np.mean(np.sign(scores) != labels)))
