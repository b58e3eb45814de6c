"""Transfer strategies: where the weights come from, and which of them move.

A strategy is a function of the source model's weights and of fresh random
weights, both layer by layer with the input first (`training.layer_weights`).
It returns a `training.Start`. The learning rates are Adam's; those of
`RATES` were chosen on validation data in the chapter `code/transfer`.
"""

import numpy as np

from helpers.training import Start, Strategy

Weights = list[list[np.ndarray]]  # one list of arrays for each layer


def scratch(rate: float) -> Strategy:
    """Fresh weights everywhere, all trained at `rate`: the control without transfer."""
    return lambda source, fresh: Start(fresh, [rate] * len(fresh))


def random_features(rate: float) -> Strategy:
    """Fresh weights, only the head trained: the control for frozen features."""
    return lambda source, fresh: Start(fresh, _head_only(rate, fresh))


def frozen_features(rate: float) -> Strategy:
    """Source weights below, a fresh head on top, and only the head trained."""
    return lambda source, fresh: Start(
        source[:-1] + fresh[-1:], _head_only(rate, fresh)
    )


def fine_tuning(rate: float) -> Strategy:
    """Source weights everywhere, head included, all trained at `rate`."""
    return lambda source, fresh: Start(source, [rate] * len(source))


def _head_only(rate: float, weights: Weights) -> list[float]:
    return [0.0] * (len(weights) - 1) + [rate]


# Adam's learning rates, chosen on validation data in the chapter code/transfer.
RATES = {
    "from scratch": 1e-3,
    "random features": 3e-2,
    "frozen features": 1e-2,
    "fine-tuning": 3e-4,
}
MAKERS = {
    "from scratch": scratch,
    "random features": random_features,
    "frozen features": frozen_features,
    "fine-tuning": fine_tuning,
}


def strategies(*names: str) -> dict[str, Strategy]:
    """Return the named strategies at their chosen rates, for `training.sweep`.

    Raises:
        ValueError: a name is unknown.

    Example:
        >>> list(strategies("from scratch", "fine-tuning"))
        ['from scratch', 'fine-tuning']
    """
    for name in names:
        if name not in RATES:
            raise ValueError(
                f"Unknown strategy {name!r}; expected one of "
                f"{', '.join(map(repr, RATES))}. The source model unchanged "
                "needs no training: score it directly."
            )
    return {name: MAKERS[name](RATES[name]) for name in names}
