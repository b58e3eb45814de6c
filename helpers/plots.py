"""The book's style and the pictures it draws again and again.

Importing this module applies the style. Colours come with a line style or a
marker of their own, so that no figure depends on colour alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import claims

plt.style.use(Path(__file__).parent / "book.mplstyle")

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # blue, red, green, pink
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")


def image_grid(
    images: np.ndarray,
    titles: Sequence[str] | None = None,
    columns: int = 10,
) -> Figure:
    """Draw grey images in rows.

    Args:
        images: (n, height, width) in [0, 1], 0 drawn black.
        titles: one short text above each image.
        columns: images in a row.

    Raises:
        ValueError: the number of titles is not the number of images.
    """
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"Received {len(titles)} titles for {len(images)} images; expected one each."
        )
    rows = -(-len(images) // columns)
    height = 6 / columns * rows * (1.0 if titles is None else 1.35)
    figure, axes = plt.subplots(rows, columns, figsize=(6, height), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for i, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        ax.imshow(image, vmin=0, vmax=1)
        if titles is not None:
            ax.set_title(titles[i], fontsize=8, loc="center", pad=3)
    return figure


def seed_band(
    ax: Axes, x: Sequence[float], values: np.ndarray, label: str, index: int = 0
) -> None:
    """Draw the mean over seeds as a line and its 95 % interval as a band.

    Args:
        ax: where to draw.
        x: (points,) positions.
        values: (points, seeds).
        label: written at the right end of the line, in its colour.
        index: which colour, line style and marker, from 0 to 3.
    """
    intervals = [claims.interval(row) for row in values]
    means = [i.mean for i in intervals]
    color = COLORS[index]
    ax.fill_between(
        x,
        [i.low for i in intervals],
        [i.high for i in intervals],
        color=color,
        alpha=0.2,
        linewidth=0,
    )
    ax.plot(x, means, LINES[index], marker=MARKERS[index], color=color)
    end_label(ax, x[-1], means[-1], label, color)


def end_label(ax: Axes, x: float, y: float, label: str, color: str) -> None:
    """Write a label to the right of a line's last point, in the line's colour."""
    ax.annotate(
        label,
        (x, y),
        xytext=(8, 0),
        textcoords="offset points",
        color=color,
        va="center",
        annotation_clip=False,
    )


def budget_curves(
    accuracies: Mapping[str, np.ndarray], budgets: Sequence[int], unchanged: float
) -> Figure:
    """Draw accuracy against labels per class, one line for each strategy.

    Args:
        accuracies: for each strategy (budgets, seeds) values in [0, 1].
        budgets: labels per class, ascending.
        unchanged: the accuracy of the unchanged source model, in [0, 1].
    """
    figure, ax = plt.subplots(figsize=(6, 3.4))
    ax.axhline(100 * unchanged, color="black", linewidth=1)
    ax.annotate(
        "source model unchanged",
        (budgets[-1], 100 * unchanged),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
    )
    for index, (name, values) in enumerate(accuracies.items()):
        seed_band(ax, budgets, 100 * values, name, index)
    ax.set_xscale("log")
    ax.set_xticks(budgets, [str(b) for b in budgets])
    ax.minorticks_off()
    ax.set_xlabel("labelled digits per class")
    ax.set_ylabel("test accuracy (%)")
    return figure


def history_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draw loss and accuracy of a training, epoch by epoch.

    Args:
        history: `loss`, `accuracy`, `val_loss` and `val_accuracy`, one value
            for each epoch, accuracies in [0, 1].
    """
    figure, (left, right) = plt.subplots(1, 2)
    epochs = range(1, len(history["loss"]) + 1)
    for ax, key, scale in ((left, "loss", 1), (right, "accuracy", 100)):
        for index, (prefix, label) in enumerate((("", "training"), ("val_", "validation"))):
            values = scale * np.asarray(history[prefix + key])
            ax.plot(
                epochs,
                values,
                LINES[index],
                marker=MARKERS[index],
                color=COLORS[index],
            )
            end_label(ax, epochs[-1], values[-1], label, COLORS[index])
        ax.set_xlabel("epoch")
        ax.set_xticks(epochs[1::2])
    left.set_ylabel("cross-entropy (nats)")
    right.set_ylabel("accuracy (%)")
    return figure
