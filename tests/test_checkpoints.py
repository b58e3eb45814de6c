"""A checkpoint is what its card says; what is not is refused in one sentence."""

import hashlib
import importlib
import json
import operator
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers import checkpoints, data, measures, models, training
from tools import checkpoints as trainer

NAMES = checkpoints.names()
CARDS = [checkpoints.card(name) for name in NAMES]
SELF_SUPERVISED = [card for card in CARDS if "pretext_task" in card]
SUPERVISED = [card for card in CARDS if "pretext_task" not in card]
NAME_OF = operator.itemgetter("name")
Arrays = dict[str, np.ndarray]
by_name = pytest.mark.parametrize("name", NAMES)
by_card = pytest.mark.parametrize("card", CARDS, ids=NAMES)


@pytest.fixture(scope="module")
def mnist() -> data.ImageData:
    if not os.environ.get("BOOK_DATA_DIR"):
        pytest.skip("needs all of MNIST: BOOK_DATA_DIR is not set")
    return data.load_mnist("full")


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the dense checkpoint and its card, where they may be broken."""
    for end in (".npz", ".json"):
        shutil.copy(checkpoints.CHECKPOINTS / f"mnist-dense{end}", tmp_path)
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", tmp_path)
    return tmp_path


def stored_arrays(path: Path) -> Arrays:
    """Read the members of the archive one by one, in their order."""
    with zipfile.ZipFile(path) as archive:
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(
                archive.open(name), allow_pickle=False
            )
            for name in archive.namelist()
        }


# --- Checkpoints and their cards ------------------------------------------------------


def test_every_checkpoint_has_two_files_and_a_plan() -> None:
    files = {path.name for path in checkpoints.CHECKPOINTS.iterdir()}
    assert NAMES and sorted(NAMES) == NAMES
    assert files == {f"{name}{end}" for name in NAMES for end in (".npz", ".json")}
    assert sorted(trainer.PLANS) == NAMES
    for name, plan in trainer.PLANS.items():
        card = checkpoints.card(name)
        assert card["name"] == name
        assert card["architecture"] == f"helpers.models.{plan.build.__name__}"
        assert card["epochs"] == plan.epochs
        assert plan.card.items() <= card.items()


@by_card
def test_a_card_says_where_the_model_comes_from(card: dict) -> None:
    for key in ("x_train", "y_train"):
        assert card["training_data_sha256"][key] == data.MNIST_SHA256[key]
    assert set(card["training_data_sha256"]) == {"x_train", "y_train"}  # no test data
    assert card["seed"] == trainer.SEED
    assert 1 <= card["epoch_kept"] <= card["epochs"]
    for package in ("python", "keras", "tensorflow", "numpy"):
        assert card["versions"][package].count(".") >= 1
    assert "CC BY-SA" in card["licence"]
    for key in ("optimiser", "loss", "training_data", "validation_data", "limits"):
        assert card[key]
    for key in ("test_accuracy", "validation_accuracy"):
        assert ("pretext_task" in card) or 0.97 < card[key] < 1
    assert "offline" in card["limits"]


@by_card
def test_a_card_of_training_without_labels_says_so(card: dict) -> None:
    """Such a model has features only: nothing on its card is an accuracy on digits."""
    without = "without their labels" in card["training_data"]
    assert without == ("pretext_task" in card) == ("pretext_accuracy" in card)
    assert without == ("never trained" in card["output"])
    assert without == (not {"test_accuracy", "validation_accuracy"} & set(card))
    assert not without or 0.5 < card["pretext_accuracy"] < 1


@by_card
def test_stored_weights_are_those_on_the_card(card: dict) -> None:
    arrays = stored_arrays(checkpoints.CHECKPOINTS / f"{card['name']}.npz")
    assert sum(array.size for array in arrays.values()) == card["parameters"]
    raw = b"".join(array.astype("<f4").tobytes() for array in arrays.values())
    assert hashlib.sha256(raw).hexdigest() == card["weights_sha256"]
    shapes = [tuple(map(int, text.split(" x "))) for text in card["arrays"].values()]
    assert list(card["arrays"]) == list(arrays)
    assert shapes == [array.shape for array in arrays.values()]


@by_name
def test_files_are_small(name: str) -> None:
    path = checkpoints.CHECKPOINTS / f"{name}.npz"
    assert path.stat().st_size < 1_200_000


@by_card
def test_a_loaded_model_is_the_architecture_on_the_card_with_the_stored_weights(
    card: dict,
) -> None:
    module, _, name = card["architecture"].rpartition(".")
    built = getattr(importlib.import_module(module), name)()
    loaded = checkpoints.load(card["name"])
    for one, other in zip(loaded.layers, built.layers, strict=True):
        config, expected = one.get_config(), other.get_config()
        config.pop("name"), expected.pop("name")
        assert type(one) is type(other) and config == expected
    layers = [layer for layer in loaded.layers if layer.weights]
    for index, layer in enumerate(layers):  # every array stands where its name says
        names = [f"{index}.{weight.name}" for weight in layer.weights]
        assert [key for key in card["arrays"] if key.startswith(f"{index}.")] == names


@by_name
def test_plain_arrays_are_those_of_the_loaded_model(name: str) -> None:
    """Layer by layer, in the same order and of the same shapes."""
    layers = checkpoints.load(name).layers
    loaded = [layer.get_weights() for layer in layers if layer.weights]
    read = checkpoints.weights(name)
    assert len(read) == len(loaded)
    for ours, theirs in zip(read, loaded, strict=True):
        assert [a.shape for a in ours] == [a.shape for a in theirs]
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert {a.dtype for a in ours} == {np.dtype(np.float32)}


@pytest.mark.parametrize("card", SUPERVISED, ids=NAME_OF)
def test_a_card_scores_what_mnist_shows(card: dict, mnist: data.ImageData) -> None:
    """Within 5 images of 10,000: other machines round otherwise."""
    model = checkpoints.load(card["name"])
    known = 5 if card["name"] == "mnist-0-4" else 10
    assert model.output_shape == (None, known)
    for part, images in (("test", 10000), ("validation", 5000)):
        split = data.select_labels(getattr(mnist, part), range(known))
        assert known == 5 or len(split.y) == images
        right = measures.accuracy(model, split) * len(split.y)
        assert abs(right - len(split.y) * card[f"{part}_accuracy"]) <= 5


@pytest.mark.parametrize("card", SELF_SUPERVISED, ids=NAME_OF)
def test_features_trained_without_labels_lie_below_a_random_head(card: dict) -> None:
    """The head is the one that the plan's seed draws; the features are not."""
    loaded = checkpoints.weights(card["name"])
    training.set_seed(card["seed"])
    drawn = training.layer_weights(models.convolutional_network())
    assert np.array_equal(loaded[-1][0], drawn[-1][0])
    for trained, fresh in zip(loaded[:-1], drawn[:-1], strict=True):
        for ours, random in zip(trained, fresh, strict=True):
            assert np.abs(ours - random).max() > 0.01


def test_weights_hash_depends_on_every_weight() -> None:
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)]
    raw = b"".join(array.tobytes() for array in arrays)
    assert checkpoints.weights_sha256(arrays) == hashlib.sha256(raw).hexdigest()
    arrays[1][2] = np.nextafter(np.float32(1), np.float32(2))
    assert checkpoints.weights_sha256(arrays) != hashlib.sha256(raw).hexdigest()


# --- The tool that makes them ---------------------------------------------------------


@pytest.mark.parametrize("half", [True, False])
def test_what_the_tool_writes_is_what_is_read(
    half: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit; in half the bytes where no bit is lost by it."""
    training.set_seed(4)
    model = models.normalised_network()
    kept = np.float16 if half else np.float32
    rounded = [w.astype(kept).astype(np.float32) for w in model.get_weights()]
    model.set_weights(rounded)
    arrays = trainer.named_weights(model)
    card = checkpoints.card("mnist-normalised") | {
        "name": "tiny",
        "arrays": checkpoints.describe(arrays),
        "weights_sha256": checkpoints.weights_sha256(rounded),
    }
    for _ in range(2):  # a file that is there already is replaced
        trainer.write(tmp_path, card, arrays)
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", tmp_path)
    assert checkpoints.names() == ["tiny"] and checkpoints.card("tiny") == card
    for ours, theirs in zip(
        checkpoints.load("tiny").get_weights(), rounded, strict=True
    ):
        assert ours.tobytes() == theirs.tobytes()
    stored = stored_arrays(tmp_path / "tiny.npz").values()
    assert {array.dtype for array in stored} == {np.dtype(kept)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.json", "tiny.npz"]


def test_a_stopped_tool_leaves_the_old_checkpoint_whole(
    copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while the first file is written: nothing of the checkpoint changed."""
    before = {path: path.read_bytes() for path in copies.iterdir()}
    card = checkpoints.card("mnist-dense")
    monkeypatch.setattr(Path, "replace", lambda *args: sys.exit("stopped"))
    with pytest.raises(SystemExit):
        trainer.write(copies, card, {"0.kernel": np.zeros((2, 2), np.float32)})
    assert {path: path.read_bytes() for path in before} == before
    checkpoints.weights("mnist-dense")


def test_the_tool_refuses_unknown_names_before_it_trains(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        trainer.main(["mnist-dense", "mnist-transformer"], tmp_path)
    for essence in ("Received mnist-transformer", "mnist-dense", "mnist-rotation"):
        assert essence in str(refused.value)
    assert not list(tmp_path.iterdir())


# --- Broken checkpoints: one clear error each -----------------------------------------


def assert_refused(name: str, *essence: str) -> None:
    for load in (checkpoints.load, checkpoints.weights):
        with pytest.raises(checkpoints.CheckpointError) as refused:
            load(name)
        for text in (*essence, "make checkpoints"):
            assert text in str(refused.value)


@pytest.mark.parametrize("name", ["mnist-transformer", "", "../train", "mnist-dense "])
def test_an_unknown_checkpoint_is_refused_with_the_names_there_are(name: str) -> None:
    assert_refused(name, repr(name), *NAMES)
    with pytest.raises(checkpoints.CheckpointError, match="mnist-dense"):
        checkpoints.card(name)


def test_a_folder_without_checkpoints_is_said_to_be_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As is one that is not there: the package was installed without the book."""
    for folder in (tmp_path, tmp_path / "missing"):
        monkeypatch.setattr(checkpoints, "CHECKPOINTS", folder)
        assert_refused("mnist-dense", "'mnist-dense'", "none is there", str(folder))


BROKEN_CARDS = {
    "missing": None,
    "empty": b"",
    "truncated": b'{"name": "mnist-de',
    "no JSON": b"<html>Not found</html>",
    "no text": b"\xff\xfe\x00",
    "too deep": b"[" * 100_000,
    "empty object": b"{}",
    "list": b"[]",
    "null": b"null",
    "number": b"7",
}


@pytest.mark.parametrize("content", BROKEN_CARDS.values(), ids=BROKEN_CARDS)
def test_a_missing_or_broken_card_is_named(content: bytes | None, copies: Path) -> None:
    card = copies / "mnist-dense.json"
    card.unlink() if content is None else card.write_bytes(content)
    assert_refused("mnist-dense", str(card))
    with pytest.raises(checkpoints.CheckpointError, match=r"mnist-dense\.json"):
        checkpoints.card("mnist-dense")


@pytest.mark.parametrize("value", ["missing", None, 1.5])
@pytest.mark.parametrize("key", ["name", "parameters", "arrays", "weights_sha256"])
def test_a_card_without_a_key_or_with_something_else_there_is_named(
    key: str, value: object, copies: Path
) -> None:
    path = copies / "mnist-dense.json"
    card = checkpoints.card("mnist-dense")
    if value == "missing":
        del card[key]
    else:
        card[key] = value
    path.write_text(json.dumps(card), encoding="utf-8")
    said = "is missing" if value == "missing" else f"is {value!r}"
    assert_refused("mnist-dense", str(path), f"{key!r} {said}", "expected a value")


@pytest.mark.parametrize(
    ("architecture", "essence"),
    [
        ("os.system", "expected one of helpers.models.dense_network"),
        ("helpers.models.convolutional_network", "(784, 256)"),
    ],
)
def test_a_card_of_another_architecture_is_named(
    architecture: str, essence: str, copies: Path
) -> None:
    path = copies / "mnist-dense.json"
    card = checkpoints.card("mnist-dense") | {"architecture": architecture}
    path.write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(checkpoints.CheckpointError) as refused:
        checkpoints.load("mnist-dense")
    for text in (str(path), architecture, essence, "make checkpoints"):
        assert text in str(refused.value)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_named(share: float, copies: Path) -> None:
    path = copies / "mnist-dense.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert_refused("mnist-dense", str(path), "cannot be read as .npz")


def without(key: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {k: array for k, array in arrays.items() if k != key}


def other(key: str, change: Callable[[np.ndarray], object]) -> Callable:
    return lambda arrays: arrays | {key: change(arrays[key])}


# What is done to the arrays, and what the error says.
FAULTS: dict[str, tuple[Callable[[Arrays], Arrays], tuple[str, ...]]] = {
    "nothing": (lambda a: {}, ("holds the arrays {}", "'0.kernel': '784 x 256'")),
    "an array is missing": (without("1.bias"), ("its card says", "'1.bias': '128'")),
    "an array too many": (lambda a: a | {"9.bias": a["0.bias"]}, ("'9.bias': '256'",)),
    "another name": (
        lambda a: {k.replace("2.bias", "2.beta"): v for k, v in a.items()},
        ("'2.beta': '10'", "'2.bias': '10'"),
    ),
    "another shape": (
        other("0.kernel", lambda w: w.reshape(256, 784)),
        ("'0.kernel': '256 x 784'", "'0.kernel': '784 x 256'"),
    ),
    "another type": (other("1.bias", np.float64), ("'1.bias' is float64", "float32")),
    "whole numbers": (other("1.bias", np.int32), ("'1.bias' is int32", "float32")),
    "pickled": (
        other("2.bias", lambda w: np.array([print], dtype=object)),
        ("cannot be read as .npz", "allow_pickle=False"),
    ),
    "not finite": (other("2.bias", lambda w: w * np.float32(np.nan)), ("SHA-256",)),
    "one bias altered": (other("1.bias", lambda w: w + 1e-6), ("SHA-256", "card says")),
    "another order": (lambda a: dict(reversed(a.items())), ("SHA-256", "card says")),
}


@pytest.mark.parametrize(("fault", "essence"), FAULTS.values(), ids=FAULTS)
def test_a_file_with_other_arrays_is_named_with_what_it_holds(
    fault: Callable[[Arrays], Arrays], essence: tuple[str, ...], copies: Path
) -> None:
    path = copies / "mnist-dense.npz"
    np.savez(path, **fault(stored_arrays(path)))
    assert_refused("mnist-dense", str(path), *essence)


def test_a_missing_file_and_one_that_is_no_archive_are_named(copies: Path) -> None:
    path = copies / "mnist-dense.npz"
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3, np.float32))  # one array and no archive
    assert_refused("mnist-dense", str(path), "cannot be read as .npz")
    path.unlink()
    assert_refused("mnist-dense", str(path), "there is no such file")
