"""Settings of Keras that change results are refused when `helpers` is imported."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import keras_settings

DEFAULTS = {
    "floatx": "float32",
    "epsilon": 1e-07,
    "backend": "tensorflow",
    "image_data_format": "channels_last",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's home folder, and a process that has not imported Keras."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    (tmp_path / ".keras").mkdir()
    return tmp_path


def write(home: Path, text: str) -> Path:
    path = home / ".keras" / "keras.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_data_format", "channels_first"),
        ("floatx", "float16"),
        ("floatx", "float64"),
        ("epsilon", 1e-3),
        ("epsilon", None),
    ],
)
def test_what_changes_results_is_refused(home: Path, key: str, value: object) -> None:
    """The error names file, key and value, what is expected, and a way out."""
    path = write(home, json.dumps(DEFAULTS | {key: value}))
    with pytest.raises(keras_settings.SettingsError) as refused:
        keras_settings.check_settings()
    for part in (f'"{key}" in {path}', repr(value), repr(DEFAULTS[key]), "KERAS_HOME"):
        assert part in str(refused.value)


@pytest.mark.parametrize("text", ["[]", "null", '"float32"'])
def test_a_file_that_would_stop_keras_is_refused(home: Path, text: str) -> None:
    path = write(home, text)
    with pytest.raises(keras_settings.SettingsError, match="expects an object") as no:
        keras_settings.check_settings()
    assert str(path) in str(no.value)


@pytest.mark.parametrize(
    "text", [json.dumps(DEFAULTS), "{}", "{", '{"backend": "jax", "other": 1}']
)
def test_other_files_are_none_of_our_business(home: Path, text: str) -> None:
    """Broken JSON is what Keras itself passes over."""
    write(home, text)
    keras_settings.check_settings()


def test_a_backend_that_keras_runs_with_already_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorflow", "jax"):
        config = SimpleNamespace(backend=lambda name=name: name)
        monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(config=config))
        if name == "tensorflow":
            keras_settings.check_settings()
            continue
        with pytest.raises(keras_settings.SettingsError, match=r"'jax'.*keras\.json"):
            keras_settings.check_settings()


@pytest.mark.parametrize("variable", ["", "jax"])
def test_keras_finds_its_settings_where_we_look_and_its_backend(
    home: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras' own path, in a process that imports `helpers` first."""
    monkeypatch.setenv("KERAS_BACKEND", variable)
    path = write(home, json.dumps(DEFAULTS | {"backend": "torch"}))
    assert keras_settings.settings_file() == path
    code = (
        "import helpers, keras; from keras.src.backend import config; "
        "print(config._config_path, keras.config.backend())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.split() == [str(path), "tensorflow"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"KERAS_HOME": "/data/keras"}, "/data/keras/keras.json"),
        ({"KERAS_HOME": "~/k"}, "{home}/k/keras.json"),
        ({"KERAS_HOME": ""}, "keras.json"),
        ({"HOME": "/proc/nowhere"}, "/tmp/.keras/keras.json"),
    ],
)
def test_the_file_is_looked_for_where_keras_does(
    home: Path,
    variables: dict[str, str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(keras_settings.settings_file()) == expected.format(home=home)
