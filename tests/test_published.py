"""A published experiment that was run once more is on a card, and the card is whole."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from helpers import data, pages
from helpers.paths import ROOT
from tools import published

NAMES = sorted(published.PLANS)
CARDS = sorted(pages.PUBLISHED.glob("*.json"))
by_name = pytest.mark.parametrize("name", NAMES)
by_card = pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)


def yardsticks_with_runs() -> list[pages.Yardstick]:
    with pages.YARDSTICKS.open(encoding="utf-8", newline="") as file:
        rows = [pages.Yardstick(**row) for row in csv.DictReader(file)]
    return [row for row in rows if row.run]


@pytest.fixture(scope="module")
def little() -> data.ImageData:
    """A few MNIST images of every digit in each part."""
    sample = data.load_mnist("sample")
    few = {
        part: data.Split(*(array[::17] for array in getattr(sample, part)))
        for part in ("train", "validation", "test")
    }
    assert all(len(np.unique(split.y)) == 10 for split in few.values())
    return sample._replace(**few)


# --- The experiments ----------------------------------------------------------------


@by_name
def test_two_steps_of_an_experiment_give_all_of_its_numbers(
    name: str, little: data.ImageData, tmp_path: Path
) -> None:
    """One epoch of two or so updates, or two updates of each task."""
    length = 2 if name == "split-mnist" else 1
    plan = published.PLANS[name] | {"seeds": 1, "length": length}
    published.make(name, plan, little, tmp_path)
    card = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert plan.items() <= card.items()
    (numbers,) = card["measured"].values()
    assert set(numbers) == set(plan["numbers"])
    assert np.isfinite(list(numbers.values())).all()
    exact = {"parameters": 34826, "dense-weights": 266200, "pruned-weights": 21776}
    assert {key: numbers[key] for key in exact if key in numbers}.items() <= (
        exact.items()
    )
    for key, number in plan["numbers"].items():
        assert "%" not in number["unit"] or 0 <= numbers[key] <= 100, key


def test_a_mask_keeps_the_largest_weights_and_their_share() -> None:
    kernel = published.network(30, 20, seed=3)[0]
    mask, size = published.largest(kernel, 0.1), np.abs(kernel.numpy())
    assert mask.sum() == 60 and set(np.unique(mask)) == {0, 1}
    assert size[mask == 1].min() > size[mask == 0].max()
    assert published.largest(kernel, 1.0).all()


def test_the_fisher_is_that_of_its_definition() -> None:
    """One gradient for each image and label, by TensorFlow."""
    theta = published.network(6, 5, 4, 10, seed=2)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    mask = published.rules_of("class", 2)[1][:3]
    expected = [np.zeros(w.shape) for w in theta]
    for i in range(3):
        for label in range(10):
            with tf.GradientTape() as tape:
                logits = published.dense(theta, x[i : i + 1]) + mask[i]
                log_chance = tf.nn.log_softmax(logits)[0, label]
            gradients = tape.gradient(log_chance, [w.value for w in theta])
            for total, gradient in zip(expected, gradients, strict=True):
                total += np.exp(log_chance) * np.square(gradient) / 3
    found = published.fisher([w.numpy() for w in theta], x, mask)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)


def test_a_scenario_says_what_a_digit_may_be_taken_for() -> None:
    """A 4 is in task 2: beside 5 alone; even; or one of the six digits seen so far."""
    known = {"task": [4, 5], "domain": [0, 1], "class": [0, 1, 2, 3, 4, 5]}
    for scenario, outputs in known.items():
        output_of, mask = published.rules_of(scenario, 2)
        assert np.flatnonzero(mask[4] == 0).tolist() == outputs
        assert output_of[4] == (0 if scenario == "domain" else 4)
        assert mask.max() == 0 and mask[4].min() < -1e8


# --- Cards --------------------------------------------------------------------------


def test_every_experiment_has_a_plan_that_says_all() -> None:
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    assert sorted(published.RUNS_OF) == NAMES
    for name, plan in published.PLANS.items():
        assert f"{{{plan['source']}," in bibliography, name
        assert plan["same_set_up"] in ("yes", "nearly"), name
        assert plan["seeds"] >= 3 and plan["length"] > 1, name
        for key in ("published_set_up", "set_up", "differs"):
            assert plan[key] and not plan[key].endswith((" ", "\n")), (name, key)
        for number in plan["numbers"].values():
            assert number["what"] and set(number) <= {"what", "unit", "published"}
        assert any("published" in number for number in plan["numbers"].values()), name


@by_card
def test_a_card_holds_the_plan_and_what_its_seeds_measured(path: Path) -> None:
    card = json.loads(path.read_text(encoding="utf-8"))
    assert published.PLANS[path.stem].items() <= card.items()
    assert card["data_sha256"] == data.MNIST_SHA256
    assert set(card["versions"]) == {"python", "keras", "tensorflow", "numpy"}
    assert list(card["measured"]) == [
        str(seed) for seed in range(1, len(card["measured"]) + 1)
    ]
    assert 1 <= len(card["measured"]) <= card["seeds"]
    for numbers in card["measured"].values():
        assert set(numbers) == set(card["numbers"])


def test_unknown_names_are_refused_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        published.main(["hinton", "imagenet"], tmp_path / "cards")
    for essence in ("Received imagenet", "hendrycks", "split-mnist"):
        assert essence in str(refused.value)
    assert not list(tmp_path.iterdir())


PLAN = {"seeds": 3, "length": 7, "numbers": {"error": {"what": "it", "unit": "%"}}}


class Experiment:
    """Something to run, which is stopped at a seed and knows what it was asked."""

    def __init__(self, stop: int = 0) -> None:
        self.stop, self.asked = stop, []

    def __call__(self, mnist: object, seed: int, length: int) -> dict[str, float]:
        self.asked.append(seed)
        if seed == self.stop:
            sys.exit("stopped")
        return {"error": np.float32(seed + length)}


def run(experiment: Experiment, plan: dict, folder: Path) -> dict:
    """Run it, perhaps until it is stopped; return the card that is there then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(published.RUNS_OF, "tiny", experiment)
        try:
            published.make("tiny", plan, None, folder)
        except SystemExit:
            assert experiment.stop
    assert [path.name for path in folder.iterdir()] == ["tiny.json"]
    return json.loads((folder / "tiny.json").read_text(encoding="utf-8"))


def test_a_run_that_was_stopped_leaves_its_seeds_and_goes_on(tmp_path: Path) -> None:
    stopped = run(Experiment(stop=3), PLAN, tmp_path)
    assert stopped["measured"] == {"1": {"error": 8.0}, "2": {"error": 9.0}}
    again = Experiment()
    whole = run(again, PLAN, tmp_path)
    assert again.asked == [3]
    assert whole == stopped | {"measured": stopped["measured"] | {"3": {"error": 10.0}}}


@pytest.mark.parametrize("change", [{}, {"length": 8}], ids=["complete", "other plan"])
def test_a_complete_card_or_one_of_another_plan_is_made_anew(
    change: dict, tmp_path: Path
) -> None:
    run(Experiment(stop=3 if change else 0), PLAN, tmp_path)
    again = Experiment()
    run(again, PLAN | change, tmp_path)
    assert again.asked == [1, 2, 3]


def test_a_card_is_replaced_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it is written, the card is the one of the seed before."""
    before = run(Experiment(stop=2), PLAN, tmp_path)
    monkeypatch.setitem(published.RUNS_OF, "tiny", Experiment())
    monkeypatch.setattr(Path, "replace", lambda *args: sys.exit("stopped"))
    with pytest.raises(SystemExit):
        published.make("tiny", PLAN, None, tmp_path)
    assert json.loads((tmp_path / "tiny.json").read_text()) == before


# --- What the appendix shows --------------------------------------------------------


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """A complete card, where `pages.rerun` looks for it."""
    monkeypatch.setattr(pages, "PUBLISHED", tmp_path)
    words = {"same_set_up": "nearly", "differs": "fewer images"}
    return run(Experiment(), PLAN | words, tmp_path)


def test_a_rerun_is_the_mean_and_spread_of_its_seeds(card: dict) -> None:
    found = pages.rerun("tiny#error")
    spread, how = np.std([8, 9, 10], ddof=1), ("nearly", "fewer images")
    assert found == (9.0, spread, 3, "%", *how, (8.0, 9.0, 10.0))
    assert str(found) == "9.00 ± 1.00 % (3 seeds)"
    assert str(found._replace(mean=146.3, unit="errors")) == "146 ± 1 errors (3 seeds)"


def test_an_unknown_or_unfinished_run_is_refused(card: dict) -> None:
    with pytest.raises(LookupError, match=r"'tinny#error'.*there are: tiny"):
        pages.rerun("tinny#error")
    for unknown in ("tiny#eror", "tiny"):
        with pytest.raises(LookupError, match=r"tiny has no number .* one of error"):
            pages.rerun(unknown)
    del card["measured"]["3"]
    (pages.PUBLISHED / "tiny.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(LookupError, match=r"2 of 3 seeds.*published.py tiny"):
        pages.rerun("tiny#error")


def test_a_row_that_names_runs_has_their_source_and_published_numbers() -> None:
    for row in yardsticks_with_runs():
        for run in row.run.split():
            name, _, number = run.partition("#")
            assert pages.rerun(run).seeds == published.PLANS[name]["seeds"]
            assert published.PLANS[name]["source"] == row.source, row
            shown = published.PLANS[name]["numbers"][number]["published"]
            assert f"{shown:g}" in row.published, row
