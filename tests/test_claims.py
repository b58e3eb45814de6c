"""A claim can fail, and an interval covers what it says it covers."""

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
    (float("nan"), "float"),
    (np.float64(1), "float64"),
    (np.array(1.0), "float64"),
    (np.array([True]), "ndarray"),
    ([True], "list"),
    ((), "tuple"),
    ("True", "str"),
    (None, "NoneType"),
]
GAIN = claims.Interval(0.093, 0.071, 0.115, 10, claims.POINTS)
ENTROPY = claims.Interval(0.42, 0.39, 0.45, 12, "nats")


# --- Findings -----------------------------------------------------------------------


def test_a_finding_is_printed_with_its_evidence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    claims.claim("it gains more than 5 points", GAIN.above(0.05))
    assert capsys.readouterr().out == (
        "✓ it gains more than 5 points ⟨+9.3, 95 % 7.1 to 11.5, asked > 5, 10 seeds⟩\n"
    )


def test_a_finding_that_fails_says_what_was_measured_and_prints_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(
        claims.ClaimError, match=r"more than 8 .*7\.1 to 11\.5, asked > 8"
    ):
        claims.claim("it gains more than 8 points", GAIN.above(0.08))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("evidence", "holds"),
    [
        (GAIN.above(0.07), True),
        (GAIN.above(0.071), False),  # strictly
        (GAIN.above(0.072), False),
        (GAIN.below(0.12), True),
        (GAIN.below(0.115), False),
        (GAIN.within(0.07, 0.12), True),
        (GAIN.within(0.08, 0.12), False),
        (GAIN.within(0.07, 0.11), False),
        (claims.interval([0.5, 0.5, 0.5]).above(0.4), True),
        (claims.interval([0.5, 0.5, 0.5]).above(0.5), False),
    ],
    ids=repr,
)
def test_the_whole_interval_has_to_be_on_the_right_side(
    evidence: claims.Evidence, holds: bool
) -> None:
    assert evidence.holds is holds


@pytest.mark.parametrize(
    ("evidence", "margin"),
    [
        (GAIN.above(0.05), 0.021 / 0.022),
        (GAIN.below(0.10), -0.015 / 0.022),
        (GAIN.within(0.0, 0.2), 0.071 / 0.022),
        (GAIN.within(0.0, 0.126), 0.011 / 0.022),
        (claims.interval([0.5, 0.5]).above(0.4), np.inf),
        (claims.interval([0.5, 0.5]).above(0.6), -np.inf),
    ],
    ids=repr,
)
def test_the_margin_is_the_distance_in_half_widths(
    evidence: claims.Evidence, margin: float
) -> None:
    assert evidence.margin == pytest.approx(margin)


@pytest.mark.parametrize(
    ("evidence", "text"),
    [
        (ENTROPY.below(0.5), "0.420 nats, 95 % 0.390 to 0.450, asked < 0.5, 12 seeds"),
        (
            claims.Interval(0.9, 0.88, 0.92, 10_000, of="images").within(0.5, 0.95),
            "90.0 %, 95 % 88.0 to 92.0, asked 50 to 95, 10,000 images",
        ),
        (
            claims.Interval(-0.2, -0.3, 0.01, 10, claims.POINTS).below(0.05),
            "−20, 95 % −30 to 1, asked < 5, 10 seeds",
        ),
        (
            claims.Interval(3e-8, 2e-8, 4e-8, 5, "", level=0.9).above(-1),
            "3e-08, 90 % 2e-08 to 4e-08, asked > −1, 5 seeds".replace("e-", "e−"),
        ),
    ],
    ids=repr,
)
def test_evidence_is_written_in_the_unit_of_the_finding(
    evidence: claims.Evidence, text: str
) -> None:
    assert evidence.text == text


def test_of_several_comparisons_the_weakest_counts() -> None:
    strong, weak, failing = GAIN.above(0.0), GAIN.above(0.06), GAIN.above(0.08)
    joined = claims.weakest(strong, weak)
    assert joined.holds
    assert joined.text == f"weakest of 2: {weak.text}"
    assert claims.weakest(failing, strong, weak).margin == failing.margin
    assert not claims.weakest(joined, failing).holds
    assert claims.weakest(joined, strong).text == f"weakest of 3: {weak.text}"
    assert claims.weakest(weak) == weak


def test_an_exact_interval_on_its_bar_is_the_weakest_and_fails() -> None:
    on_the_bar = claims.interval([0.5, 0.5]).above(0.5)
    assert not claims.weakest(GAIN.above(0.06), on_the_bar).holds


@pytest.mark.parametrize("value", [True, *(value for value, _ in NOT_BOOLS)], ids=repr)
def test_a_finding_takes_evidence_and_nothing_else(
    value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    name = type(value).__name__
    with pytest.raises(TypeError, match=f"'it is so' was given a {name};") as refused:
        claims.claim("it is so", value)  # type: ignore[arg-type]
    assert ".above(" in str(refused.value)
    assert "check(" in str(refused.value)
    with pytest.raises(TypeError, match=f"Received a {name} among the evidence"):
        claims.weakest(GAIN.above(0.0), value)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""


def test_nothing_joined_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="Received no evidence"):
        claims.weakest()


@pytest.mark.parametrize("bar", [float("nan"), float("inf"), "5", None], ids=repr)
def test_a_bar_is_a_finite_number(bar: float) -> None:
    calls = (GAIN.above, GAIN.below, lambda b: GAIN.within(0.0, b))
    for compare in calls:
        with pytest.raises(ValueError, match="expected a finite number"):
            compare(bar)


def test_bars_stand_in_their_order() -> None:
    with pytest.raises(ValueError, match=r"0.2 and 0.1; expected the lower one first"):
        GAIN.within(0.2, 0.1)


@pytest.mark.parametrize(
    "sentence", ["", " ", None, 3, "two\nlines", "a ⟨b⟩"], ids=repr
)
def test_a_sentence_is_one_line_of_text(sentence: str) -> None:
    for state in (
        lambda: claims.claim(sentence, GAIN.above(0.0)),
        lambda: claims.check(sentence, True),
        lambda: claims.unmeasured(sentence, "no data"),
    ):
        with pytest.raises(ValueError, match="expected"):
            state()


def test_what_cannot_be_measured_carries_no_tick(
    capsys: pytest.CaptureFixture[str],
) -> None:
    claims.unmeasured("it gains", "needs all of MNIST")
    assert capsys.readouterr().out == "○ it gains ⟨not measured: needs all of MNIST⟩\n"


def test_in_a_replication_what_fails_is_printed_and_the_notebook_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOOK_REPLICATE", "1")
    claims.claim("it gains", GAIN.above(0.08))
    claims.check("seven is even", 7 % 2 == 0)
    claims.check("seven is odd", 7 % 2 == 1)
    assert [line[:3] for line in capsys.readouterr().out.splitlines()] == [
        "✗ i",
        "✗ s",
        "✓ s",
    ]


# --- Checks -------------------------------------------------------------------------


@pytest.mark.parametrize("condition", TRUTHS, ids=repr)
def test_a_true_check_is_printed(
    condition: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    claims.check("water is wet", condition)
    assert capsys.readouterr().out == "✓ water is wet\n"


@pytest.mark.parametrize("condition", FALSEHOODS, ids=repr)
def test_a_false_check_raises_and_prints_nothing(
    condition: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(claims.ClaimError, match="water is dry") as raised:
        claims.check("water is dry", condition)
    assert isinstance(raised.value, AssertionError)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("condition", "name"), NOT_BOOLS, ids=repr)
def test_what_is_not_one_bool_is_refused(
    condition: object, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TypeError, match="expected a single bool") as refused:
        claims.check("it is so", condition)  # type: ignore[arg-type]
    assert f"'it is so' is a {name};" in str(refused.value)
    assert capsys.readouterr().out == ""


# --- Intervals ----------------------------------------------------------------------


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
    numbers = (found.mean, found.low, found.high)
    assert all(type(number) is float for number in numbers)


def test_interval_of_equal_values_has_no_width() -> None:
    found = claims.interval(np.full(10, 0.25))
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)
    assert found.count == 10


def test_interval_is_at_95_percent_unless_told_otherwise() -> None:
    assert claims.interval(SAMPLES[0]) == claims.interval(SAMPLES[0], 0.95)
    found = claims.paired_difference(2 * SAMPLES[0], SAMPLES[0])
    expected = claims.interval(SAMPLES[0], 0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


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


def test_a_share_has_wilsons_interval() -> None:
    """Against the formula of 1927, written out."""
    hits = np.arange(640) < 501
    found = claims.share(hits)
    z, n, p = stats.norm.ppf(0.975), 640, 501 / 640
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))
    assert found.mean == pytest.approx(p)
    assert found.above(0.7).text.endswith("asked > 70, 640 images")


@pytest.mark.parametrize("hits", [[], [0.5], [1, 0], [[True]], True], ids=repr)
def test_a_share_needs_hits(hits: object) -> None:
    with pytest.raises(ValueError, match="expected at least one bool"):
        claims.share(np.array(hits))


RESULTS = {"a": RNG.random((3, 10)), "b": RNG.random((3, 10))}


def test_a_lead_is_the_paired_difference_at_one_budget() -> None:
    expected = claims.paired_difference(RESULTS["a"][2], RESULTS["b"][2])
    assert claims.lead(RESULTS, "a", over="b", at=2) == expected
    single = {name: values[2] for name, values in RESULTS.items()}
    assert claims.lead(single, "a", over="b") == expected
    assert expected.unit == claims.POINTS


def test_a_lead_names_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="'c'; expected one of 'a', 'b'"):
        claims.lead(RESULTS, "a", over="c", at=0)
    with pytest.raises(ValueError, match=r"\(3, 10\) and at=None.*at=0"):
        claims.lead(RESULTS, "a", over="b")
    with pytest.raises(ValueError, match=r"\(10,\) .*at=0"):
        claims.lead({"a": np.ones(10), "b": np.ones(10)}, "a", over="b", at=0)
