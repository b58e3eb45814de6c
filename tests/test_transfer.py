"""Every strategy starts where it says, moves what it says, and harms no source."""

import keras
import numpy as np
import pytest

from helpers import data, training, transfer

RATE = 0.02
Weights = list[list[np.ndarray]]

# Where each layer below the head, and the head, start; and whether they move.
EXPECTED = {
    "from scratch": ("fresh", "fresh", True),
    "random features": ("fresh", "fresh", False),
    "frozen features": ("source", "fresh", False),
    "fine-tuning": ("source", "source", True),
}
MAKERS = {
    "from scratch": transfer.scratch,
    "random features": transfer.random_features,
    "frozen features": transfer.frozen_features,
    "fine-tuning": transfer.fine_tuning,
}
by_name = pytest.mark.parametrize("name", EXPECTED)


def layers(count: int, value: float) -> Weights:
    return [[np.full((2, 2), value + i), np.full(2, value)] for i in range(count)]


def flat(weights: Weights) -> list[bytes]:
    return [array.tobytes() for layer in weights for array in layer]


@pytest.mark.parametrize("count", [1, 2, 5])
@by_name
def test_a_strategy_starts_and_moves_as_its_name_says(name: str, count: int) -> None:
    weights = {"source": layers(count, 100.0), "fresh": layers(count, 0.5)}
    below, head, moves = EXPECTED[name]
    start = MAKERS[name](RATE)(weights["source"], weights["fresh"])
    expected = weights[below][:-1] + weights[head][-1:]
    assert flat(start.weights) == flat(expected)
    assert start.learning_rates == [RATE if moves else 0] * (count - 1) + [RATE]


@by_name
def test_strategies_are_found_by_name_at_the_published_rates(name: str) -> None:
    weights = layers(3, 100.0), layers(3, 0.5)
    (found,) = transfer.strategies(name).values()
    expected = MAKERS[name](transfer.RATES[name])(*weights)
    assert flat(found(*weights).weights) == flat(expected.weights)
    assert found(*weights).learning_rates == expected.learning_rates


def test_strategies_come_in_the_order_asked_for() -> None:
    for names in (tuple(EXPECTED), tuple(EXPECTED)[::-1], ("fine-tuning",), ()):
        assert tuple(transfer.strategies(*names)) == names
    assert set(transfer.RATES) == set(EXPECTED)
    assert all(0 < rate < 0.1 for rate in transfer.RATES.values())


@pytest.mark.parametrize("name", ["fine tuning", "Fine-tuning", "", "source unchanged"])
def test_an_unknown_strategy_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(ValueError) as refused:
        transfer.strategies("from scratch", name)
    for essence in (repr(name), *map(repr, EXPECTED), "score it directly"):
        assert essence in str(refused.value)


def test_a_run_moves_only_what_its_strategy_lets_and_never_the_source() -> None:
    """Through the compiled run: frozen layers bit for bit, moving ones moved."""
    rng = np.random.default_rng(0)
    part = data.Split(rng.random((20, 3, 3), np.float32), np.arange(20) % 2)
    hidden, head = keras.layers.Dense(4, "relu"), keras.layers.Dense(2)
    model = keras.Sequential(
        [keras.Input((3, 3)), keras.layers.Flatten(), hidden, head]
    )
    clones = [keras.models.clone_model(model) for _ in range(2)]
    weights = dict(
        zip(("source", "fresh"), map(training.layer_weights, clones), strict=True)
    )
    before = {which: flat(arrays) for which, arrays in weights.items()}
    assert before["source"][0] != before["fresh"][0]
    run = training.compile_run(model, part, part)
    batches = training.draw_batches(20, training.Recipe(steps=5, batch_size=10), 0)
    for name, (below, top, moves) in EXPECTED.items():
        run(MAKERS[name](RATE)(weights["source"], weights["fresh"]), batches)
        found = flat(training.layer_weights(model))
        assert (found[:2] == before[below][:2]) is not moves
        assert found[2] != before[top][2] and found[3] != before[top][3]
        assert {which: flat(arrays) for which, arrays in weights.items()} == before
        assert clones[0].get_weights()[0].tobytes() == before["source"][0]
