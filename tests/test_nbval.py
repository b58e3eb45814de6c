"""A plain `pytest --nbval` compares what findings say and not what they measured."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from helpers.paths import ROOT

SOURCE = """from helpers import claims

gain = claims.interval([0.08, 0.09, 0.10], unit="points")
claims.claim("it gains more than 5 points", gain.above(0.05))
claims.check("three values", gain.count == 3)"""
PRINTED = """✓ it gains more than 5 points ⟨+9.0, 95 % 6.5 to 11.5, asked > 5, 3 seeds⟩
✓ three values
"""
PASSES = {
    "as printed": PRINTED,
    "another mean": PRINTED.replace("+9.0", "+8.7"),
    "other evidence altogether": PRINTED.replace("6.5 to 11.5, asked > 5", "?"),
    "not measured here": PRINTED.replace("✓ it", "○ it"),
}
FAILS = {
    "another word": PRINTED.replace("gains", "loses"),
    "another size in the sentence": PRINTED.replace("5 points", "6 points"),
    "no evidence": PRINTED.replace("⟨", "<"),
    "a failure": PRINTED.replace("✓ it", "✗ it"),
    "another check": PRINTED.replace("three", "four"),
    "a check not made": PRINTED.replace("✓ three", "○ three"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with this one's settings, and a cell for each stored output."""
    folder = tmp_path_factory.mktemp("project")
    for file in ("pyproject.toml", "conftest.py", "tools"):
        copy = shutil.copytree if (ROOT / file).is_dir() else shutil.copyfile
        copy(ROOT / file, folder / file)
    cells = []
    for count, text in enumerate((PASSES | FAILS).values(), start=1):
        output = v4.new_output("stream", name="stdout", text=text)
        cells.append(v4.new_code_cell(SOURCE, execution_count=count, outputs=[output]))
    (folder / "book").mkdir()
    nbformat.write(v4.new_notebook(cells=cells), folder / "book" / "page.ipynb")
    return folder


@pytest.fixture(scope="module")
def report(project: Path) -> str:
    """What pytest says of them, started in a subfolder without another option."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "-rA", "-p", "no:cacheprovider"],
        cwd=project / "book",
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("name", PASSES | FAILS)
def test_words_are_compared_and_evidence_is_not(report: str, name: str) -> None:
    number = list(PASSES | FAILS).index(name)
    expected = "PASSED" if name in PASSES else "FAILED"
    lines = [line.replace("book/", "") for line in report.splitlines()]
    marks = ("PASSED", "FAILED", "ERROR")
    found = [
        line
        for line in lines
        if line.startswith(marks) and f" page.ipynb::Cell {number}" in line
    ]
    assert [line.split()[0] for line in found] == [expected], report
