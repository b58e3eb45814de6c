"""A claim can fail, and an interval covers what it says it covers."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from helpers import claims

RNG = np.random.default_rng(2024)
SAMPLES = [
    RNG.normal(0.9, 0.05, 10),
    RNG.exponential(3.0, 25),
    np.array([1e-9, 2e-9]),
    np.array([1e6, -1e6, 3.0]),
]
TRUTHS = [True, np.True_, np.array(True), np.array([1, 2]).all()]
FALSEHOODS = [False, np.False_, np.array(False), np.array([0, 1]).all()]
NOT_BOOLS = [  # each with the name of its type
    (1, "int"),
    (0, "int"),
    (float("nan"), "float"),
    (np.float64(1), "float64"),
    (np.array(1.0), "float64"),
    (np.array([True]), "ndarray"),
    (np.array([True, True]), "ndarray"),
    ([True], "list"),
    ((), "tuple"),
    ("True", "str"),
    (None, "NoneType"),
]


@pytest.mark.parametrize("condition", TRUTHS, ids=repr)
def test_a_true_claim_is_printed(
    condition: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    claims.claim("water is wet", condition)
    assert capsys.readouterr().out == "✓ water is wet\n"


@pytest.mark.parametrize("condition", FALSEHOODS, ids=repr)
def test_a_false_claim_raises_and_prints_nothing(
    condition: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(claims.ClaimError, match="water is dry") as raised:
        claims.claim("water is dry", condition)
    assert isinstance(raised.value, AssertionError)
    assert "✓" not in capsys.readouterr().out


@pytest.mark.parametrize(("condition", "name"), NOT_BOOLS, ids=repr)
def test_what_is_not_one_bool_is_refused(
    condition: object, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TypeError, match="expected a single bool") as refused:
        claims.claim("it is so", condition)  # type: ignore[arg-type]
    assert f"'it is so' is a {name};" in str(refused.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("values", SAMPLES, ids=len)
def test_interval_is_students_t_interval(values: np.ndarray, level: float) -> None:
    found = claims.interval(values, level)
    expected = stats.t.interval(
        level, df=len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
    )
    assert np.allclose((found.low, found.high), expected, rtol=1e-9, atol=0)
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert found.count == len(values)
    assert all(type(number) is float for number in found[:3])


def test_interval_of_equal_values_has_no_width() -> None:
    assert claims.interval(np.full(10, 0.25)) == (0.25, 0.25, 0.25, 10)


def test_interval_is_at_95_percent_unless_told_otherwise() -> None:
    assert claims.interval(SAMPLES[0]) == claims.interval(SAMPLES[0], 0.95)
    twice = 2 * SAMPLES[0]
    assert claims.paired_difference(twice, SAMPLES[0]) == pytest.approx(
        claims.interval(SAMPLES[0], 0.95)
    )


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("count", [2, 10])
def test_intervals_cover_the_true_mean_as_often_as_they_say(
    level: float, count: int
) -> None:
    """Over 2,000 simulated experiments, within four standard deviations."""
    runs, truth = 2000, 0.7
    values = np.random.default_rng(count).normal(truth, 0.02, (runs, count))
    intervals = [claims.interval(row, level) for row in values]
    covered = np.mean([i.low <= truth <= i.high for i in intervals])
    assert abs(covered - level) < 4 * np.sqrt(level * (1 - level) / runs)


def test_paired_difference_is_the_interval_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(5)
    seed_effect = rng.normal(0, 0.3, 12)
    first = 0.8 + seed_effect + rng.normal(0, 0.01, 12)
    second = 0.7 + seed_effect + rng.normal(0, 0.01, 12)
    found = claims.paired_difference(first, second, 0.9)
    expected = stats.ttest_rel(first, second).confidence_interval(0.9)
    assert np.allclose((found.low, found.high), expected)
    unpaired = stats.ttest_ind(first, second).confidence_interval(0.9)
    assert found.high - found.low < (unpaired.high - unpaired.low) / 5


def test_paired_difference_changes_sign_with_its_order() -> None:
    first, second = RNG.random((2, 10))
    there = claims.paired_difference(first, second)
    back = claims.paired_difference(second, first)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize(
    "values",
    [[], [0.5], 0.5, [[0.1, 0.2], [0.3, 0.5]], [0.1, np.nan], [np.inf, 0.1, 0.2]],
    ids=repr,
)
def test_interval_refuses_what_has_none(values: object) -> None:
    with pytest.raises(ValueError, match="at least two finite numbers") as refused:
        claims.interval(np.array(values))
    assert str(np.shape(values)) in str(refused.value)
    with pytest.raises(ValueError, match="at least two finite numbers"):
        claims.paired_difference(np.array(values), np.zeros(np.shape(values)))


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, float("nan")])
def test_interval_refuses_an_impossible_level(level: float) -> None:
    with pytest.raises(ValueError, match=f"{level}; expected .* between 0 and 1"):
        claims.interval(SAMPLES[0], level)


def test_paired_difference_refuses_other_seeds() -> None:
    with pytest.raises(ValueError, match=r"\(10,\) and \(9,\).*seed by seed"):
        claims.paired_difference(np.zeros(10), np.zeros(9))
    with pytest.raises(ValueError, match="the same shape"):  # it would broadcast
        claims.paired_difference(np.zeros(10), np.zeros(1))


YARDSTICKS = """group,set_up,published,source,checkpoint,claim,why
a,"one, two",1 %,x1998,,,
b,three,2 %,y2012,mnist-dense,,"ours differs, by this"
a,four,0.30 %,z2020,,it holds,not here
"""


def test_yardsticks_are_the_rows_of_their_group_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "table.csv").write_text(YARDSTICKS, encoding="utf-8")
    monkeypatch.setattr(claims, "YARDSTICKS", tmp_path / "table.csv")
    assert claims.yardsticks("a") == [
        ("a", "one, two", "1 %", "x1998", "", "", ""),
        ("a", "four", "0.30 %", "z2020", "", "it holds", "not here"),
    ]
    assert claims.yardsticks("b")[0].checkpoint == "mnist-dense"
    with pytest.raises(ValueError, match="'c'; expected one of 'a', 'b'"):
        claims.yardsticks("c")
