"""Typed glyphs: the fonts, and the images made of them."""

import functools
import itertools
import re
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager, ft2font, patches, textpath
from matplotlib import path as mpath
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import ndimage
from sklearn import neighbors

from helpers import data

from . import PARTS

CHARACTERS = "0123456789ABCDEFGHIJ"
# Which fonts each part promises to be drawn from, in this order.
FONTS = {
    "train": [
        f"DejaVu{family}"
        for family in (
            *("Sans", "Sans-Bold", "Sans-Oblique", "Sans-BoldOblique"),
            *("SansMono", "SansMono-Bold"),
            *("SansMono-Oblique", "SansMono-BoldOblique"),
            *("Serif", "Serif-Bold", "Serif-Italic", "Serif-BoldItalic"),
        )
    ],
    "validation": [f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")],
    "test": ["cmr10", "cmb10", "cmti10", "cmss10", "cmtt10"],
}
FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def outline(name: str, character: str) -> mpath.Path:
    """Return a character as matplotlib draws it, in a box of 20 x 20 pixels."""
    properties = font_manager.FontProperties(fname=str(FOLDER / f"{name}.ttf"))
    path = textpath.TextPath((0, 0), character, size=50, prop=properties)
    low, high = path.get_extents().get_points()
    scale = 20 / (high - low).max()
    return mpath.Path((path.vertices - (low + high) / 2) * scale + 14, path.codes)


@functools.cache
def drawn_by_agg(name: str) -> np.ndarray:
    """Return the 20 characters of a font upright, (20, 784), filled by matplotlib."""
    count = len(CHARACTERS)
    figure = Figure(figsize=(count, 1), dpi=28, layout="none")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, 28 * count), ylim=(0, 28))
    ax.axis("off")
    for index, character in enumerate(CHARACTERS):
        path = outline(name, character)
        moved = mpath.Path(path.vertices + np.array([28 * index, 0]), path.codes)
        ax.add_patch(patches.PathPatch(moved, color="black"))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    images = np.split(1 - np.asarray(canvas.buffer_rgba())[..., 0] / 255, count, axis=1)
    centred = [
        ndimage.shift(image, 13.5 - np.array(ndimage.center_of_mass(image)))
        for image in images
    ]
    return np.reshape(centred, (count, 784))


def test_no_typeface_is_in_two_parts() -> None:
    """Neither by the name in the font file, nor by the shape of a character."""
    designers: dict[str, set[str]] = {}
    shapes: dict[str, list[list[np.ndarray]]] = {}
    for part, names in FONTS.items():
        files = [str(FOLDER / f"{name}.ttf") for name in names]
        found = [ft2font.FT2Font(file).family_name for file in files]
        designers[part] = {re.match("DejaVu|STIX|cm", name)[0] for name in found}
        shapes[part] = [[outline(n, c).vertices for c in "0123456789AB"] for n in names]
    assert designers == {"train": {"DejaVu"}, "validation": {"STIX"}, "test": {"cm"}}
    for first, second in itertools.combinations(shapes.values(), 2):
        for font, another in itertools.product(first, second):
            for one, other in zip(font, another, strict=True):
                assert one.shape != other.shape or np.abs(one - other).max() > 0.5


def test_every_part_of_the_glyphs_is_balanced(typed: data.ImageData) -> None:
    counts = [np.bincount(getattr(typed, part).y).tolist() for part in PARTS]
    assert counts == [[60] * 10, [20] * 10, [40] * 10]


def test_glyphs_fill_twenty_pixels_and_are_centred_by_mass(
    typed: data.ImageData,
) -> None:
    for image in np.concatenate([getattr(typed, part).x for part in PARTS]):
        rows, columns = np.nonzero(image)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        centre = np.array(ndimage.center_of_mass(image))
        assert (np.abs(centre - 13.5) <= 0.5 + 1e-4).all()


HOLES = dict(zip(CHARACTERS, map(int, "10001010211201000000"), strict=True))


def test_glyphs_have_the_holes_of_their_characters(typed: data.ImageData) -> None:
    """A 0 has one, an 8 has two, a C has none: dark regions that are closed in.

    A few fine strokes break, and a few narrow gaps close, for want of pixels.
    """
    right = []
    for part in PARTS:
        for image, label in zip(*getattr(typed, part), strict=True):
            holes = ndimage.label(np.pad(image, 1) < 0.4)[1] - 1
            right.append(holes == HOLES[typed.class_names[label]])
    assert np.mean(right) > 0.9


def test_glyphs_are_their_characters_in_their_fonts(typed: data.ImageData) -> None:
    """Of the font's ten characters, drawn upright by Agg, the right one is nearest."""
    first = CHARACTERS.index(typed.class_names[0])
    for part, names in FONTS.items():
        x, y = getattr(typed, part)
        right = []
        for name, images, labels in zip(
            names,
            x.reshape(len(names), -1, 784),
            y.reshape(len(names), -1),
            strict=True,
        ):
            upright = drawn_by_agg(name)[first : first + 10]
            answers = neighbors.KNeighborsClassifier(1).fit(upright, range(10))
            right.append(answers.predict(images) == labels)
        assert np.mean(right) > 0.9, part


def test_training_fonts_teach_to_read_the_test_fonts(
    typed_digits: data.ImageData, typed_letters: data.ImageData
) -> None:
    """Twenty classes: the letters are read as letters and the digits as digits."""
    both = (typed_digits, typed_letters)
    x, y, x_test, y_test = (
        np.concatenate(
            [
                10 * (field == "y") * i + getattr(getattr(d, part), field)
                for i, d in enumerate(both)
            ]
        )
        for part in ("train", "test")
        for field in "xy"
    )
    nearest = neighbors.KNeighborsClassifier(1).fit(x.reshape(-1, 784), y)
    assert nearest.score(x_test.reshape(-1, 784), y_test) > 0.8


def test_variants_of_one_outline_differ_but_not_much(typed: data.ImageData) -> None:
    """Five of each: closer to each other than to another character of the font."""
    images = typed.train.x.reshape(12, 10, 5, 784)
    within = np.linalg.norm(images[:, :, 0] - images[:, :, 1], axis=-1)
    across = np.linalg.norm(images[:, :-1, 0] - images[:, 1:, 0], axis=-1)
    assert 2 < within.mean() < across.mean()


def test_variants_have_bolder_and_finer_strokes(typed: data.ImageData) -> None:
    """The width of a stroke: ink per length of its two edges. Turning leaves it."""
    images = typed.train.x.reshape(12, 10, 5, 28, 28)
    edges = sum(np.abs(np.diff(images, axis=a)).sum(axis=(-2, -1)) for a in (-2, -1))
    width = 2 * images.sum(axis=(-2, -1)) / edges
    assert np.mean(np.ptp(width, axis=-1) / width.mean(axis=-1)) > 0.2


@pytest.fixture
def font_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the font files, which matplotlib takes for its own."""
    copy = tmp_path / "fonts" / "ttf"
    shutil.copytree(FOLDER, copy)
    monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path))
    return copy


def test_glyphs_depend_on_the_font_files_and_on_no_state(
    font_folder: Path, typed_letters: data.ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on NumPy's global numbers, BOOK_SEED or matplotlib's settings."""
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    monkeypatch.setenv("BOOK_SEED", "7")
    settings = {
        "font.family": "cursive",
        "font.size": 3,
        "text.hinting": "force_autohint",
        "path.simplify_threshold": 1.0,
        "path.snap": False,
        "savefig.dpi": 30,
    }
    with matplotlib.rc_context(settings):
        again = data.load_glyphs("letters")
    for part in PARTS:
        first, second = getattr(typed_letters, part), getattr(again, part)
        assert all(map(np.array_equal, first, second))
    assert np.array_equal(np.random.get_state()[1], before)


def test_an_unknown_kind_of_glyphs_is_refused() -> None:
    with pytest.raises(data.DataError) as refused:
        data.load_glyphs("runes")
    for essence in ("'runes'", "digits, letters", "`kind`"):
        assert essence in str(refused.value)


@pytest.mark.parametrize("name", ["DejaVuSans", "cmtt10"])
@pytest.mark.parametrize("fault", ["missing", "altered"])
def test_other_fonts_are_refused(fault: str, name: str, font_folder: Path) -> None:
    font = font_folder / f"{name}.ttf"
    if fault == "missing":
        font.unlink()
    else:
        font.write_bytes(font.read_bytes() + b" ")
    with pytest.raises(data.DataError) as refused:
        data.load_glyphs()
    essences = {"missing": f"{name}.ttf", "altered": "SHA-256"}
    for essence in ("matplotlib's fonts", essences[fault], "requirements.txt"):
        assert essence in str(refused.value)
