"""The book's own rules: what `CONTRIBUTING.md` asks of every page, as tests."""

import ast
import inspect
import json
import re
import subprocess
from functools import cache
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from helpers import claims, models
from tools import notebooks

ROOT = notebooks.ROOT
PAGES = notebooks.toc_pages()
NOTEBOOKS = notebooks.toc_notebooks()
CHAPTERS = [path for path in NOTEBOOKS if path.parent.name != "appendix"]
MODULES = ("data", "models", "training", "transfer", "plots", "claims")

TAGS = {"hide-input", "hide-cell", "nbval-ignore-output", "raises-exception"}
FOLDED = {"hide-input", "hide-cell"}
CELL_LINES, FOLDED_LINES, COLUMNS = 15, 25, 80
IMAGE_BYTES, IMAGES_BYTES = 100_000, 600_000
# Nothing of one run or one machine: paths, addresses, times, progress, long floats.
PASSING = re.compile(
    r"/(home|root|tmp|usr|Users|work)/|0x[0-9a-f]{6,}|\d(ms|us|s)/(step|epoch)"
    r"|\d\.\d{7,}|it/s|━|ETA"
)
FORBIDDEN = re.compile(r"^\s*[!%]|pip install|conda install", re.MULTILINE)


def name(path: Path) -> str:
    """Return a page's path from the top folder, as a test's name."""
    return str(path.relative_to(ROOT))


every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=name)


@cache
def read(path: Path) -> NotebookNode:
    """Return a notebook; do not change it."""
    return nbformat.read(path, as_version=4)


def code(path: Path) -> list[NotebookNode]:
    """Return the code cells of a notebook."""
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def prose(path: Path) -> str:
    """Return the Markdown of a page."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = read(path).cells
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


def claim_texts(source: str) -> list[str]:
    """Return the texts of the claims in a cell; a text must be written out."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    made = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "claim"]
    for call in made:
        assert isinstance(call.args[0], ast.Constant), (
            "a claim's text is a plain string"
        )
    return [call.args[0].value for call in sorted(made, key=lambda c: c.lineno)]


def section(path: Path, heading: str) -> str:
    """Return the Markdown below a heading of level 2."""
    found = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", prose(path), re.M | re.S)
    assert found, f"the section '{heading}' is missing"
    return found[1]


# --- The tree ---------------------------------------------------------------------


def test_the_toc_names_every_page_and_no_other() -> None:
    """A page outside the toc is neither read nor tested by anybody."""
    found = {
        path
        for ending in ("*.md", "*.ipynb")
        for path in (ROOT / "book").rglob(ending)
        if not {"_site", "checkpoints", ".ipynb_checkpoints"} & set(path.parts)
    }
    assert found == set(PAGES) - {ROOT / "index.md"}


def test_the_readme_is_short_and_its_commands_exist() -> None:
    """The README holds the commands; each one is a target of the Makefile."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 80
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", readme, re.M))
    assert {"site", "test"} <= named <= targets


def test_the_lock_holds_what_the_requirements_pin() -> None:
    """Every direct pin stands in the lock with the same version and a hash."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(
        r"^([\w-]+==[\w.]+)", (ROOT / "requirements.txt").read_text(), re.M
    )
    assert len(pins) > 10
    for pin in pins:
        assert re.search(rf"^{re.escape(pin)}\b.*\\\n\s+--hash=sha256:", lock, re.M), (
            pin
        )
    assert lock.count("==") <= lock.count("--hash=")


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    """The project speaks of itself alone."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    words = re.compile(
        "|".join(["py" + "pi.org", "npm" + "js", "/wo" + "rk/", "/ro" + "ot/"])
    )
    texts = [ROOT / f for f in listed if not f.endswith((".keras", ".png"))]
    found = [
        name(path)
        for path in texts
        if path.is_file() and words.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


# --- Every notebook ---------------------------------------------------------------


@every_notebook
def test_a_notebook_is_stored_in_canonical_form(path: Path) -> None:
    """Ids are slugs, counts run 1..n, nothing of an editor is left."""
    text = path.read_text(encoding="utf-8")
    assert text == notebooks.canonical(nbformat.reads(text, as_version=4)), (
        f"run: python tools/notebooks.py {name(path)}"
    )


@every_notebook
def test_cells_carry_known_tags_only(path: Path) -> None:
    """An unknown tag would do nothing, or switch a check off."""
    assert set().union(*map(tags, code(path))) <= TAGS
    assert not any(tags(c) for c in read(path).cells if c.cell_type != "code")


@every_notebook
def test_cells_are_short_and_narrow(path: Path) -> None:
    """One idea a cell: 15 lines, 25 where the code is folded away."""
    for cell in code(path):
        lines = cell.source.splitlines()
        limit = FOLDED_LINES if tags(cell) & FOLDED else CELL_LINES
        assert 0 < len(lines) <= limit, (cell.id, len(lines))
        assert max(map(len, lines)) <= COLUMNS, cell.id


@every_notebook
def test_cells_hold_python_only(path: Path) -> None:
    """No shell, no magic, no installation; a trailing `;` would not silence nbval."""
    for cell in code(path):
        assert not FORBIDDEN.search(cell.source), cell.id
        assert not cell.source.rstrip().endswith(";"), cell.id
        assert "nbval" not in cell.source.lower(), f"{cell.id}: use tags"


@every_notebook
def test_imports_stand_in_the_first_code_cell(path: Path) -> None:
    """A reader sees at once what a page needs."""
    for cell in code(path)[1:]:
        nodes = list(ast.walk(ast.parse(cell.source)))
        assert not any(isinstance(n, ast.Import | ast.ImportFrom) for n in nodes), (
            cell.id
        )


@every_notebook
def test_claims_are_stored_as_the_source_states_them(path: Path) -> None:
    """Each claim has run and held, and none is proved that no cell makes."""
    texts: list[str] = []
    for cell in code(path):
        written = claim_texts(cell.source)
        printed = "".join(output.get("text", "") for output in cell.outputs)
        stored = [line[2:] for line in printed.splitlines() if line.startswith("✓ ")]
        assert stored == written, cell.id
        if written:
            assert "nbval-ignore-output" not in tags(cell), f"{cell.id}: not compared"
        texts += written
    assert len(texts) == len(set(texts)), "a claim stands twice"
    assert not [text for text in texts if text.endswith(".")], "no full stop"
    assert texts == notebooks.stored_claims(path)


@every_notebook
def test_an_ignored_output_is_followed_by_a_claim(path: Path) -> None:
    """What nbval does not compare, the next compared cell must state."""
    waiting = ""
    for cell in code(path):
        if "nbval-ignore-output" in tags(cell):
            waiting = cell.id
        elif waiting:
            assert claim_texts(cell.source), f"no claim after {waiting}"
            waiting = ""
    assert not waiting, f"no claim after {waiting}"


@every_notebook
def test_outputs_are_clean(path: Path) -> None:
    """No warning, no unexpected error, nothing that belongs to one run only."""
    for cell in code(path):
        kinds = [output.output_type for output in cell.outputs]
        expected = "raises-exception" in tags(cell)
        assert ("error" in kinds) == expected, cell.id
        for output in cell.outputs:
            assert output.get("name") != "stderr", cell.id
            shown = json.dumps(output, ensure_ascii=False)
            shown = re.sub(r'"image/png": "[^"]*"', "", shown)
            assert not PASSING.search(shown), (cell.id, PASSING.search(shown)[0])


@every_notebook
def test_figures_are_small_and_described(path: Path) -> None:
    """PNG, 100 kB each and 600 kB a page; alternative text and caption differ."""
    total = 0
    for cell in code(path):
        for output in cell.outputs:
            kinds = set(output.get("data", {}))
            assert not kinds & {"image/svg+xml", "image/jpeg", "application/pdf"}
            if "image/png" not in kinds:
                continue
            size = len(output.data["image/png"]) * 3 // 4
            total += size
            assert size <= IMAGE_BYTES, (cell.id, size)
            mystnb = cell.metadata.get("mystnb", {})
            alt = mystnb.get("image", {}).get("alt", "")
            caption = mystnb.get("figure", {}).get("caption", "")
            assert len(alt) >= 40, f"{cell.id}: alternative text"
            assert len(caption) >= 40, f"{cell.id}: caption"
            assert alt != caption, cell.id
    assert total <= IMAGES_BYTES, total


# --- Every chapter ----------------------------------------------------------------


@every_chapter
def test_a_chapter_opens_with_its_question(path: Path) -> None:
    """A title, one question in bold, then what to learn, to know, and to wait."""
    first = read(path).cells[0].source
    assert re.match(r"# [^\n]+\n\n\*\*[^*]*\?\*\*", first)
    for part in ("**You will learn**", "**You need**", "**Time to run:**"):
        assert part in first, part


@every_chapter
def test_a_chapter_has_the_sections_that_readers_expect(path: Path) -> None:
    """In this order, at its end."""
    headings = re.findall(r"^## (.+)$", prose(path), re.M)
    assert headings[-5:] == [
        "What can go wrong",
        "Summary",
        "Exercises",
        "Quiz",
        "Further reading",
    ]


@every_chapter
def test_every_exercise_has_an_executed_solution_with_a_claim(path: Path) -> None:
    """Three to five, each with text and code that start folded."""
    text = section(path, "Exercises")
    asked = re.findall(r":::\{exercise\}[^\n]*\n:label: (\S+)", text)
    solved = re.findall(r":::\{solution\} (\S+)\n:class: dropdown", text)
    assert 3 <= len(asked) <= 5
    assert asked == solved
    folded = [cell for cell in code(path) if "hide-cell" in tags(cell)]
    assert len(folded) == len(asked)
    for cell in folded:
        assert claim_texts(cell.source), cell.id


@every_chapter
def test_the_quiz_explains_every_choice(path: Path) -> None:
    """Each letter that is offered is taken up in the answer, and one is right."""
    questions = re.split(r"^(?=\*\*\d+\. )", section(path, "Quiz"), flags=re.M)[1:]
    assert len(questions) >= 3
    for question in questions:
        asked, _, answer = question.partition(":::{dropdown}")
        choices = re.findall(r"^- ([A-D])\.", asked, re.M)
        assert len(choices) >= 3, asked
        right = re.findall(r"^\*\*([A-D])\.\*\*$", answer, re.M)
        assert len(right) == 1, asked
        assert right[0] in choices, asked
        explained = re.findall(
            r"\b([A-D])\b", "".join(re.findall("^- .*", answer, re.M))
        )
        assert set(choices) <= set(explained), asked


@every_chapter
def test_further_reading_comes_from_the_bibliography(path: Path) -> None:
    """Every entry of the list is a citation."""
    entries = re.findall(r"^- .+$", section(path, "Further reading"), re.M)
    assert len(entries) >= 3
    assert all("{cite:" in entry for entry in entries)


# --- One place for each fact ------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_citation_resolves(path: Path) -> None:
    """Keys in the text stand in `references.bib`, which has none of them twice."""
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    known = re.findall(r"^@\w+\{([^,\s]+),", bibliography, re.M)
    assert len(known) == len(set(known))
    cited = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", prose(path))
    keys = {key.strip() for group in cited for key in group.split(",")}
    assert keys <= set(known), keys - set(known)


def test_every_yardstick_names_its_source_and_its_difference() -> None:
    """Published rows cite the bibliography; rows of ours say why they differ."""
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    rows = claims.yardsticks("MNIST test error")
    for row in rows:
        assert f"{{{row.source}," in bibliography, row
        assert bool(row.checkpoint) == bool(row.why), row
        assert row.checkpoint in ["", *models.checkpoint_names()], row


def test_every_public_helper_is_used() -> None:
    """What no page, tool or benchmark uses is not the book's to keep."""
    users = [cell.source for path in NOTEBOOKS for cell in code(path)]
    folders = ("helpers", "tools", "benchmarks", "book/checkpoints")
    users += [p.read_text() for f in folders for p in (ROOT / f).glob("*.py")]
    text = "\n".join(users)
    for module in MODULES:
        for helper, value in vars(import_module(f"helpers.{module}")).items():
            ours = getattr(value, "__module__", "") == f"helpers.{module}"
            if helper.startswith("_") or not ours or not callable(value):
                continue
            if inspect.isclass(value) and issubclass(value, Exception):
                continue
            used = len(re.findall(rf"\b{helper}\b", text))
            defined = len(re.findall(rf"^(?:def|class) {helper}\b", text, re.M))
            assert used > defined, f"helpers.{module}.{helper} is used nowhere"


def test_numbers_in_prose_about_the_dense_network_are_its_numbers() -> None:
    """235,146 parameters stand in several texts: all of them mean the same."""
    count = f"{models.checkpoint_card('mnist-dense')['parameters']:,}"
    first_layer = f"{(28 * 28 + 1) * 256:,}"
    for path in PAGES:
        for found in re.findall(r"\b2\d\d,\d{3}\b", prose(path)):
            assert found in (count, first_layer), (name(path), found)
    assert count in inspect.getdoc(models.dense_network)
