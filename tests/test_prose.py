"""What `make lint` asks of words: each fault is found, and what is right is not."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers import pages
from helpers.paths import ROOT
from tools import prose

TOC = """
format: jb-book
root: index
parts:
  - caption: A part
    chapters:
      - file: book/background
      - file: book/code/example
      - file: book/faq
      - file: book/appendix/glossary
"""
MAP = "[An example](code/example.ipynb) and [Questions](faq.ipynb)"
QUESTION = "### Number {}?\n\nYes, as [a page](code/example.ipynb) shows."


def write_notebook(path: Path, *texts: str) -> None:
    """Write a notebook of Markdown cells, each followed by a cell of code."""
    cells: list[dict[str, object]] = []
    for text in texts:
        cells.append({"cell_type": "markdown", "source": text.splitlines(True)})
        cells.append({"cell_type": "code", "source": ["simply = 200_001\n"]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a small project, not under git, in whose texts nothing is wrong."""
    book = tmp_path / "book"
    write_notebook(book / "background.ipynb", "# Background", "## Map of the book", MAP)
    write_notebook(book / "code" / "example.ipynb", "# An example", "235,146 in all")
    sections = ["# Questions"]
    for heading, count in prose.QUESTIONS.items():
        sections.append(f"## {heading}\n\n{QUESTION.format(heading)}")
        sections += [QUESTION.format(number) for number in range(1, count)]
    write_notebook(book / "faq.ipynb", *sections)
    texts = {
        "_toc.yml": TOC,
        "README.md": "One line.\n",
        "index.md": "# The book\n\nSee [the example](book/code/example.ipynb).\n",
        "book/appendix/glossary.md": "See [An example](../code/example.ipynb).\n",
        "book/checkpoints/mnist-dense.json": '{"parameters": 235146}',
        "helpers/models.py": '"""A network of 235,146 parameters."""\n',
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def add(path: Path, text: str) -> None:
    """Add a paragraph to a page or a file."""
    old = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(old)["cells"]
        cells.append({"cell_type": "markdown", "source": ["\n", text]})
        path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    else:
        path.write_text(f"{old}\n\n{text}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("book/code/example.ipynb", "This is simply so.", "simply"),
        ("index.md", "A Powerful method.", "Powerful"),
        ("README.md", "more\n" * 80, "84 lines"),
        ("book/code/example.ipynb", "It has 235,164 weights.", "235,164"),
        ("helpers/models.py", "# 235,145 weights", "235,145"),
        ("index.md", "See [code/example](book/code/example.ipynb).", "code/example"),
        (
            "book/appendix/glossary.md",
            "See [Another name](../code/example.ipynb).",
            "Another name",
        ),
        ("book/appendix/glossary.md", "Planned: `code/example`.", "`code/example`"),
        ("book/faq.ipynb", "### Why?\n\nSo.", "Ten more: 11 questions"),
        ("book/faq.ipynb", "word " * 120, "Number 9? 125 words"),
        ("index.md", "Written in /roo" + "t/somewhere.", "/roo" + "t/"),
        ("helpers/models.py", "# from py" + "pi.org", "py" + "pi.org"),
    ],
)
def test_a_fault_is_found_and_may_be_allowed(
    root: Path, name: str, text: str, found: str
) -> None:
    """It is one line that names the place and the words; nothing else is found."""
    assert prose.faults(root, set()) == []
    add(root / name, text)
    (fault,) = prose.faults(root, set())
    assert (fault.place, fault.found) == (name, found)
    assert fault.mend
    assert prose.faults(root, {(name, found)}) == []


def test_a_page_may_be_called_by_its_subject_or_its_motto(root: Path) -> None:
    write_notebook(root / "book" / "code" / "example.ipynb", "# Examples: see for it")
    glossary = root / "book" / "appendix" / "glossary.md"
    for label in ("Examples: see for it", "Examples", "See for it"):
        glossary.write_text(f"See [{label}](../code/example.ipynb).", encoding="utf-8")
        assert prose.faults(root, set()) == []
    for label in ("Example", "See", "See For It"):
        glossary.write_text(f"See [{label}](../code/example.ipynb).", encoding="utf-8")
        assert [fault.found for fault in prose.faults(root, set())] == [label]


def test_a_chapter_that_the_map_does_not_link_to_is_named(root: Path) -> None:
    write_notebook(root / "book" / "background.ipynb", "# B", "## Map of the book")
    missing = [fault.found for fault in prose.faults(root, set())]
    assert missing == ["no link to code/example.ipynb", "no link to faq.ipynb"]


def test_what_need_not_be_allowed_any_more_is_a_fault(root: Path) -> None:
    (fault,) = prose.faults(root, {("index.md", "simply")})
    assert (fault.place, fault.found) == ("index.md", "simply")
    assert "ALLOWED" in fault.mend


def test_files_that_git_does_not_track_are_not_read(root: Path) -> None:
    """Binary or not; where git tracks one, its bytes are searched, not decoded."""
    words = b"\xff\x00/wor" + b"k/"
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    (root / "data.npz").write_bytes(words)
    (root / "link").symlink_to("nowhere")
    assert prose.faults(root, set()) == []
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    assert [fault.place for fault in prose.faults(root, set())] == ["data.npz"]
    (root / "data.npz").unlink()  # tracked, and gone
    assert prose.faults(root, set()) == []


@pytest.mark.parametrize("case", ["download", "another's", "no git"])
def test_without_git_the_files_are_those_of_the_project(
    root: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Environments, by whatever name, and what was built are none of it."""
    if case == "another's":  # git ends with the same 128 as for a foreign folder
        (root / ".git").write_text("gitdir: /nowhere\n", encoding="utf-8")
    elif case == "no git":
        monkeypatch.setenv("PATH", str(root))
    before = prose.project_files(root)
    assert root / "book" / "faq.ipynb" in before
    for folder in (".venv-book", "_build", ".mypy_cache"):
        (root / folder).mkdir()
        (root / folder / "text.md").write_text("text", encoding="utf-8")
    (root / ".venv-book" / "pyvenv.cfg").touch()
    (root / "loop").symlink_to(root)
    assert prose.project_files(root) == before
    (root / "new.bin").write_bytes(b"\xff")
    assert set(prose.project_files(root)) - set(before) == {root / "new.bin"}
    assert prose.faults(root, set()) == []


def test_the_pages_are_those_of_the_book() -> None:
    """Read without a parser for YAML, as the rest of the project reads with one."""
    names = [path.relative_to(ROOT).as_posix() for path in pages.toc_pages()]
    assert list(prose.read_book(ROOT).pages) == names


def test_the_words_of_a_page_are_its_prose(root: Path) -> None:
    """Code does not count: there a name may be anything."""
    page = prose.read_page(root, "book/code/example")
    assert page.cells == ["# An example", "235,146 in all"]
    assert page.title == "An example"
    shutil.move(root / "index.md", root / "book" / "page.md")
    assert prose.read_page(root, "book/page").title == "The book"
