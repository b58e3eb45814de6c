"""What holds for the package as a whole: quick to import, documented, true examples.

ruff asks for types, short signatures, docstrings, and arguments and results in them;
this asks for the rest.
"""

import ast
import doctest
import importlib
import inspect
import pkgutil
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import helpers
from helpers import data, sweeps
from helpers.paths import ROOT

NAMES = [module.name for module in pkgutil.walk_packages(helpers.__path__, "helpers.")]
MODULES = [importlib.import_module(name) for name in NAMES]


PUBLIC = [
    value
    for module in MODULES
    for name, value in vars(module).items()
    if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
]
FUNCTIONS = [value for value in PUBLIC if inspect.isfunction(value)]
CLASSES = [value for value in PUBLIC if inspect.isclass(value)]
by_function = pytest.mark.parametrize(
    "function", FUNCTIONS, ids=lambda f: f"{f.__module__[8:]}.{f.__name__}"
)


def raised(function: types.FunctionType) -> set[str]:
    """Names of the exceptions that a function raises in its own body."""
    tree = ast.parse(inspect.getsource(function).strip())
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    names = [ast.unparse(call.func) for call in calls if isinstance(call, ast.Call)]
    return {name.split(".")[-1] for name in names if name[0] != "_"}


def section(function: types.FunctionType, title: str) -> str:
    """Return the text of a section of a docstring in Google's style, or ""."""
    text = inspect.getdoc(function) or ""
    parts = text.split(f"\n{title}:\n")
    return parts[1].split("\n\n")[0] if len(parts) == 2 else ""


@pytest.mark.parametrize("name", ["helpers", *NAMES])
def test_importing_does_not_import_tensorflow_or_keras(name: str) -> None:
    code = f"import sys, {name}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "helpers" in imported
    assert not imported & {"tensorflow", "keras", "sklearn", "mlxtend", "torch", "jax"}


def test_without_the_book_the_package_says_what_it_needs(tmp_path: Path) -> None:
    """So it lies in an environment after `pip install .` rather than `-e .`."""
    shutil.copytree(ROOT / "helpers", tmp_path / "helpers")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from helpers import {{}}"
    )
    for module in ("checkpoints", "pages", "paths"):
        done = subprocess.run(
            [sys.executable, "-I", "-c", code.format(module)],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith(f"ImportError: helpers lies in {tmp_path}, "), module
        assert last.endswith("pip install -e .")


@by_function
def test_a_signature_hides_no_arguments(function: types.FunctionType) -> None:
    kinds = {p.kind for p in inspect.signature(function).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds


@by_function
def test_a_function_of_more_than_two_arguments_explains_them(
    function: types.FunctionType,
) -> None:
    if len(inspect.signature(function).parameters) > 2:
        assert section(function, "Args")


@by_function
def test_a_docstring_names_every_exception(function: types.FunctionType) -> None:
    documented = section(function, "Raises")
    for name in raised(function):
        assert f"{name}: " in documented


def test_every_class_says_what_it_is_in_words_of_its_own() -> None:
    for kind in CLASSES:
        assert kind.__doc__
        assert not kind.__doc__.startswith(f"{kind.__name__}(")  # Python's own words


@pytest.fixture
def example_names() -> dict[str, object]:
    """What the longer examples take as given: tiny stand-ins."""
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(2), 12)
    part = data.Split(rng.random((24, 4, 4), np.float32), labels)
    layers = [keras.Input((4, 4)), keras.layers.Flatten(), keras.layers.Dense(2)]
    return {
        "digits": data.ImageData("tiny", part, part, part, ("0", "1"), "full"),
        "load_digits": data.load_digits,
        "source": keras.Sequential(layers),
        "strategies": sweeps.strategies("fine-tuning"),
    }


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_examples_in_the_docstrings_hold(
    module: types.ModuleType,
    example_names: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every example runs, with the seed that the stored outputs were made with."""
    monkeypatch.delenv("BOOK_SEED", raising=False)
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(module, globs=vars(module)):
        own = test.name.rpartition(".")[2]  # `strategies` shows the function itself
        test.globs |= {k: v for k, v in example_names.items() if k != own}
        runner.run(test)
    assert runner.summarize().failed == 0


def test_there_are_examples_to_hold() -> None:
    found = {
        f"{function.__module__[8:]}.{function.__name__}"
        for function in FUNCTIONS
        if ">>>" in (inspect.getdoc(function) or "")
    }
    wanted = {"data.mnist.load_mnist", "checkpoints.load", "sweeps.sweep"}
    assert found >= wanted | {"claims.claim", "sweeps.strategies", "training.adam"}
