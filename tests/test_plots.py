"""Figures have the book's style, show the numbers given, and can be read."""

import base64
import io
import itertools
from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from scipy import stats

from helpers import claims, plots

BUDGETS = [1, 2, 5, 10]
CLOSE = [0.93, 0.935, 0.94, 0.96]  # where the lines of `accuracies` end
GROUNDS = ("#ffffff", "#121212", "#14181e")  # pages: light, dark, the theme's dark


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def accuracies() -> dict[str, np.ndarray]:
    """Four strategies whose lines end close together."""
    names = ["from scratch", "random features", "frozen features", "fine-tuning"]
    rise = np.linspace(-0.3, 0, len(BUDGETS))[:, None]
    noise = np.random.default_rng(7).normal(0, 0.01, (len(BUDGETS), 10))
    return {n: end + rise + noise for n, end in zip(names, CLOSE, strict=True)}


@pytest.fixture
def history() -> dict[str, list[float]]:
    return {
        "loss": [0.9, 0.5, 0.3, 0.21],
        "accuracy": [0.7, 0.8, 0.9, 0.95],
        "val_loss": [1.0, 0.6, 0.4, 0.22],
        "val_accuracy": [0.65, 0.75, 0.85, 0.945],
    }


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(first: str, second: str) -> float:
    dark, light = sorted([luminance(first), luminance(second)])
    return (light + 0.05) / (dark + 0.05)


def end_labels(figure: Figure) -> list[Annotation]:
    """The texts of a figure that are written in a colour of the palette."""
    texts = [text for ax in figure.axes for text in ax.texts]
    return [text for text in texts if text.get_color() in plots.COLORS]


# --- Style ------------------------------------------------------------------------


def test_contrast_is_that_of_wcag() -> None:
    """The oracle's own check: the published ratios of black and of #777 on white."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("color", plots.COLORS)
def test_colors_stand_out_from_both_grounds(color: str, ground: str) -> None:
    assert contrast(color, ground) >= 3


def test_lines_differ_without_their_colors() -> None:
    for distinct in (plots.COLORS, plots.LINES, plots.MARKERS):
        assert len(set(distinct)) == len(plots.COLORS)


def test_importing_applies_the_style_of_the_style_guide() -> None:
    expected = {
        "figure.figsize": [6.0, 3.0],
        "font.family": ["DejaVu Sans"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "image.cmap": "gray",
        "image.interpolation": "none",
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "savefig.facecolor": "white",
    }
    assert {key: mpl.rcParams[key] for key in expected} == expected
    cycle = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    assert cycle == list(plots.COLORS)


# --- Pictures ---------------------------------------------------------------------


def test_every_image_is_drawn_once_in_order_with_its_title() -> None:
    images = np.random.default_rng(8).random((7, 28, 28)) * 0.5  # nowhere white
    titles = [f"image {i}" for i in range(7)]
    figure = plots.image_grid(images, titles, columns=3)
    assert len(figure.axes) == 9
    for ax, image, title in zip(figure.axes, images, titles, strict=False):
        (drawn,) = ax.images
        assert np.array_equal(drawn.get_array(), image)
        assert drawn.get_clim() == (0, 1) and drawn.get_cmap().name == "gray"
        assert title in {ax.get_title(), ax.get_title("left")}
    assert not any(ax.images for ax in figure.axes[7:])
    assert not any(ax.axison for ax in figure.axes)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_image_grid_wants_one_title_each(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} titles for 2 images.*one each"):
        plots.image_grid(np.zeros((2, 28, 28)), [""] * count)


# --- Curves -----------------------------------------------------------------------


def test_a_band_is_the_mean_over_seeds_and_its_t_interval() -> None:
    values = np.random.default_rng(9).normal(50, 5, (3, 8))
    _, ax = plt.subplots()
    plots.seed_band(ax, [1, 2, 4], values, "name", index=2)
    (line,) = ax.lines
    (band,) = ax.collections
    assert np.allclose(line.get_xydata(), np.column_stack([[1, 2, 4], values.mean(1)]))
    corners = band.get_paths()[0].vertices
    for x, row in zip([1, 2, 4], values, strict=True):
        low, high = stats.t.interval(0.95, 7, row.mean(), stats.sem(row))
        heights = corners[corners[:, 0] == x, 1]
        assert (heights.min(), heights.max()) == pytest.approx((low, high))
    drawn = line.get_color(), line.get_linestyle(), line.get_marker()
    assert drawn == (plots.COLORS[2], plots.LINES[2], plots.MARKERS[2])
    assert mpl.colors.same_color(band.get_facecolor()[0][:3], plots.COLORS[2])


@pytest.mark.parametrize("index", [-1, 4])
def test_a_band_has_one_of_four_styles(index: int) -> None:
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=f"{index}.*0 to 3"):
        plots.seed_band(ax, [1, 2], np.eye(2), "name", index)


def test_budget_curves_show_every_strategy_in_percent(
    accuracies: dict[str, np.ndarray],
) -> None:
    figure = plots.budget_curves(accuracies, BUDGETS, unchanged=0.81)
    (ax,) = figure.axes
    reference, *lines = ax.lines
    assert set(reference.get_ydata()) == {81}
    for line, values in zip(lines, accuracies.values(), strict=True):
        assert np.array_equal(line.get_xdata(), BUDGETS)
        assert np.allclose(line.get_ydata(), 100 * values.mean(axis=1))
    assert ax.get_xscale() == "log" and "%" in ax.get_ylabel() and ax.get_xlabel()
    assert [text.get_text() for text in ax.get_xticklabels()] == list(map(str, BUDGETS))


def test_history_curves_show_loss_and_accuracy_epoch_by_epoch(
    history: dict[str, list[float]],
) -> None:
    figure = plots.history_curves(history)
    for ax, key, scale in zip(figure.axes, ["loss", "accuracy"], [1, 100], strict=True):
        for line, prefix in zip(ax.lines, ["", "val_"], strict=True):
            assert list(line.get_xdata()) == [1, 2, 3, 4]
            assert np.allclose(
                line.get_ydata(), scale * np.array(history[prefix + key])
            )
        assert ax.get_xlabel() == "epoch"
    units = [ax.get_ylabel().split()[-1] for ax in figure.axes]
    assert units == ["(nats)", "(%)"]


def both_figures(
    accuracies: dict[str, np.ndarray], history: dict[str, list[float]]
) -> list[Figure]:
    return [
        plots.budget_curves(accuracies, BUDGETS, unchanged=0.81),
        plots.history_curves(history),
    ]


def test_a_label_stands_at_the_end_of_its_line_in_its_color(
    accuracies: dict[str, np.ndarray], history: dict[str, list[float]]
) -> None:
    names = [list(accuracies), ["training", "validation"] * 2]
    for figure, expected in zip(both_figures(accuracies, history), names, strict=True):
        labels = end_labels(figure)
        lines = [
            line
            for ax in figure.axes
            for line in ax.lines
            if line.get_color() in plots.COLORS
        ]
        assert [label.get_text() for label in labels] == expected
        for label, line in zip(labels, lines, strict=True):
            assert label.xy == pytest.approx(tuple(line.get_xydata()[-1]))
            assert label.get_color() == line.get_color()
            end = line.get_transform().transform(label.xy)
            assert label.get_window_extent().x0 > end[0]


def test_labels_stay_in_the_figure_and_cover_no_other(
    accuracies: dict[str, np.ndarray], history: dict[str, list[float]]
) -> None:
    for figure in both_figures(accuracies, history):
        figure.draw_without_rendering()
        labels = end_labels(figure)
        boxes = {label: label.get_window_extent() for label in labels}
        for first, second in itertools.combinations(boxes.values(), 2):
            assert not first.overlaps(second)
        for box in boxes.values():
            assert box.x1 <= figure.bbox.x1 and box.x0 >= 0
            assert box.y1 <= figure.bbox.y1 and box.y0 >= 0


def test_labels_keep_the_order_of_the_lines_and_move_only_if_they_must() -> None:
    figure, ax = plt.subplots()
    ends = [0.1, 0.9, 0.5, 0.51]
    ax.set_ylim(0, 1)
    for y, color in zip(ends, plots.COLORS, strict=True):
        plots.end_label(ax, 1, y, f"{y}", color)
    labels = end_labels(figure)
    heights = [label.get_window_extent().y0 for label in labels]
    assert np.argsort(heights).tolist() == np.argsort(ends).tolist()
    moved = [label.get_position()[1] for label in labels]
    assert moved[:2] == pytest.approx([0, 0], abs=1e-9)
    assert moved[2] == pytest.approx(-moved[3])  # the pair shares the movement


# --- Sliders ----------------------------------------------------------------------


def drawn(count: int) -> list[Figure]:
    """Figures with a horizontal line at the height of their number."""
    figures = []
    for i in range(count):
        figure, ax = plt.subplots(figsize=(6, 1))
        ax.axhline(i)
        figures.append(figure)
    return figures


def test_a_slider_holds_every_frame_with_its_texts() -> None:
    figures = drawn(3)
    expected = []
    for figure in figures:
        figure.canvas.draw()
        expected.append(np.asarray(figure.canvas.buffer_rgba()))
    texts = ['a < b & "c"', "second", "third"]
    shown = plots.slider(figures, "weight <w>", texts, ["one", '"2"', "three"], "A & B")
    assert plt.get_fignums() == []
    soup = BeautifulSoup(shown.data, "html.parser")
    frames = soup.find_all("img")
    assert [frame["data-position"] for frame in frames] == texts
    assert [frame["alt"] for frame in frames] == ["one", '"2"', "three"]
    assert [frame.has_attr("hidden") for frame in frames] == [False, True, True]
    assert soup.figcaption.get_text() == "A & B"
    assert soup.label.get_text().strip() == f"weight <w>: {texts[0]}"
    assert soup.input["aria-valuetext"] == texts[0]
    assert (soup.input["min"], soup.input["max"]) == ("0", "2")
    for frame, pixels in zip(frames, expected, strict=True):
        png = base64.b64decode(frame["src"].removeprefix("data:image/png;base64,"))
        read = 255 * plt.imread(io.BytesIO(png))[..., :3]
        assert read.shape == pixels[..., :3].shape
        assert np.abs(read - pixels[..., :3]).mean() < 1  # few colours, no other lines


@pytest.mark.parametrize("counts", [(1, 1, 1), (3, 2, 3), (3, 3, 2), (0, 0, 0)])
def test_a_slider_asks_for_texts_for_every_frame(counts: tuple[int, int, int]) -> None:
    frames, positions, alts = counts
    with pytest.raises(ValueError, match=f"{frames} figures, {positions} positions"):
        plots.slider(drawn(frames), "w", ["p"] * positions, ["a"] * alts, "caption")


# --- Tables, styles, forests --------------------------------------------------------


def test_a_table_has_text_to_the_left_and_the_rest_to_the_right() -> None:
    shown = plots.table(["method", "accuracy"], [["scratch", 83.7], ["tuned", 94.7]])
    assert shown.data.splitlines() == [
        "| method | accuracy |",
        "| :-- | --: |",
        "| scratch | 83.7 |",
        "| tuned | 94.7 |",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert plots.table(["a", "b"], []).data == "| a | b |\n| :-- | :-- |"


@pytest.mark.parametrize("row", [["tuned"], ["tuned", 1, 2], []], ids=len)
def test_a_row_of_another_length_is_refused(row: list[object]) -> None:
    with pytest.raises(ValueError, match=f"row of {len(row)} entries; expected 2"):
        plots.table(["method", "accuracy"], [["scratch", 83.7], row])


def test_styles_differ_in_more_than_color() -> None:
    styles = [plots.style(i) for i in range(4)]
    for key in ("color", "linestyle", "marker"):
        assert len({style[key] for style in styles}) == 4


@pytest.mark.parametrize("index", [-1, 4, 10])
def test_there_are_four_styles(index: int) -> None:
    with pytest.raises(ValueError, match=f"style {index}; expected 0 to 3"):
        plots.style(index)


GAINS = {
    "first": claims.Interval(0.02, -0.01, 0.05, 10, claims.POINTS),
    "second": claims.Interval(0.10, 0.08, 0.12, 10, claims.POINTS),
}


def test_a_forest_shows_each_interval_at_the_height_of_its_name() -> None:
    _, ax = plt.subplots()
    plots.forest(ax, GAINS)
    heights = {t.get_text(): t.get_position()[1] for t in ax.get_yticklabels()}
    assert heights["first"] < heights["second"]
    assert ax.yaxis_inverted()  # so the first is on top
    bars = [line for line in ax.lines if len(set(line.get_ydata())) == 1]
    drawn = {
        line.get_ydata()[0]: list(line.get_xdata())
        for line in bars
        if len(line.get_xdata()) == 2 and line.get_marker() in ("None", "")
    }
    for name, found in GAINS.items():
        assert drawn[heights[name]] == pytest.approx(
            [100 * found.low, 100 * found.high]
        )
    means = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert means == pytest.approx([2, 10])
    assert ax.get_xlabel() == "gain (points)"
    zero = [line for line in ax.lines if list(line.get_xdata()) == [0, 0]]
    assert len(zero) == 1


def test_a_second_forest_stands_beside_the_first() -> None:
    _, ax = plt.subplots()
    plots.forest(ax, GAINS)
    before = ax.get_ylim(), ax.get_yticks().tolist()
    plots.forest(ax, GAINS, index=1, shift=0.2)
    assert (ax.get_ylim(), ax.get_yticks().tolist()) == before
    squares = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "s"]
    assert squares == [0.2, 1.2]


def test_forests_side_by_side_each_have_their_zero() -> None:
    _, axes = plt.subplots(1, 2, sharey=True)
    for ax in axes:
        plots.forest(ax, GAINS)
        assert [0, 0] in [list(line.get_xdata()) for line in ax.lines]
        assert ax.get_xlabel() == "gain (points)"
        assert ax.yaxis_inverted()


def test_a_forest_keeps_the_unit_of_its_intervals() -> None:
    _, ax = plt.subplots()
    plots.forest(ax, {"loss": claims.Interval(0.4, 0.3, 0.5, 10, "nats")})
    assert ax.get_xlabel() == "gain (nats)"
    assert any(np.allclose(line.get_xdata(), [0.3, 0.5]) for line in ax.lines)


def test_a_forest_needs_trees() -> None:
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="Received no intervals"):
        plots.forest(ax, {})
