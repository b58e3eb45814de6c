"""Claims that can fail, the intervals they are about, and published numbers."""

import csv
from typing import NamedTuple

import numpy as np

from helpers.data import ROOT

YARDSTICKS = ROOT / "book" / "appendix" / "yardsticks.csv"


class ClaimError(AssertionError):
    """A claim of the book does not hold."""


class Interval(NamedTuple):
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float
    count: int  # how many values it rests on


class Yardstick(NamedTuple):
    """A published number with its set-up, and what of ours stands beside it."""

    group: str  # what is measured, on which data
    set_up: str
    published: str  # the number as it was published, with its unit
    source: str  # a key of references.bib
    checkpoint: str  # the checkpoint of ours to compare, empty if there is none
    claim: str  # the claim of this book to compare, word by word, or empty
    why: str  # why ours differs


def claim(text: str, condition: bool) -> None:
    """State what the reader should take from a result, if it is true.

    Args:
        text: one sentence without a full stop. It says nothing more than
            `condition` proves.
        condition: a single truth value, computed from results.

    Raises:
        ClaimError: the condition is false.
        TypeError: the condition is not a single bool. A number, an array or a
            text would count as true by accident.

    Example:
        >>> claim("seven is odd", 7 % 2 == 1)
        ✓ seven is odd
    """
    if isinstance(condition, np.ndarray) and condition.shape == ():
        condition = condition[()]
    if not isinstance(condition, bool | np.bool_):
        raise TypeError(
            f"The condition of the claim {text!r} is a {type(condition).__name__}; "
            "expected a single bool. Compare something, or use .all() or .any()."
        )
    if not condition:
        raise ClaimError(f"This claim does not hold here: {text}")
    print(f"✓ {text}")


def interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Return the mean of repeated measurements and its confidence interval.

    Student's t interval, `mean ± t · s / √n`: it describes what other seeds
    would give, on the same images.

    Args:
        values: (n,), one value for each seed, n of at least 2.
        level: the share of such intervals that hold the true mean, in (0, 1).

    Raises:
        ValueError: fewer than two values, a value that is not finite, or a level
            outside (0, 1).

    Source:
        Student (1908), The Probable Error of a Mean, Biometrika 6.
    """
    from scipy import stats

    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(
            f"Received values of shape {values.shape}; expected at least two finite "
            "numbers in one dimension, one for each seed."
        )
    if not 0 < level < 1:
        raise ValueError(
            f"Received a level of {level}; expected a share between 0 and 1, as 0.95."
        )
    mean = values.mean()
    error = values.std(ddof=1) / np.sqrt(len(values))
    half_width = stats.t.ppf((1 + level) / 2, df=len(values) - 1) * error
    return Interval(
        float(mean), float(mean - half_width), float(mean + half_width), len(values)
    )


def paired_difference(
    first: np.ndarray, second: np.ndarray, level: float = 0.95
) -> Interval:
    """Return the interval of `first - second`, seed by seed.

    Pairs share their seed and so their labelled images: what makes one seed
    harder than another cancels.

    Args:
        first: (n,), one value for each seed.
        second: (n,), the same seeds in the same order.
        level: as for `interval`.

    Raises:
        ValueError: the shapes differ, or `interval` refuses the differences.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape:
        raise ValueError(
            f"Received values of shapes {first.shape} and {second.shape}; expected "
            "the same shape, because values are compared seed by seed."
        )
    return interval(first - second, level)


def yardsticks(group: str) -> list[Yardstick]:
    """Return the published numbers of one group, in the order of their table.

    Raises:
        ValueError: there is no such group.

    Example:
        >>> yardsticks("MNIST test error")[0].published
        '12.0 %'
    """
    with YARDSTICKS.open(encoding="utf-8", newline="") as file:
        rows = [Yardstick(**row) for row in csv.DictReader(file)]
    chosen = [row for row in rows if row.group == group]
    if not chosen:
        groups = ", ".join(repr(name) for name in sorted({row.group for row in rows}))
        raise ValueError(f"Unknown group {group!r}; expected one of {groups}.")
    return chosen
