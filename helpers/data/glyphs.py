"""Typed digits and letters, drawn from the outlines of matplotlib's fonts."""

from pathlib import Path

import numpy as np

from helpers.data.splits import DataError, ImageData, Split, centred, check_packaged

_CHARACTERS = {"digits": "0123456789", "letters": "ABCDEFGHIJ"}
# The typefaces that matplotlib ships and that have both, by their designers: the
# DejaVu faces share their shapes, so all of them are in one part. Left out: cmmi10
# (its digits hang below the line), cmsy10 and cmex10 (they have none).
_FONTS = {
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
_VARIANTS = {"train": 5, "validation": 5, "test": 8}  # of a class in a font
_FONTS_SHA256 = "9951fd57ddd27c389b26c901da476497fd65894d2ec61fd0c8e5032b04f40abb"


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
    if kind not in _CHARACTERS:
        raise DataError(
            f"Unknown kind of glyphs {kind!r}; expected one of "
            f"{', '.join(_CHARACTERS)}. Mend the argument `kind`."
        )
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    paths = {
        part: [folder / f"{font}.ttf" for font in fonts]
        for part, fonts in _FONTS.items()
    }
    _check_fonts([path for part in paths.values() for path in part])
    splits = {}
    for stream, (part, variants) in enumerate(_VARIANTS.items()):
        rng = np.random.default_rng(stream)
        boxes = [
            _draw(_vary(outline, rng))
            for path in paths[part]
            for outline in _outlines(path, _CHARACTERS[kind])
            for _ in range(variants)
        ]
        classes = np.repeat(np.arange(len(_CHARACTERS[kind])), variants)
        labels = np.tile(classes, len(paths[part]))
        splits[part] = Split(centred(np.stack(boxes)), labels)
    return ImageData(
        f"typed {kind}", **splits, class_names=tuple(_CHARACTERS[kind]), tier="full"
    )


def _check_fonts(paths: list[Path]) -> None:
    """Compare the font files, one after the other, with those the book expects."""
    mend = "Install the version of matplotlib that requirements.txt pins."
    try:
        files = b"".join(path.read_bytes() for path in paths)
    except OSError as error:
        raise DataError(
            f"matplotlib's fonts: {error}; expected {len(paths)} files. {mend}"
        ) from error
    check_packaged("matplotlib's fonts", np.frombuffer(files, np.uint8), _FONTS_SHA256)


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
