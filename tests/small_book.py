"""A small book with the configuration and the extension of the real one.

It has what the real book need not have at any time: findings of every kind that were
replicated, a page that asks for what is not there, and builds that die.
"""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers import pages
from helpers.paths import ROOT

ADDRESS = "https://github.com/someone/some-book"
PIXEL = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4////fwAJ+wP9KobjigAA"
    "AABJRU5ErkJggg=="
)
TOC = """
format: jb-book
root: index
chapters:
- file: book/second
- file: book/first
- file: book/third
- file: book/notebook
- file: book/appendix/findings
- file: book/appendix/reproduce
"""
INDEX = """---
myst: {html_meta: {description: A book of a few pages.}}
---

# A book

:::{notebook-figure} book/notebook.ipynb#dot
:::

:::{notebook-figure} book/notebook.ipynb#dot
Our *own* words.
:::

:::{finding} first#gain
:::

:::{finding} first#gain.2
:::
"""
MISSING_FIGURES = {  # what a page may ask for in vain, and what the build says
    "book/none.ipynb#dot": "there is no notebook",
    "book/notebook.ipynb#no": "no cell has the id 'no'; the code cells are: dot, drawn",
    "book/notebook.ipynb#title": "cell 'title' has stored no PNG",
    "book/mute.ipynb#mute": "cell 'mute' has no alternative text",
}
MISSING_FINDINGS = {  # the id, and the nearest one that the build must name
    "first#gian": "first#gain",
    "first#gain.4": "first#gain.2",
    "frist#gain": "first",
}
VAIN = "\n".join(
    [f"\n:::{{notebook-figure}} {wanted}\n:::" for wanted in MISSING_FIGURES]
    + [f"\n:::{{finding}} {wanted}\n:::" for wanted in MISSING_FINDINGS]
)
DIE = '''"""An extension that ends the build of the page named in DIE_AT at once."""

import os
import signal


def die(app, pagename, *others):
    if pagename == os.environ.get("DIE_AT"):
        os.kill(os.getpid(), signal.SIGKILL)


def setup(app):
    app.connect("html-page-context", die)
'''

GAIN = "+9.3, 95 % 7.1 to 11.5, asked > 5, 10 seeds"
SHARE = "94.7 %, 95 % 94.1 to 95.2, asked > 90, 1,797 images"
WEAKEST = "weakest of 3: −0.42 nats, 95 % −0.5 to −0.34, asked < 0, 10 seeds"
LONG = " and it goes on for long enough to need a second line on a telephone"
# What the cells print, by page and cell. The toc has `second` before `first`.
PRINTED = {
    "first": {
        "gain": [
            "a number: 1",
            f"✓ it 'gains' -- by more than 5 points ⟨{GAIN}⟩",
            '✓ the shapes "agree"...',
            "another number: 2",
            "",
            f"✓ the loss falls{LONG} ⟨{WEAKEST}⟩",
        ],
        "gain-2": [f"✓ nine in ten are right <em>&amp;</em> more ⟨{SHARE}⟩"],
        "silent": ["✓", "no ✓ here", "✓missing space"],
    },
    "second": {"new": [f"✓ a new finding ⟨{GAIN}⟩"]},
    "third": {"exact": ["✓ one and one are two", "✓ two and two are four"]},
}
# What replications measured, by page and seed: the mean of each finding of the page,
# and whether it held. Nobody has replicated `second` in its present words.
MEASURED = {
    "first": {
        1: [("+7.2", True), ("−0.61", True), ("93.9", True)],
        2: [("+11.0", True), ("+0.10", False), ("95.1", True)],
        3: [("+9.9", True), ("−0.30", True), ("94.4", True)],
    },
    "notebook": {7: [("+8.0", True)]},
}


def code_cell(
    cell_id: str, *outputs: dict[str, Any], **metadata: Any
) -> dict[str, Any]:
    """Return an executed cell with these outputs."""
    return {
        "cell_type": "code",
        "id": cell_id,
        "metadata": metadata,
        "execution_count": 1,
        "source": "1",
        "outputs": list(outputs),
    }


def printed(lines: Sequence[str]) -> dict[str, Any]:
    """Return these lines as the output of a cell."""
    text = [f"{line}\n" for line in lines]
    return {"output_type": "stream", "name": "stdout", "text": text}


def picture() -> dict[str, Any]:
    """Return a picture as the output of a cell."""
    data = {"image/png": PIXEL}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def write_notebook(path: Path, title: str, *cells: dict[str, Any]) -> None:
    """Write a notebook that begins with a title."""
    heading = {
        "cell_type": "markdown",
        "id": "title",
        "metadata": {},
        "source": f"# {title}",
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel},
        "cells": [heading, *cells],
    }
    path.write_text(json.dumps(notebook), encoding="utf-8")


def write_replications(folder: Path) -> None:
    """Write the table of replications, as `make replicate` does."""
    table = folder / "book" / "appendix" / "replications.csv"
    for page, runs in MEASURED.items():
        for seed, measured in runs.items():
            stated = pages.statements(folder / "book" / f"{page}.ipynb")
            findings = [statement for statement in stated if statement.evidence]
            changed = [
                finding._replace(evidence=with_mean(finding.evidence, mean), held=held)
                for finding, (mean, held) in zip(findings, measured, strict=True)
            ]
            pages.record_replication(page, seed, changed, table, folder)
    [old] = pages.statements(folder / "book" / "second.ipynb")
    old = old._replace(sentence="these words were replaced")
    pages.record_replication("second", 1, [old], table, folder)


def with_mean(evidence: str, mean: str) -> str:
    """Return an evidence with another mean."""
    return re.sub(r"[+−]?[\d.]+(?=[^\d]*, 95 %)", mean, evidence, count=1)


def write_notebooks(folder: Path) -> None:
    """Write the notebooks into their folder."""
    for page, cells in PRINTED.items():
        found = [code_cell(name, printed(lines)) for name, lines in cells.items()]
        write_notebook(folder / f"{page}.ipynb", f"The {page} chapter", *found)
    texts = {"image": {"alt": "A dot."}, "figure": {"caption": "*One* dot."}}
    dot = code_cell("dot", picture(), mystnb=texts)
    drawn = code_cell("drawn", printed([f"✓ a finding beside a picture ⟨{GAIN}⟩"]))
    write_notebook(folder / "notebook.ipynb", "A notebook", dot, drawn)
    write_notebook(folder / "mute.ipynb", "Mute", code_cell("mute", picture()))


def write_small_book(folder: Path) -> None:
    """Write the small book into an empty folder."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "site", folder / "site", ignore=without)
    appendix = folder / "book" / "appendix"
    appendix.mkdir(parents=True)
    shutil.copy(ROOT / "book" / "appendix" / "findings.md", appendix)
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    config = re.sub(r"^  url: .*", f'  url: "{ADDRESS}"', config, flags=re.MULTILINE)
    config = config.replace("    book_site: site", "    book_site: site\n    die: .")
    config = config.replace("      - book_site", "      - book_site\n      - die")
    texts = {
        "_config.yml": config,
        "_toc.yml": TOC,
        "die.py": DIE,
        "index.md": INDEX,
        "book/references.bib": "",
        "book/appendix/reproduce.md": "# How to reproduce\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    write_notebooks(folder / "book")
    write_replications(folder)
