"""The networks compute what they say, and a checkpoint is what its card says."""

import hashlib
import importlib
import importlib.util
import io
import json
import operator
import os
import shutil
import zipfile
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from helpers import data, models, training

NAMES = models.checkpoint_names()
CARDS = [models.checkpoint_card(name) for name in NAMES]
SELF_SUPERVISED = [card for card in CARDS if "pretext_task" in card]
SUPERVISED = [card for card in CARDS if "pretext_task" not in card]
NAME_OF = operator.itemgetter("name")
by_name = pytest.mark.parametrize("name", NAMES)
by_card = pytest.mark.parametrize("card", CARDS, ids=NAMES)
TRAINER = models.CHECKPOINTS / "train.py"


@pytest.fixture(scope="module")
def mnist() -> data.ImageData:
    if not os.environ.get("BOOK_DATA_DIR"):
        pytest.skip("needs all of MNIST: BOOK_DATA_DIR is not set")
    return data.load_mnist("full")


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the dense checkpoint and its card, where they may be broken."""
    for end in (".keras", ".json"):
        shutil.copy(models.CHECKPOINTS / f"mnist-dense{end}", tmp_path)
    monkeypatch.setattr(models, "CHECKPOINTS", tmp_path)
    return tmp_path


def stored_weights(path: Path) -> list[np.ndarray]:
    """Read a checkpoint's arrays without Keras, layer by layer, input first."""
    with zipfile.ZipFile(path) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    seen: dict[str, int] = {}
    arrays = []
    for layer in layers:  # the groups are named after the classes, in their order
        kind = {"BatchNormalization": "batch_normalization"}.get(
            layer["class_name"], layer["class_name"].lower()
        )
        number = seen[kind] = seen.get(kind, -1) + 1
        group = weights.get(f"layers/{kind}_{number}" if number else f"layers/{kind}")
        if group:
            arrays += [group["vars"][key][()] for key in sorted(group["vars"])]
    return arrays


# --- Networks -----------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_parameters_are_as_many_as_the_formula_says(classes: int) -> None:
    """A dense layer has (inputs + 1) outputs, a 3 x 3 convolution (9 in + 1) out."""
    dense = 785 * 256 + 257 * 128 + 129 * classes
    convolutional = 10 * 32 + (9 * 32 + 1) * 64 + (5 * 5 * 64 + 1) * 64 + 65 * classes
    normalised = convolutional - 32 - 64 + 4 * 32 + 4 * 64
    classic = 10 * 32 + (9 * 32 + 1) * 32 + (12 * 12 * 32 + 1) * 128 + 129 * classes
    assert models.dense_network(classes).count_params() == dense
    assert models.normalised_network(classes).count_params() == normalised
    assert models.classic_network(classes).count_params() == classic
    assert models.convolutional_network(classes).count_params() == convolutional


def test_docstrings_name_the_number_of_parameters() -> None:
    for build in (
        models.dense_network,
        models.convolutional_network,
        models.normalised_network,
        models.classic_network,
    ):
        assert f"{build().count_params():,} parameters" in build.__doc__


def convolve(
    images: np.ndarray, kernel: np.ndarray, bias: np.ndarray | float, relu: bool = True
) -> np.ndarray:
    patches = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
    maps = np.einsum("nijcab,abcd->nijd", patches, kernel) + bias
    return np.maximum(maps, 0) if relu else maps


def normalise(images: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    scale, shift, mean, variance = weights
    return np.maximum(scale * (images - mean) / np.sqrt(variance + 1e-3) + shift, 0)


def pool(images: np.ndarray) -> np.ndarray:
    n, height, width, channels = images.shape
    even = images[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


@pytest.mark.parametrize("name", ["dense_network", "convolutional_network"])
def test_networks_compute_logits_as_numpy_does(name: str) -> None:
    rng = np.random.default_rng(0)
    model = getattr(models, name)(4)
    model.set_weights([rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
    x = rng.random((3, 28, 28), np.float32)
    weights = [w.astype(float) for w in model.get_weights()]
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    values = x.astype(float)
    while len(layers[0][0].shape) == 4:
        values = pool(convolve(values.reshape(*values.shape[:3], -1), *layers.pop(0)))
    values = values.reshape(3, -1)
    for kernel, bias in layers[:-1]:
        values = np.maximum(values @ kernel + bias, 0)
    expected = values @ layers[-1][0] + layers[-1][1]
    found = model.predict(x, verbose=0)
    assert found.shape == (3, 4)
    assert np.allclose(found, expected, atol=1e-4)
    assert np.ptp(found.sum(axis=1)) > 1e-3  # logits: they do not sum to one


def test_the_normalised_network_uses_its_moving_statistics() -> None:
    """Outside of training the images beside an image do not change its logits."""
    rng = np.random.default_rng(0)
    model = models.normalised_network(4)
    model.set_weights([rng.uniform(0.05, 0.2, w.shape) for w in model.get_weights()])
    x = rng.random((3, 28, 28), np.float32)
    w = [array.astype(float) for array in model.get_weights()]
    first = normalise(convolve(x[..., None], w[0], 0.0, relu=False), w[1:5])
    second = normalise(convolve(pool(first), w[5], 0.0, relu=False), w[6:10])
    hidden = np.maximum(pool(second).reshape(3, -1) @ w[10] + w[11], 0)
    found = model.predict(x, verbose=0)
    assert np.allclose(found, hidden @ w[12] + w[13], rtol=1e-4)
    assert np.allclose(model.predict(x[:1], verbose=0), found[:1], rtol=1e-4)


def test_the_classic_network_computes_logits_as_numpy_does() -> None:
    """Outside of training dropout lets everything pass."""
    rng = np.random.default_rng(0)
    model = models.classic_network()
    model.set_weights([rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
    x = rng.random((2, 28, 28), np.float32)
    w = [array.astype(float) for array in model.get_weights()]
    maps = pool(convolve(convolve(x[..., None], w[0], w[1]), w[2], w[3]))
    hidden = np.maximum(maps.reshape(2, -1) @ w[4] + w[5], 0)
    found = model.predict(x, verbose=0)
    assert np.allclose(found, hidden @ w[6] + w[7], atol=1e-4)


# --- Checkpoints and their cards ------------------------------------------------------


def test_every_checkpoint_has_a_card_and_a_recipe() -> None:
    files = {path.name for path in models.CHECKPOINTS.iterdir() if path.suffix != ".py"}
    files.discard("__pycache__")
    assert NAMES and sorted(NAMES) == NAMES
    assert files == {f"{name}{end}" for name in NAMES for end in (".keras", ".json")}
    recipes = load_trainer().RECIPES
    assert sorted(recipes) == NAMES
    for name, recipe in recipes.items():
        card = models.checkpoint_card(name)
        assert card["architecture"] == f"helpers.models.{recipe.build.__name__}"
        assert card["epochs"] == recipe.epochs
        assert recipe.card.items() <= card.items()


def load_trainer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_checkpoints", TRAINER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@by_card
def test_a_card_says_where_the_model_comes_from(card: dict) -> None:
    for key in ("x_train", "y_train"):
        assert card["training_data_sha256"][key] == data.MNIST_SHA256[key]
    assert set(card["training_data_sha256"]) == {"x_train", "y_train"}  # no test data
    assert card["seed"] == load_trainer().SEED
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
    weights = stored_weights(models.CHECKPOINTS / f"{card['name']}.keras")
    assert sum(array.size for array in weights) == card["parameters"]
    raw = b"".join(array.astype("<f4").tobytes() for array in weights)
    assert hashlib.sha256(raw).hexdigest() == card["weights_sha256"]


@by_name
def test_files_are_small_and_carry_no_optimiser(name: str) -> None:
    path = models.CHECKPOINTS / f"{name}.keras"
    assert path.stat().st_size < 2_000_000
    with zipfile.ZipFile(path) as archive:
        assert not json.loads(archive.read("config.json"))["compile_config"]
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    assert not any("optimizer" in key for key in weights)


@by_card
def test_a_loaded_model_has_the_architecture_on_the_card(card: dict) -> None:
    module, _, name = card["architecture"].rpartition(".")
    built = getattr(importlib.import_module(module), name)()
    loaded = models.load_checkpoint(card["name"])
    for one, other in zip(loaded.layers, built.layers, strict=True):
        config, expected = one.get_config(), other.get_config()
        config.pop("name"), expected.pop("name")
        assert type(one) is type(other) and config == expected


@pytest.mark.parametrize("card", SUPERVISED, ids=NAME_OF)
def test_a_card_scores_what_all_of_mnist_shows(
    card: dict, mnist: data.ImageData
) -> None:
    """Within 5 images of 10,000: other machines round otherwise."""
    model = models.load_checkpoint(card["name"])
    known = 5 if card["name"] == "mnist-0-4" else 10
    assert model.output_shape == (None, known)
    for part, images in (("test", 10000), ("validation", 5000)):
        x, y = (array[getattr(mnist, part).y < known] for array in getattr(mnist, part))
        assert known == 5 or len(y) == images
        right = np.sum(model.predict(x, batch_size=500, verbose=0).argmax(axis=1) == y)
        assert abs(right - len(y) * card[f"{part}_accuracy"]) <= 5


@pytest.mark.parametrize("card", SELF_SUPERVISED, ids=NAME_OF)
def test_features_trained_without_labels_lie_below_a_random_head(card: dict) -> None:
    """The head is the one that the recipe's seed draws; the features are not."""
    loaded = models.load_checkpoint(card["name"])
    training.set_seed(card["seed"])
    drawn = models.convolutional_network()
    assert np.array_equal(loaded.layers[-1].get_weights()[0], drawn.get_weights()[-2])
    for trained, fresh in zip(loaded.layers[:-1], drawn.layers[:-1], strict=True):
        for ours, random in zip(
            trained.get_weights(), fresh.get_weights(), strict=True
        ):
            assert np.abs(ours - random).max() > 0.01


def test_weights_hash_depends_on_every_weight() -> None:
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)]
    raw = b"".join(array.tobytes() for array in arrays)
    assert models.weights_sha256(arrays) == hashlib.sha256(raw).hexdigest()
    arrays[1][2] = np.nextafter(np.float32(1), np.float32(2))
    assert models.weights_sha256(arrays) != hashlib.sha256(raw).hexdigest()


@by_name
def test_weights_read_without_keras_are_those_that_keras_reads(name: str) -> None:
    """Layer by layer, in the same order and of the same shapes."""
    layers = models.load_checkpoint(name).layers
    loaded = [layer.get_weights() for layer in layers if layer.weights]
    read = models.checkpoint_weights(name)
    assert len(read) == len(loaded)
    for ours, theirs in zip(read, loaded, strict=True):
        assert [a.shape for a in ours] == [a.shape for a in theirs]
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


# --- Broken checkpoints: one clear error each -----------------------------------------


def assert_refused(name: str, *essence: str) -> None:
    for load in (models.load_checkpoint, models.checkpoint_weights):
        with pytest.raises(models.CheckpointError) as refused:
            load(name)
        for text in (*essence, "make checkpoints"):
            assert text in str(refused.value)


@pytest.mark.parametrize("name", ["mnist-transformer", "", "../train", "mnist-dense "])
def test_an_unknown_checkpoint_is_refused_with_the_names_there_are(name: str) -> None:
    assert_refused(name, repr(name), *NAMES)
    with pytest.raises(models.CheckpointError, match="mnist-dense"):
        models.checkpoint_card(name)


def test_a_folder_without_checkpoints_is_said_to_be_empty(copies: Path) -> None:
    (copies / "mnist-dense.keras").unlink()
    assert_refused("mnist-dense", "'mnist-dense'", "none is there")


@pytest.mark.parametrize("content", [None, b"", b'{"name": "mnist-de'])
def test_a_missing_or_broken_card_is_named(content: bytes | None, copies: Path) -> None:
    card = copies / "mnist-dense.json"
    card.unlink() if content is None else card.write_bytes(content)
    assert_refused("mnist-dense", str(card))


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(share: float, copies: Path) -> None:
    path = copies / "mnist-dense.keras"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert_refused("mnist-dense", str(path), "cannot be read")


def test_a_checkpoint_with_other_weights_is_named_with_both_hashes(
    copies: Path,
) -> None:
    path = copies / "mnist-dense.keras"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file["layers/dense_1/vars/1"][7] += 1e-6  # one bias of 235,146 parameters
    members["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    raw = b"".join(array.tobytes() for array in stored_weights(path))
    found = hashlib.sha256(raw).hexdigest()
    on_card = models.checkpoint_card("mnist-dense")["weights_sha256"]
    assert_refused("mnist-dense", str(path), found, on_card)
