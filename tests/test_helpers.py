"""What holds for the package as a whole: quick to import, typed, documented."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
import types

import numpy as np
import pytest

import helpers
from helpers import data, transfer

NAMES = [module.name for module in pkgutil.iter_modules(helpers.__path__, "helpers.")]
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


@by_function
def test_signatures_are_typed_and_short(function: types.FunctionType) -> None:
    signature = inspect.signature(function)
    untyped = [p for p in signature.parameters.values() if p.annotation is p.empty]
    assert not untyped and signature.return_annotation is not signature.empty
    kinds = {p.kind for p in signature.parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert len(signature.parameters) <= 6


@by_function
def test_a_docstring_names_every_argument_or_the_function_has_two_at_most(
    function: types.FunctionType,
) -> None:
    text, arguments = inspect.getdoc(function) or "", section(function, "Args")
    assert text.splitlines()[0].endswith(".")
    named = [line.split(":")[0] for line in arguments.splitlines() if line[4:5] != " "]
    parameters = list(inspect.signature(function).parameters)
    if arguments or len(parameters) > 2:
        assert [name.strip() for name in named] == parameters


@by_function
def test_a_docstring_says_what_is_returned(function: types.FunctionType) -> None:
    text = inspect.getdoc(function) or ""
    says = section(function, "Returns") or "eturn" in text.split("\n\n")[0]
    if inspect.signature(function).return_annotation is None:
        assert not section(function, "Returns")
    elif section(function, "Args"):
        assert says


@by_function
def test_a_docstring_names_every_exception(function: types.FunctionType) -> None:
    documented = section(function, "Raises")
    for name in raised(function):
        assert f"{name}: " in documented


def test_every_module_and_class_says_what_it_is() -> None:
    for module in [helpers, *MODULES]:
        assert module.__doc__
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
        "source": keras.Sequential(layers),
        "strategies": transfer.strategies("fine-tuning"),
    }


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_examples_in_the_docstrings_hold(
    module: types.ModuleType,
    example_names: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every example runs, with the seed that the stored outputs were made with."""
    monkeypatch.delenv("BOOK_SEED", raising=False)
    names = {**example_names, **vars(module)}
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(module, globs=names):
        runner.run(test)
    assert runner.summarize().failed == 0


def test_there_are_examples_to_hold() -> None:
    found = {
        function.__name__
        for function in FUNCTIONS
        if ">>>" in (inspect.getdoc(function) or "")
    }
    assert found >= {"load_mnist", "load_checkpoint", "sweep", "claim", "strategies"}
