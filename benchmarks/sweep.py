"""Time `sweeps.sweep` beside the same runs written with plain `model.fit`.

Both train the same strategies on the same images in the same order, in one
process; the ratio includes tracing and compilation. Run it on an idle machine:

    .venv/bin/python benchmarks/sweep.py
"""

import time
from collections.abc import Sequence

import keras
import numpy as np

from helpers import checkpoints, claims, data, sweeps, training

BUDGETS = (1, 5, 20)
SEEDS = training.seeds(10)


def plain_fit(
    source: keras.Model,
    domain: data.ImageData,
    budgets: Sequence[int],
    run_seeds: Sequence[int],
    recipe: sweeps.Recipe,
) -> dict[str, np.ndarray]:
    """Do what `sweeps.sweep` does, with a fresh model and `fit` for each run.

    Returns:
        For each strategy its accuracies, (budgets, seeds), in [0, 1].
    """
    known = training.layer_weights(source)
    shape = len(budgets), len(run_seeds)
    accuracies = {name: np.empty(shape) for name in sweeps.STRATEGIES}
    for column, seed in enumerate(run_seeds):
        fresh = training.fresh_weights(source, seed)
        for row, per_class in enumerate(budgets):
            chosen = data.label_budget(domain.train, per_class, seed)
            order = chosen[sweeps.draw_batches(len(chosen), recipe, seed)].ravel()
            images = data.Split(domain.train.x[order], domain.train.y[order])
            for name, tuned in sweeps.STRATEGIES.items():
                start = tuned.make(tuned.rate)(known, fresh)
                model = fit_once(source, start, images, recipe)
                answers = model.predict(domain.validation.x, verbose=0).argmax(axis=1)
                accuracies[name][row, column] = np.mean(answers == domain.validation.y)
    return accuracies


def fit_once(
    source: keras.Model, start: sweeps.Start, images: data.Split, recipe: sweeps.Recipe
) -> keras.Model:
    """Return a new model, trained by Keras on images in their order."""
    model = keras.models.clone_model(source)
    layers = [layer for layer in model.layers if layer.trainable_weights]
    rates = start.learning_rates
    for layer, values, rate in zip(layers, start.weights, rates, strict=True):
        layer.set_weights(values)
        layer.trainable = rate > 0
    training.compile_model(model, max(rates))
    model.fit(*images, batch_size=recipe.batch_size, shuffle=False, verbose=0)
    return model


def main(
    budgets: Sequence[int] = BUDGETS,
    run_seeds: Sequence[int] = SEEDS,
    recipe: sweeps.Recipe = sweeps.Recipe(),  # noqa: B008 (immutable)
) -> None:
    """Run both, print the ratio of their times and compare their accuracies."""
    digits = data.load_digits()
    source = checkpoints.load("mnist-dense")
    strategies = sweeps.strategies(*sweeps.STRATEGIES)
    clocks = [(time.perf_counter(), time.process_time())]
    swept = sweeps.sweep(source, strategies, digits, budgets, run_seeds, recipe)
    clocks.append((time.perf_counter(), time.process_time()))
    plain = plain_fit(source, digits, budgets, run_seeds, recipe)
    clocks.append((time.perf_counter(), time.process_time()))
    (sweep_s, sweep_cpu), (plain_s, plain_cpu) = np.diff(clocks, axis=0)
    runs = sum(values.size for values in plain.values())
    print(f"\r{runs} runs of {recipe.steps} updates each")
    print(f"sweep {sweep_s:.1f} s, plain fit {plain_s:.1f} s")
    print(f"sweep is {plain_s / sweep_s:.1f} times faster; plain fit needs ", end="")
    print(f"{plain_cpu / sweep_cpu:.1f} times as much of the processor")
    for name in plain:
        difference = 100 * (swept[name] - plain[name]).ravel()
        print(f"{name:16} differs by {difference.mean():+.2f} points", end="")
        if len(difference) > 1:
            found = claims.interval(difference)
            print(f" ({found.low:+.2f} to {found.high:+.2f})", end="")
        print()


if __name__ == "__main__":
    main()
