"""Time `training.sweep` beside the same runs written with plain `model.fit`.

Both train the same strategies on the same images in the same order, in one
process; the ratio includes tracing and compilation. Run it on an idle machine:

    .venv/bin/python benchmarks/sweep.py
"""

import time

import keras
import numpy as np

from helpers import claims, data, models, training, transfer

BUDGETS = (1, 5, 20)
SEEDS = training.seeds(10)


def plain_fit(
    source: keras.Model, domain: data.ImageData, recipe: training.Recipe
) -> dict[str, np.ndarray]:
    """Do what `training.sweep` does with a fresh model and `fit` for each run."""
    known = training.layer_weights(source)
    accuracies = {n: np.empty((len(BUDGETS), len(SEEDS))) for n in transfer.RATES}
    for column, seed in enumerate(SEEDS):
        fresh = training.fresh_weights(source, seed)
        for row, per_class in enumerate(BUDGETS):
            chosen = data.label_budget(domain.train, per_class, seed)
            order = chosen[training.draw_batches(len(chosen), recipe, seed)].ravel()
            for name, strategy in transfer.strategies(*transfer.RATES).items():
                start = strategy(known, fresh)
                model = keras.models.clone_model(source)
                layers = [layer for layer in model.layers if layer.trainable_weights]
                for layer, values, rate in zip(layers, *start, strict=True):
                    layer.set_weights(values)
                    layer.trainable = rate > 0
                model.compile(
                    optimizer=keras.optimizers.Adam(transfer.RATES[name]),
                    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                )
                model.fit(
                    domain.train.x[order],
                    domain.train.y[order],
                    batch_size=recipe.batch_size,
                    shuffle=False,
                    verbose=0,
                )
                answers = model.predict(domain.validation.x, verbose=0).argmax(axis=1)
                accuracies[name][row, column] = np.mean(answers == domain.validation.y)
    return accuracies


def main() -> None:
    """Run both, print the ratio of their times and compare their accuracies."""
    digits = data.load_digits()
    source = models.load_checkpoint("mnist-dense")
    recipe = training.Recipe()
    start = time.perf_counter()
    swept = training.sweep(
        source, transfer.strategies(*transfer.RATES), digits, BUDGETS, SEEDS, recipe
    )
    middle = time.perf_counter()
    plain = plain_fit(source, digits, recipe)
    end = time.perf_counter()
    runs = sum(values.size for values in plain.values())
    print(f"\n{runs} runs of {recipe.steps} updates each")
    print(f"sweep {middle - start:.1f} s, plain fit {end - middle:.1f} s")
    print(f"sweep is {(end - middle) / (middle - start):.1f} times faster")
    for name in plain:
        mean, low, high, _ = claims.interval((swept[name] - plain[name]).ravel())
        print(f"{name:16} differs by {100 * mean:+.2f} points", end="")
        print(f" ({100 * low:+.2f} to {100 * high:+.2f})")


if __name__ == "__main__":
    main()
