"""Check what the project's texts say, word by word: part of `make lint`.

    python tools/prose.py

Each fault is one line: where it is, what was found, and what to write instead. What
is right all the same stands in `ALLOWED`, with the reason. This uses the standard
library only, so that it needs no installation, and it needs no git either.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# What a check finds and may stay: the page, or file, and the words that were found.
# Give the reason above each entry; one that nothing needs any more is a fault.
ALLOWED: set[tuple[str, str]] = set()

README_LINES = 80
ANSWER_WORDS = 120
QUESTIONS = {"The article's five": 5, "Ten more": 10}
EMPTY_WORDS = re.compile(r"\b(simply|obviously|powerful)\b", re.IGNORECASE)
# Hosts of package registries, and folders of the machine that this was written on.
# (A letter in brackets keeps the pattern from finding itself.)
ELSEWHERE = re.compile(rb"py[p]i\.org|npm[j]s|/wor[k]/|/roo[t]/")
LINK = re.compile(r"\[([^][]+)\]\(([^)\s#]+\.ipynb)\)")
NO_TEXT = {".git", "_build", "build", "__pycache__", ".ipynb_checkpoints"}


class Page(NamedTuple):
    """The words of a page of the book."""

    name: str  # its path from the top folder
    cells: list[str]  # the sources of its Markdown cells; a .md file is one cell

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n\n".join(self.cells)

    @property
    def title(self) -> str:
        """The first heading."""
        found = re.search(r"^# (.+)$", self.text, re.MULTILINE)
        return found[1] if found else ""

    def section(self, heading: str) -> str:
        """Return the text below a heading of level 2, or "" if there is none."""
        pattern = rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)"
        found = re.search(pattern, self.text, re.MULTILINE | re.DOTALL)
        return found[1] if found else ""


class Fault(NamedTuple):
    """Something that a text should not say, or should."""

    place: str  # a page or a file
    found: str  # the words, as `ALLOWED` names them
    mend: str  # what to do


class Book(NamedTuple):
    """The texts of a project."""

    root: Path
    pages: dict[str, Page]  # by name, in the order of `_toc.yml`

    @property
    def chapters(self) -> list[Page]:
        """The pages that teach: notebooks that are not part of the appendix."""
        return [
            page
            for name, page in self.pages.items()
            if name.endswith(".ipynb") and not name.startswith("book/appendix/")
        ]


def read_page(root: Path, name: str) -> Page:
    """Return a page of `_toc.yml`, which names it without its suffix.

    Raises:
        FileNotFoundError: there is no such page.
    """
    notebook = root / f"{name}.ipynb"
    if not notebook.exists():
        return Page(f"{name}.md", [(root / f"{name}.md").read_text(encoding="utf-8")])
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    words = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    return Page(f"{name}.ipynb", words)


def read_book(root: Path) -> Book:
    """Return the texts of the pages in `_toc.yml`."""
    toc = (root / "_toc.yml").read_text(encoding="utf-8")
    names = re.findall(r"^(?:root|\s*- file): *(\S+)", toc, re.MULTILINE)
    pages = [read_page(root, name) for name in names]
    return Book(root, {page.name: page for page in pages})


def project_files(root: Path) -> list[Path]:
    """Return the files that git tracks, or all, where git cannot say.

    It cannot in a download without history, where it is not installed, and where the
    folder belongs to another user. Then environments and what was built are left out.
    """
    command = ["git", "ls-files", "-z"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return sorted(walk(root))
    names = os.fsdecode(done.stdout).split("\0")
    return [root / name for name in names if name and (root / name).is_file()]


def walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without environments and what was built."""
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif (
            path.is_dir()
            and not path.is_symlink()
            and path.name not in NO_TEXT
            and not path.name.endswith(("_cache", ".egg-info"))
            and not (path / "pyvenv.cfg").exists()
        ):
            yield from walk(path)


def empty_words(book: Book) -> Iterator[Fault]:
    """What is simple to one reader is not to the next."""
    for page in book.pages.values():
        for found in EMPTY_WORDS.findall(page.text):
            yield Fault(page.name, found, "leave the word out")


def machine_words(book: Book) -> Iterator[Fault]:
    """The project speaks of itself, not of where it was written."""
    for path in project_files(book.root):
        for found in sorted(set(ELSEWHERE.findall(path.read_bytes()))):
            name = path.relative_to(book.root).as_posix()
            yield Fault(name, found.decode(), "name no machine and no registry")


def readme_length(book: Book) -> Iterator[Fault]:
    """Who opens the README wants the commands."""
    text = (book.root / "README.md").read_text(encoding="utf-8")
    count = len(text.splitlines())
    if count > README_LINES:
        yield Fault("README.md", f"{count} lines", f"{README_LINES} at most")


def dense_network(book: Book) -> Iterator[Fault]:
    """The size of the dense network stands in several texts: all mean the same.

    A number from 200,000 to 299,999 is taken for its parameters or those of its
    first layer.
    """
    card = book.root / "book" / "checkpoints" / "mnist-dense.json"
    parameters = json.loads(card.read_text(encoding="utf-8"))["parameters"]
    right = (f"{parameters:,}", f"{(28 * 28 + 1) * 256:,}")
    texts = {page.name: page.text for page in book.pages.values()}
    models = book.root / "helpers" / "models.py"
    texts["helpers/models.py"] = models.read_text(encoding="utf-8")
    for name, text in texts.items():
        for found in re.findall(r"\b2\d\d,\d{3}\b", text):
            if found not in right:
                yield Fault(name, found, f"the dense network has {' or '.join(right)}")


def questions(book: Book) -> Iterator[Fault]:
    """The FAQ holds the article's five questions and ten more, answered shortly."""
    page = book.pages["book/faq.ipynb"]
    for heading, count in QUESTIONS.items():
        asked = re.split(r"^### (.+)$", page.section(heading), flags=re.MULTILINE)[1:]
        pairs = list(zip(asked[::2], asked[1::2], strict=True))
        if len({question for question, _ in pairs}) != count:
            found = f"{heading}: {len(pairs)} questions"
            yield Fault(page.name, found, f"{count} different ones")
        for question, answer in pairs:
            words = re.sub(r"\]\([^)]*\)|\{cite:\w+\}`[^`]*`", "]", answer).split()
            if len(words) > ANSWER_WORDS:
                found = f"{question} {len(words)} words"
                yield Fault(page.name, found, f"{ANSWER_WORDS} at most")


def short_titles(title: str) -> set[str]:
    """Return what a page may be called: "Subject: motto", or one of the two."""
    subject, _, motto = title.partition(": ")
    return {title, subject, motto[:1].upper() + motto[1:]} - {""}


def links(book: Book) -> Iterator[Fault]:
    """Readers know titles, not file names; where a title is quoted, it is the one."""
    for page in book.pages.values():
        for label, target in LINK.findall(page.text):
            words = " ".join(label.split())
            name = os.path.normpath(Path(page.name).parent / target)
            title = book.pages[name].title if name in book.pages else ""
            if re.fullmatch(r"\w+/\w+", words):
                yield Fault(page.name, words, f"say the page's title: {title}")
            elif not page.name.startswith("book/appendix/") or words.islower():
                continue
            elif words not in short_titles(title):
                yield Fault(page.name, words, f"the page is called: {title}")


def map_of_the_book(book: Book) -> Iterator[Fault]:
    """The map in the background chapter leads to every other chapter.

    Nor does the glossary name one of them as a file, as it does with chapters that
    are planned.
    """
    background = book.pages["book/background.ipynb"]
    drawn = background.section("Map of the book")
    glossary = book.pages["book/appendix/glossary.md"]
    for page in book.chapters:
        name = page.name.removeprefix("book/")
        if page != background and f"({name})" not in drawn:
            mend = f"add it below the heading Map of the book: [{page.title}]({name})"
            yield Fault(background.name, f"no link to {name}", mend)
        planned = f"`{name.removesuffix('.ipynb')}`"
        if planned in glossary.text:
            mend = f"link to it: [{page.title}](../{name})"
            yield Fault(glossary.name, planned, mend)


CHECKS: list[Callable[[Book], Iterator[Fault]]] = [
    empty_words,
    machine_words,
    readme_length,
    dense_network,
    questions,
    links,
    map_of_the_book,
]


def faults(root: Path, allowed: set[tuple[str, str]]) -> list[Fault]:
    """Return what is wrong with the texts of a project.

    Args:
        root: its top folder.
        allowed: pairs of place and words that may stay.
    """
    book = read_book(root)
    found = [fault for check in CHECKS for fault in check(book)]
    needed = {(fault.place, fault.found) for fault in found}
    stale = [
        Fault(place, words, "is not there: take it out of ALLOWED in tools/prose.py")
        for place, words in sorted(allowed - needed)
    ]
    kept = [fault for fault in found if (fault.place, fault.found) not in allowed]
    return kept + stale


def main() -> None:
    """Print the faults, and fail if there are any."""
    found = faults(ROOT, ALLOWED)
    for fault in found:
        print(f"{fault.place}: {fault.found}: {fault.mend}")
    if found:
        sys.exit(f"{len(found)} faults in the texts (tools/prose.py)")


if __name__ == "__main__":
    main()
