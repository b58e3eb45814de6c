"""Keras reads settings of this machine; the book's networks need its defaults."""

import json
import os
import sys
from pathlib import Path

# Keras' own defaults; its `keras.json` may say otherwise.
EXPECTED = {
    "floatx": "float32",
    "epsilon": 1e-07,
    "image_data_format": "channels_last",
}


class SettingsError(RuntimeError):
    """Keras is set up on this machine in a way that changes what the book computes."""


def check_settings() -> None:
    """Choose TensorFlow as Keras' backend, and refuse settings that change results.

    With images whose channels come first, a stored network reads another picture
    and nobody notices; under another precision, errors speak of something else.
    Keras itself is not imported.

    Raises:
        SettingsError: `keras.json` says something else than Keras' defaults, or
            Keras was imported before with another backend. The message names
            the file and the key.
    """
    path = settings_file()
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # stronger than the file
    elif (backend := sys.modules["keras"].config.backend()) != "tensorflow":
        raise SettingsError(
            f"Keras runs with the backend {backend!r}; the book's networks expect "
            "'tensorflow'. Start Python anew with the environment variable "
            f'KERAS_BACKEND=tensorflow, or change "backend" in {path}.'
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no file, or none that Keras would read
        return
    if not isinstance(found, dict):
        raise SettingsError(
            f"{path} holds {found!r}; Keras expects an object there. Remove the file: "
            "Keras writes a new one."
        )
    for key, expected in EXPECTED.items():
        if found.get(key, expected) != expected:
            raise SettingsError(
                f'"{key}" in {path} is {found[key]!r}; the book\'s networks expect '
                f"{expected!r}. Change it and start again. To keep the file for other "
                "work, let the variable KERAS_HOME name an empty folder."
            )


def settings_file() -> Path:
    """Return the path of `keras.json`, found as Keras 3 finds it."""
    home = os.path.expanduser("~")  # noqa: PTH111 (Path raises if there is none)
    if not os.access(home, os.W_OK):
        home = "/tmp"
    folder = os.environ.get("KERAS_HOME", f"{home}/.keras")
    return Path(os.path.expanduser(folder), "keras.json")  # noqa: PTH111
