"""The book's style and the pictures it draws again and again.

Importing this module applies the style. Colours come with a line style or a
marker of their own, so that no figure depends on colour alone.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.core.getipython import get_ipython
from IPython.display import HTML, Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image

from helpers import claims

# Matplotlib's defaults first: a reader's own matplotlibrc changes no figure here.
plt.style.use(["default", Path(__file__).parent / "book.mplstyle"])
if get_ipython() is not None:
    set_matplotlib_formats("png")  # whatever the reader's profile asks for

# Blue, red, green, pink: the style file holds them.
COLORS = tuple(plt.rcParams["axes.prop_cycle"].by_key()["color"])
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
_END_LABEL = "end label"  # marks the texts that `end_label` wrote

# The whole script of a slider. It stands in the output itself, so that the same
# output works on the site and in JupyterLab (where `data-lm-suppress-shortcuts`
# keeps the arrow keys for it). What a position means is said by `aria-valuetext`.
_ON_INPUT = (
    "const box = this.closest('figure');"
    "box.querySelectorAll('img').forEach((img, i) => img.hidden = i != this.value);"
    "const text = box.querySelectorAll('img')[this.value].dataset.position;"
    "box.querySelector('span').textContent = text;"
    "this.setAttribute('aria-valuetext', text);"
)


def style(index: int) -> dict[str, str]:
    """Return colour, line style and marker number `index`, for `ax.plot`.

    Args:
        index: 0 to 3.

    Raises:
        ValueError: there is no such style.

    Example:
        >>> style(1)
        {'color': '#D55E00', 'linestyle': '--', 'marker': 's'}
    """
    if not 0 <= index < len(COLORS):
        raise ValueError(
            f"Received the style {index}; expected 0 to {len(COLORS) - 1}. "
            "Draw fewer lines in one figure."
        )
    return {
        "color": COLORS[index],
        "linestyle": LINES[index],
        "marker": MARKERS[index],
    }


def forest(
    ax: Axes,
    intervals: Mapping[str, claims.Interval],
    index: int = 0,
    shift: float = 0.0,
) -> None:
    """Draw intervals below each other, each with its mean and its name, and 0.

    Call it again with another `index` and a `shift` to put a second interval
    beside each of the first.

    Args:
        ax: where to draw.
        intervals: for each row its interval, the first on top.
        index: which colour and marker, 0 to 3.
        shift: how far below its row an interval is drawn, in rows.

    Raises:
        ValueError: there are no intervals, or no such style.
    """
    if not intervals:
        raise ValueError("Received no intervals; expected at least one to draw.")
    empty = not ax.has_data()
    look = style(index) | {"linestyle": "none"}
    for row, found in enumerate(intervals.values()):
        mean, low, high = (found.scale * v for v in (found.mean, found.low, found.high))
        ax.plot([low, high], [row + shift] * 2, color=look["color"])
        ax.plot(mean, row + shift, **look)
    if empty:
        ax.axvline(0, color="black", linewidth=1)
        ax.set_yticks(range(len(intervals)), list(intervals))
        ax.set_ylim(len(intervals) - 0.5, -0.5)
        ax.set_xlabel(
            f"gain ({next(iter(intervals.values())).unit})".replace(" ()", "")
        )


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Markdown:
    """Return a table for `display`: text to the left, everything else to the right.

    Args:
        header: one title for each column.
        rows: one entry for each column; text may hold Markdown.

    Raises:
        ValueError: a row is not as long as the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"Received a row of {len(row)} entries; expected {len(header)}, one "
                f"for each of {list(header)}."
            )
    first = rows[0] if rows else header
    rule = [":--" if isinstance(entry, str) else "--:" for entry in first]
    lines = [header, rule, *rows]
    return Markdown("\n".join(f"| {' | '.join(map(str, row))} |" for row in lines))


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

    Returns:
        A figure 6 inches wide.

    Raises:
        ValueError: the number of titles is not the number of images.
    """
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"Received {len(titles)} titles for {len(images)} images; "
            "expected one each."
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


def slider(
    figures: Sequence[Figure],
    label: str,
    positions: Sequence[str],
    alts: Sequence[str],
    caption: str,
) -> HTML:
    """Return figures that a slider shows one at a time, without a kernel.

    The frames are drawn beforehand. The slider is the browser's own, so it moves
    by mouse, by touch and by the arrow keys. Where no script runs, as in a
    notebook that JupyterLab does not trust yet, the first frame is shown.

    Args:
        figures: the frames, in order; they are closed.
        label: what the slider changes.
        positions: what each frame stands for, e.g. "w₁ = 0.5".
        alts: an alternative text for each frame.
        caption: what the reader should notice.

    Returns:
        The last expression of a cell.

    Raises:
        ValueError: fewer than two frames, or not one position and one
            alternative text for each.
    """
    counts = (len(figures), len(positions), len(alts))
    if len(set(counts)) > 1 or len(figures) < 2:
        raise ValueError(
            f"Received {counts[0]} figures, {counts[1]} positions and {counts[2]} "
            "alternative texts; expected at least two figures, with one of each."
        )
    images: list[str] = []
    for figure, position, alt in zip(figures, positions, alts, strict=True):
        drawn, png = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="png")
        plt.close(figure)
        # 64 colours are enough for lines, and take a third of the bytes.
        few = Image.open(drawn).convert("RGB").quantize(64, dither=Image.Dither.NONE)
        few.save(png, format="png", optimize=True)
        images.append(
            f'<img {"hidden " if images else ""}alt="{html.escape(alt)}" '
            f'data-position="{html.escape(position)}" '
            f'src="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}">'
        )
    first = html.escape(positions[0])
    parts = [
        '<figure class="slider">',
        f"<label>{html.escape(label)}: <span>{first}</span>",
        f'<input type="range" min="0" max="{len(figures) - 1}" value="0" step="1" '
        f'aria-valuetext="{first}" autocomplete="off" data-lm-suppress-shortcuts '
        f'oninput="{html.escape(_ON_INPUT)}"></label>',
        *images,
        f"<figcaption>{html.escape(caption)}</figcaption>",
        "</figure>",
    ]
    return HTML("\n".join(parts))


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

    Raises:
        ValueError: there is no such style, or a row of `values` has no interval.
    """
    look = style(index)
    intervals = [claims.interval(row) for row in values]
    means = [i.mean for i in intervals]
    ax.fill_between(
        x,
        [i.low for i in intervals],
        [i.high for i in intervals],
        color=look["color"],
        alpha=0.2,
        linewidth=0,
    )
    ax.plot(x, means, **look)
    end_label(ax, x[-1], means[-1], label, look["color"])


def end_label(ax: Axes, x: float, y: float, label: str, color: str) -> None:
    """Write a label to the right of a line's last point, in the line's colour.

    Labels of lines that end close together are moved apart, so that none
    covers another. Set the scale and the limits of the axes before.

    Args:
        ax: where the line is drawn.
        x: the last point's position.
        y: the last point's height.
        label: what the line shows.
        color: the line's colour.
    """
    ax.annotate(
        label,
        (x, y),
        xytext=(8, 0),
        textcoords="offset points",
        color=color,
        va="center",
        annotation_clip=False,
        gid=_END_LABEL,
    )
    _spread_end_labels(ax)


def _spread_end_labels(ax: Axes) -> None:
    """Give the labels at line ends a line of their own, with the least movement."""
    from scipy.optimize import isotonic_regression

    labels = [text for text in ax.texts if text.get_gid() == _END_LABEL]
    labels.sort(key=lambda text: text.xy[1])
    ax.get_ylim()  # fits the limits to what is drawn
    pixels = ax.transData.transform([text.xy for text in labels])[:, 1]
    height = pixels * 72 / ax.figure.dpi  # in points
    room = 1.25 * labels[0].get_fontsize() * np.arange(len(labels))
    # Ordered and `room` apart is the same as ordered once `room` is taken away.
    spread = isotonic_regression(height - room).x + room
    for text, moved in zip(labels, spread - height, strict=True):
        text.set_position((8, moved))


def budget_curves(
    accuracies: Mapping[str, np.ndarray], budgets: Sequence[int], unchanged: float
) -> Figure:
    """Draw accuracy against labels per class, one line for each strategy.

    Args:
        accuracies: for each strategy (budgets, seeds) values in [0, 1].
        budgets: labels per class, ascending.
        unchanged: the accuracy of the unchanged source model, in [0, 1].

    Returns:
        A figure with the means over seeds and their 95 % intervals.
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

    Returns:
        A figure with the loss on the left and the accuracy on the right.
    """
    figure, (left, right) = plt.subplots(1, 2)
    epochs = range(1, len(history["loss"]) + 1)
    for ax, key, scale in ((left, "loss", 1), (right, "accuracy", 100)):
        for index, (prefix, label) in enumerate(
            (("", "training"), ("val_", "validation"))
        ):
            values = scale * np.asarray(history[prefix + key])
            ax.plot(epochs, values, **style(index))
            end_label(ax, epochs[-1], values[-1], label, COLORS[index])
        ax.set_xlabel("epoch")
        ax.set_xticks(epochs[1::2])
    left.set_ylabel("cross-entropy (nats)")
    right.set_ylabel("accuracy (%)")
    return figure
