"""The source models that were trained once for all chapters: cards and weights.

A checkpoint is two files in `book/checkpoints`. The card, `<name>.json`, says how
the model was trained, what it reached, and what the other file holds. The other
file, `<name>.npz`, holds the weights as plain arrays: `0.kernel` and `0.bias` are
those of the first layer that has weights, and so on.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers import data, models
from helpers.paths import ROOT

if TYPE_CHECKING:
    import keras

CHECKPOINTS = ROOT / "book" / "checkpoints"
_MEND = "Restore it from the repository, or run `make checkpoints`."
_ARCHITECTURES = {
    f"{build.__module__}.{build.__name__}": build
    for build in (
        models.dense_network,
        models.convolutional_network,
        models.classic_network,
        models.normalised_network,
    )
}
# What every card has, and what it is in Python.
_CARD = {
    "name": str,
    "architecture": str,
    "parameters": int,
    "output": str,
    "training_data": str,
    "epochs": int,
    "seed": int,
    "arrays": dict,
    "weights_sha256": str,
    "limits": str,
    "licence": str,
}


class CheckpointError(ValueError):
    """A checkpoint is unknown, missing, unreadable or not the one on its card."""


def names() -> list[str]:
    """Return the names of all checkpoints, in alphabetical order.

    Example:
        >>> "mnist-dense" in names()
        True
    """
    ends = (".json", ".npz")
    return sorted({path.stem for end in ends for path in CHECKPOINTS.glob(f"*{end}")})


def card(name: str) -> dict[str, Any]:
    """Return a checkpoint's model card: how it was trained and what it reached.

    Raises:
        CheckpointError: the name is unknown, or the card is missing or broken.

    Example:
        >>> card("mnist-dense")["parameters"]
        235146
    """
    if name not in names():
        raise CheckpointError(
            f"Unknown checkpoint {name!r}; expected one of "
            f"{', '.join(names()) or '(none is there)'}, the files in {CHECKPOINTS}. "
            "Use the book from a copy of its repository; there `make checkpoints` "
            "trains them all again."
        )
    path = CHECKPOINTS / f"{name}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(path, f"the card cannot be read: {error}") from error
    if not isinstance(found, dict):
        received = type(found).__name__
        raise _broken(path, f"the card is a {received}; expected an object with keys")
    for key, kind in _CARD.items():
        if not isinstance(found.get(key), kind):
            received = f"is {found[key]!r}" if key in found else "is missing"
            raise _broken(
                path,
                f"{key!r} {received} on the card; expected a value of type "
                f"{kind.__name__}",
            )
    return found


def load(name: str) -> "keras.Model":
    """Build the model on a checkpoint's card and give it the stored weights.

    Args:
        name: one of `names()`.

    Returns:
        A model that takes images, (n, 28, 28) in [0, 1], and returns logits.

    Raises:
        CheckpointError: the name is unknown, the card or the weights are missing or
            broken, or they do not belong together.

    Example:
        >>> source = load("mnist-dense")
        >>> source.count_params()
        235146
    """
    stored = [array for layer in weights(name) for array in layer]
    path, architecture = CHECKPOINTS / f"{name}.json", card(name)["architecture"]
    if architecture not in _ARCHITECTURES:
        raise _broken(
            path,
            f"the architecture on the card is {architecture!r}; expected one of "
            f"{', '.join(_ARCHITECTURES)}",
        )
    model = _ARCHITECTURES[architecture]()
    found, expected = ([a.shape for a in arrays] for arrays in (stored, model.weights))
    if found != expected:
        raise _broken(
            path,
            f"{architecture} has weights of shapes {expected}; the card and the "
            f"stored weights say {found}",
        )
    model.set_weights(stored)
    return model


def weights(name: str) -> list[list[np.ndarray]]:
    """Read a checkpoint's weights as plain arrays, without TensorFlow.

    Args:
        name: one of `names()`.

    Returns:
        For each layer that has weights, input first, its arrays as Keras orders
        them: the kernel, (inputs, outputs) in a dense layer, and the bias,
        (outputs,); of batch normalisation its scale, shift, moving mean and
        moving variance; all float32.

    Raises:
        CheckpointError: as `load`.

    Example:
        >>> [kernel.shape for kernel, bias in weights("mnist-dense")]
        [(784, 256), (256, 128), (128, 10)]
    """
    path, on_card = CHECKPOINTS / f"{name}.npz", card(name)
    arrays = _read(path)
    found = describe(arrays)
    if not arrays or found != on_card["arrays"]:
        raise _broken(
            path, f"it holds the arrays {found}; its card says {on_card['arrays']}"
        )
    digest = weights_sha256(list(arrays.values()))
    if digest != on_card["weights_sha256"]:
        raise _broken(
            path,
            f"its weights have the SHA-256 {digest}; its card says "
            f"{on_card['weights_sha256']}",
        )
    layers: dict[str, list[np.ndarray]] = {}
    for key, array in arrays.items():
        layers.setdefault(key.split(".")[0], []).append(array)
    return list(layers.values())


def describe(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the shape of each array, as a card says it.

    Example:
        >>> describe({"0.kernel": np.zeros((784, 256)), "0.bias": np.zeros(256)})
        {'0.kernel': '784 x 256', '0.bias': '256'}
    """
    return {key: " x ".join(map(str, array.shape)) for key, array in arrays.items()}


def weights_sha256(arrays: Sequence[np.ndarray]) -> str:
    """Return the SHA-256 of all weights of a model, flattened, in Keras' order."""
    return data.sha256(np.concatenate([array.ravel() for array in arrays]))


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file in their order, as float32."""
    try:
        # Opened here, because NumPy does not close a file that it cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError as error:
        raise _broken(path, "there is no such file") from error
    except Exception as error:  # NumPy raises many kinds for one broken file
        raise _broken(path, f"it cannot be read as .npz: {error}") from error
    for key, array in arrays.items():
        if array.dtype not in (np.float16, np.float32):
            raise _broken(
                path, f"array {key!r} is {array.dtype}; expected float32 or float16"
            )
    return {key: array.astype(np.float32) for key, array in arrays.items()}


def _broken(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path}: {what}. {_MEND}")
