"""Findings with their evidence, checks, and the intervals that findings rest on.

A *finding* is a sentence that data decide: `claim` prints it with what was
measured. A *check* is exact: `check` prints its sentence alone.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

POINTS = "points"  # the unit of differences between shares: 0.05 is shown as +5.0
PERCENT = "%"  # the unit of shares: 0.05 is shown as 5.0 %


class ClaimError(AssertionError):
    """A finding or a check of the book does not hold."""


@dataclass(frozen=True)
class Evidence:
    """What was measured beside what was asked: the ground of a finding.

    Made by `Interval.above`, `below` and `within`, and joined by `weakest`.
    """

    holds: bool
    margin: float  # from the interval's nearer end to its bar, in half-widths
    measured: str  # "+9.3, 95 % 7.1 to 11.5, asked > 5, 10 seeds"
    joined: int = 1  # how many comparisons it stands for, itself the weakest

    @property
    def text(self) -> str:
        """Return what is printed between ⟨ and ⟩."""
        if self.joined == 1:
            return self.measured
        return f"weakest of {self.joined}: {self.measured}"


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval, and comparisons that carry both.

    Example:
        >>> gain = Interval(0.093, 0.071, 0.115, count=10, unit="points")
        >>> print(gain)
        +9.3 (7.1 to 11.5)
        >>> gain.above(0.05).text
        '+9.3, 95 % 7.1 to 11.5, asked > 5, 10 seeds'
    """

    mean: float
    low: float
    high: float
    count: int  # how many values it rests on
    unit: str = PERCENT  # "%" and "points" are shown times 100, others as they are
    of: str = "seeds"  # what was counted
    level: float = 0.95  # the share of such intervals that hold the true mean

    def above(self, bar: float) -> Evidence:
        """Ask that the whole interval lies above `bar`, in the interval's own unit.

        Returns:
            The evidence for `claim`.

        Raises:
            ValueError: the bar is not a finite number.
        """
        asked = f"> {self._bar(bar)}"
        return self._evidence(self.low - bar, asked)

    def below(self, bar: float) -> Evidence:
        """Ask that the whole interval lies below `bar`; raises as `above`."""
        asked = f"< {self._bar(bar)}"
        return self._evidence(bar - self.high, asked)

    def within(self, low: float, high: float) -> Evidence:
        """Ask that the whole interval lies between two bars.

        Returns:
            The evidence for `claim`.

        Raises:
            ValueError: a bar is not finite, or `low` is not below `high`.
        """
        asked = f"{self._bar(low)} to {self._bar(high)}"
        if not low < high:
            raise ValueError(
                f"Received the bars {low} and {high}; expected the lower one first."
            )
        return self._evidence(min(self.low - low, high - self.high), asked)

    def __str__(self) -> str:
        """Return the mean and the ends: `+9.3 (7.1 to 11.5)`, in the own unit."""
        mean, low, high = self._shown()
        return f"{mean} ({low} to {high})"

    def _evidence(self, distance: float, asked: str) -> Evidence:
        half_width = (self.high - self.low) / 2
        if half_width > 0:
            margin = distance / half_width
        else:
            margin = math.copysign(math.inf, distance) if distance else 0.0
        mean, low, high = self._shown()
        text = (
            f"{mean}, {100 * self.level:g} % {low} to {high}, asked {asked}, "
            f"{self.count:,} {self.of}"
        )
        return Evidence(distance > 0, margin, text)

    def _shown(self) -> tuple[str, str, str]:
        """Return mean, low and high with as many decimals as the width deserves."""
        mean, low, high = (self.scale * v for v in (self.mean, self.low, self.high))
        width = (high - low) / 2 or abs(mean) / 100 or 1.0
        decimals = max(0, 1 - math.floor(math.log10(width)))
        form = f".{decimals}f" if decimals <= 5 else ".3g"
        sign = "+" if self.unit == POINTS else ""
        suffix = "" if self.unit in (POINTS, "") else f" {self.unit}"
        texts = f"{mean:{sign}{form}}{suffix}", f"{low:{form}}", f"{high:{form}}"
        mean_text, low_text, high_text = (text.replace("-", "−") for text in texts)
        return mean_text, low_text, high_text

    @property
    def scale(self) -> float:
        """Return the factor between the values and what is shown of them."""
        return 100.0 if self.unit in (POINTS, PERCENT) else 1.0

    def _bar(self, bar: float) -> str:
        if not isinstance(bar, int | float | np.number) or not math.isfinite(bar):
            raise ValueError(
                f"Received the bar {bar!r}; expected a finite number, in the unit of "
                "the values that the interval was made of."
            )
        return f"{round(self.scale * bar, 9):g}".replace("-", "−")


def claim(sentence: str, evidence: Evidence) -> None:
    """State a finding: what the reader takes away, with what was measured.

    Prints `✓ sentence ⟨evidence⟩` on one line. `pytest --nbval` compares the
    sentence and not the evidence, which moves a little with the machine. In a
    replication (`make replicate` sets `BOOK_REPLICATE=1`) a finding that fails is
    printed with ✗, and the notebook goes on.

    Args:
        sentence: one sentence without a full stop; it says nothing more than
            the evidence shows.
        evidence: a comparison of an interval with its bar, as
            `lead(results, "fine-tuning", "from scratch").above(0.05)`.

    Raises:
        ClaimError: the evidence does not meet what was asked.
        TypeError: `evidence` is anything else, such as a bool: it would hide how
            far the finding is from failing.
        ValueError: the sentence is not one line of text.

    Example:
        >>> gain = interval([0.08, 0.09, 0.10], unit="points")
        >>> claim("fine-tuning gains more than 5 points", gain.above(0.05))
        ✓ fine-tuning gains more than 5 points ⟨+9.0, 95 % 6.5 to 11.5, asked > 5, 3 seeds⟩
    """  # noqa: E501 (the line is printed as one)
    _check_sentence(sentence)
    if not isinstance(evidence, Evidence):
        raise TypeError(
            f"The finding {sentence!r} was given a {type(evidence).__name__}; expected "
            "evidence: an interval compared with a bar, such as "
            'claims.lead(results, "fine-tuning", "from scratch").above(0.05). '
            "Something exact, which no seed decides, is a check: check(sentence, "
            "condition)."
        )
    _print(f"{sentence} ⟨{evidence.text}⟩", evidence.holds)


def check(sentence: str, condition: bool) -> None:
    """State something exact: a shape, an identity, an agreement with a library.

    Prints `✓ sentence`; in a replication a check that fails is printed with ✗.

    Args:
        sentence: one sentence without a full stop.
        condition: a single truth value, computed from results.

    Raises:
        ClaimError: the condition is false.
        TypeError: the condition is not a single bool. A number, an array or a
            text would count as true by accident.
        ValueError: the sentence is not one line of text.

    Example:
        >>> check("seven is odd", 7 % 2 == 1)
        ✓ seven is odd
    """
    _check_sentence(sentence)
    if isinstance(condition, np.ndarray) and condition.shape == ():
        condition = condition[()]
    if not isinstance(condition, bool | np.bool_):
        raise TypeError(
            f"The condition of the check {sentence!r} is a "
            f"{type(condition).__name__}; expected a single bool. Compare something, "
            "or use .all() or .any()."
        )
    _print(sentence, bool(condition))


def unmeasured(sentence: str, why: str) -> None:
    """Print a finding that cannot be measured here, unticked, and say why.

    nbval takes the line for that of the finding: the words are the same, and a
    reader sees that nothing was measured.

    Args:
        sentence: the finding's sentence, word by word.
        why: what is missing, such as "needs all of MNIST".

    Raises:
        ValueError: the sentence or the reason is not one line of text.

    Example:
        >>> unmeasured("the recipe gains less than 1 point", "needs all of MNIST")
        ○ the recipe gains less than 1 point ⟨not measured: needs all of MNIST⟩
    """
    _check_sentence(sentence)
    _check_sentence(why)
    print(f"○ {sentence} ⟨not measured: {why}⟩")


def _check_sentence(sentence: str) -> None:
    if not isinstance(sentence, str) or not sentence.strip():
        raise ValueError(f"Received the sentence {sentence!r}; expected a text.")
    if not {"\n", "⟨", "⟩"}.isdisjoint(sentence):
        raise ValueError(
            f"The sentence {sentence!r} has a line break, ⟨ or ⟩; expected one line, "
            "without the marks that set the evidence apart."
        )


def _print(line: str, holds: bool) -> None:
    if not holds and os.environ.get("BOOK_REPLICATE") != "1":
        raise ClaimError(f"This does not hold here: {line}")
    print(f"{'✓' if holds else '✗'} {line}")


def weakest(*evidence: Evidence) -> Evidence:
    """Join several comparisons: all must hold, and the one nearest to failing counts.

    Args:
        evidence: at least one.

    Returns:
        The evidence of the weakest, which says how many it stands for.

    Raises:
        ValueError: nothing was given.
        TypeError: something else than evidence was given.

    Example:
        >>> gains = [Interval(0.09, 0.07, 0.11, 10), Interval(0.2, 0.19, 0.21, 10)]
        >>> weakest(*(gain.above(0.05) for gain in gains)).text
        'weakest of 2: 9.0 %, 95 % 7.0 to 11.0, asked > 5, 10 seeds'
    """
    if not evidence:
        raise ValueError("Received no evidence; expected one comparison or several.")
    for one in evidence:
        if not isinstance(one, Evidence):
            raise TypeError(
                f"Received a {type(one).__name__} among the evidence; expected "
                "comparisons, such as interval.above(0.05). Unpack a list: "
                "weakest(*comparisons)."
            )
    least = min(evidence, key=lambda one: one.margin)
    return replace(least, joined=sum(one.joined for one in evidence))


def interval(
    values: Iterable[float] | np.ndarray,
    level: float = 0.95,
    unit: str = PERCENT,
    of: str = "seeds",
) -> Interval:
    """Return the mean of repeated measurements and its confidence interval.

    Student's t interval, `mean ± t · s / √n`: it describes what other seeds
    would give, on the same images.

    Args:
        values: (n,), one value for each seed, n of at least 2.
        level: the share of such intervals that hold the true mean, in (0, 1).
        unit: "%" for shares and "points" for differences of shares, both in
            [-1, 1] and shown times 100; else the unit of the values, such as
            "nats", or "" for none.
        of: what the values belong to, in the plural.

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
    _check_level(level)
    mean = float(values.mean())
    error = values.std(ddof=1) / np.sqrt(len(values))
    half_width = float(stats.t.ppf((1 + level) / 2, df=len(values) - 1) * error)
    low, high = mean - half_width, mean + half_width
    return Interval(mean, low, high, len(values), unit, of, level)


def share(hits: np.ndarray, of: str = "images", level: float = 0.95) -> Interval:
    """Return a share of one sample, such as an accuracy, and Wilson's interval.

    It describes what other images of the same kind would give, with the same
    network; `interval` describes other seeds.

    Args:
        hits: (n,) bool, whether each image (or what `of` names) counts.
        of: what was counted, in the plural.
        level: as for `interval`.

    Raises:
        ValueError: there are no values, they are not bool, or the level is
            outside (0, 1).

    Source:
        Wilson (1927), Probable Inference, Journal of the American Statistical
        Association 22.
    """
    from scipy import stats

    hits = np.asarray(hits)
    if hits.ndim != 1 or not len(hits) or hits.dtype != bool:
        raise ValueError(
            f"Received values of shape {hits.shape} and type {hits.dtype}; expected "
            "at least one bool in one dimension, such as answers == labels."
        )
    _check_level(level)
    found = stats.binomtest(int(hits.sum()), len(hits))
    low, high = found.proportion_ci(level, method="wilson")
    return Interval(
        float(hits.mean()), float(low), float(high), len(hits), PERCENT, of, level
    )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(
            f"Received a level of {level}; expected a share between 0 and 1, as 0.95."
        )


def paired_difference(
    first: np.ndarray, second: np.ndarray, level: float = 0.95, unit: str = POINTS
) -> Interval:
    """Return the interval of `first - second`, seed by seed.

    Pairs share their seed and so their labelled images: what makes one seed
    harder than another cancels.

    Args:
        first: (n,), one value for each seed.
        second: (n,), the same seeds in the same order.
        level: as for `interval`.
        unit: as for `interval`.

    Raises:
        ValueError: the shapes differ, or `interval` refuses the differences.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape:
        raise ValueError(
            f"Received values of shapes {first.shape} and {second.shape}; expected "
            "the same shape, because values are compared seed by seed."
        )
    return interval(first - second, level, unit)


def lead(
    results: Mapping[Any, np.ndarray], first: Any, over: Any, at: int | None = None
) -> Interval:
    """Return by how much one method leads another, seed by seed.

    Args:
        results: for each method its accuracies in [0, 1], (seeds,), or
            (budgets, seeds) as `sweeps.sweep` returns them.
        first: the method that is asked about: its name, or another key.
        over: the name of the method that it is compared with.
        at: which row, if the results have rows: the position of the budget.

    Raises:
        ValueError: a name is unknown, a row is missing or not wanted, or
            `interval` refuses the differences.

    Example:
        >>> results = {"a": np.array([0.9, 0.8]), "b": np.array([0.8, 0.6])}
        >>> round(lead(results, "a", over="b").mean, 2)
        0.15
    """
    for name in (first, over):
        if name not in results:
            raise ValueError(
                f"Unknown method {name!r}; expected one of "
                f"{', '.join(map(repr, results))}."
            )
    rows = [np.asarray(results[name], dtype=float) for name in (first, over)]
    if any(row.ndim != (1 if at is None else 2) for row in rows):
        raise ValueError(
            f"Received results of shapes {rows[0].shape} and {rows[1].shape} and "
            f"at={at}; expected (seeds,) without a row, or (budgets, seeds) with one: "
            f"lead(results, {first!r}, over={over!r}, at=0)."
        )
    if at is None:
        return paired_difference(rows[0], rows[1])
    return paired_difference(rows[0][at], rows[1][at])
