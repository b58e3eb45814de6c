"""Every benchmark runs: two steps of each, on little data, without its clock."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from helpers import data, sweeps
from helpers.paths import ROOT

BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.fixture(scope="module")
def little() -> data.ImageData:
    """A few MNIST images of every digit in each part."""
    sample = data.load_mnist("sample")
    few = {
        part: data.Split(*(array[::17] for array in getattr(sample, part)))
        for part in ("train", "validation", "test")
    }
    assert all(len(np.unique(split.y)) == 10 for split in few.values())
    return sample._replace(**few)


def two_of_cached_features(module: ModuleType, little: data.ImageData) -> None:
    module.compare(module.few_labels(little, steps=2)._replace(seeds=[1]))
    batches = np.arange(20).reshape(2, 10)
    every = module.all_labels(little)
    assert every.batches(1).shape[1] == 128
    module.run(every._replace(batches=lambda seed: batches, seeds=[1]), "cache")


def two_of_sweep(module: ModuleType, little: data.ImageData) -> None:
    module.main([1], [1], sweeps.Recipe(steps=2))


def two_of_training(module: ModuleType, little: data.ImageData) -> None:
    module.main(little, epochs=2, rounds=1)


# How two steps of each benchmark are run, and a line of what it prints.
SMOKE: dict[str, tuple[Callable[[ModuleType, data.ImageData], None], str]] = {
    "cached_features": (two_of_cached_features, "times the cache's time"),
    "sweep": (two_of_sweep, "4 runs of 2 updates"),
    "training": (two_of_training, "times faster"),
}


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_runs(
    path: Path, little: data.ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    assert path.stem in SMOKE, f"add two steps of {path.name} to SMOKE"
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run, essence = SMOKE[path.stem]
    run(module, little)
    assert essence in capsys.readouterr().out


def test_no_entry_is_left_of_a_benchmark_that_is_gone() -> None:
    assert set(SMOKE) == {path.stem for path in BENCHMARKS}
