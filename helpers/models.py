"""The book's architectures, and the source models trained once for all chapters."""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers.data import IMAGE_SIZE, ROOT, sha256

if TYPE_CHECKING:
    import keras

CHECKPOINTS = ROOT / "book" / "checkpoints"
_MEND = "Restore it from the repository, or run `make checkpoints`."


class CheckpointError(ValueError):
    """A checkpoint is unknown, missing, unreadable or not the one on its card."""


def dense_network(num_classes: int = 10) -> "keras.Model":
    """Build the article's network: 784 pixels, 256 and 128 units, one output a class.

    Takes images, (n, 28, 28) in [0, 1], and returns logits, (n, num_classes):
    softmax is left to the loss, which computes it together with the logarithm.
    235,146 parameters for ten classes.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((IMAGE_SIZE, IMAGE_SIZE)),
            keras.layers.Flatten(),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(num_classes),
        ],
        name="dense",
    )


def convolutional_network(num_classes: int = 10) -> "keras.Model":
    """Build a small convolutional network.

    Takes images, (n, 28, 28) in [0, 1], and returns logits, (n, num_classes).
    Two convolutions of 3 x 3 with 32 and 64 channels, each followed by
    max-pooling, then 64 units: 121,930 parameters for ten classes.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((IMAGE_SIZE, IMAGE_SIZE)),
            keras.layers.Reshape((IMAGE_SIZE, IMAGE_SIZE, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(num_classes),
        ],
        name="convolutional",
    )


def classic_network(num_classes: int = 5) -> "keras.Model":
    """Build the network of Keras' classic example of transfer, mnist_transfer_cnn.

    Takes images, (n, 28, 28) in [0, 1], and returns logits, (n, num_classes).
    Two convolutions of 3 x 3 with 32 channels, max-pooling, dropout of a
    quarter; then 128 units, dropout of a half: 600,165 parameters for five
    classes. The first four layers are the features, the rest is the head.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((IMAGE_SIZE, IMAGE_SIZE)),
            keras.layers.Reshape((IMAGE_SIZE, IMAGE_SIZE, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.25),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(num_classes),
        ],
        name="classic",
    )


def normalised_network(num_classes: int = 10) -> "keras.Model":
    """Build `convolutional_network` with batch normalisation after each convolution.

    Takes images, (n, 28, 28) in [0, 1], and returns logits, (n, num_classes).
    The convolutions have no bias, because the normalisation has one:
    122,218 parameters for ten classes, 192 of them moving statistics.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((IMAGE_SIZE, IMAGE_SIZE)),
            keras.layers.Reshape((IMAGE_SIZE, IMAGE_SIZE, 1)),
            keras.layers.Conv2D(32, 3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(num_classes),
        ],
        name="normalised",
    )


def checkpoint_names() -> list[str]:
    """Return the names that `load_checkpoint` knows, in alphabetical order."""
    return sorted(path.stem for path in CHECKPOINTS.glob("*.keras"))


def checkpoint_card(name: str) -> dict:
    """Return a checkpoint's model card: how it was trained and what it reached.

    Raises:
        CheckpointError: the name is unknown, or the card is missing or broken.
    """
    path = CHECKPOINTS / f"{name}.json"
    if name not in checkpoint_names():
        raise CheckpointError(
            f"Unknown checkpoint {name!r}; expected one of "
            f"{', '.join(checkpoint_names()) or '(none is there)'}. "
            "`make checkpoints` trains them all again."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. {_MEND}") from error


def load_checkpoint(name: str) -> "keras.Model":
    """Load a trained source model and compare its weights with its card.

    Args:
        name: one of `checkpoint_names()`.

    Returns:
        A model that takes images, (n, 28, 28) in [0, 1], and returns logits.

    Raises:
        CheckpointError: the name is unknown, the file cannot be read, or its
            weights are not those on the card.

    Example:
        >>> source = load_checkpoint("mnist-dense")
        >>> source.count_params()
        235146
    """
    import keras

    card = checkpoint_card(name)
    path = CHECKPOINTS / f"{name}.keras"
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds for one broken file
        raise CheckpointError(f"{path} cannot be read: {error}. {_MEND}") from error
    _check_weights(path, weights_sha256(model.get_weights()), card)
    return model


def checkpoint_weights(name: str) -> list[list[np.ndarray]]:
    """Read a checkpoint's weights without TensorFlow, as plain arrays.

    Args:
        name: one of `checkpoint_names()`.

    Returns:
        For each layer that has weights, input first, its arrays as Keras orders
        them: the kernel, (inputs, outputs) in a dense layer, and the bias,
        (outputs,); of batch normalisation its scale, shift, moving mean and
        moving variance; all float32.

    Raises:
        CheckpointError: as `load_checkpoint`.

    Example:
        >>> [kernel.shape for kernel, bias in checkpoint_weights("mnist-dense")]
        [(784, 256), (256, 128), (128, 10)]
    """
    import h5py

    card = checkpoint_card(name)
    path = CHECKPOINTS / f"{name}.keras"
    weights = []
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            stored = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(stored) as file:
            for group in _weight_groups(config):
                arrays = file[f"layers/{group}/vars"]
                weights.append([arrays[key][()] for key in sorted(arrays, key=int)])
    except Exception as error:  # three formats in one file, each with its errors
        raise CheckpointError(f"{path} cannot be read: {error}. {_MEND}") from error
    weights = [arrays for arrays in weights if arrays]
    _check_weights(
        path, weights_sha256([a for arrays in weights for a in arrays]), card
    )
    return weights


def _weight_groups(config: dict) -> list[str]:
    """Return where Keras stores the weights of each layer: conv2d, conv2d_1, dense."""
    seen: Counter[str] = Counter()
    groups = []
    for layer in config["config"]["layers"]:
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", layer["class_name"]).lower()
        groups.append(f"{kind}_{seen[kind]}" if seen[kind] else kind)
        seen[kind] += 1
    return [group for group in groups if group != "input_layer"]


def _check_weights(path: Path, found: str, card: dict) -> None:
    if found != card["weights_sha256"]:
        raise CheckpointError(
            f"{path} holds weights with SHA-256 {found}; its card says "
            f"{card['weights_sha256']}. {_MEND}"
        )


def weights_sha256(weights: Sequence[np.ndarray]) -> str:
    """Return the SHA-256 of all weights of a model, flattened, in Keras' order."""
    return sha256(np.concatenate([weight.ravel() for weight in weights]))
