"""What cells have stated is read from their outputs, and its replications are kept."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import claims, pages

GAIN = claims.Interval(0.093, 0.071, 0.115, 10, claims.POINTS).above(0.05)
TABLE = "finding,seed,held,mean,low,high,asked,size,sentence,digest"


def cell(cell_id: str, *printed: str) -> dict[str, Any]:
    """A code cell that has printed these lines, in pieces as notebooks store them."""
    text = [f"{line}\n" for line in printed]
    stream = {"output_type": "stream", "name": "stdout", "text": text}
    return {
        "cell_type": "code",
        "id": cell_id,
        "source": ["pass"],
        "outputs": [stream] if printed else [],
    }


CELLS = [
    {"cell_type": "markdown", "id": "title", "source": ["# A chapter\n", "\n", "text"]},
    cell("silent"),
    cell("gain", "some number", f"✓ it gains ⟨{GAIN.text}⟩"),
    cell("shapes", "✓ the shapes agree", "✗ the signs agree", "○ no ⟨not measured: x⟩"),
]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A book of two chapters, the second of which comes first in its toc."""
    toc = "format: jb-book\nroot: index\nchapters:\n"
    toc += "  - file: book/part/second\n  - file: book/first\n"
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    (tmp_path / "index.md").write_text("# The book\n", encoding="utf-8")
    (tmp_path / "book" / "part").mkdir(parents=True)
    for name in ("first", "part/second"):
        text = json.dumps({"cells": CELLS})
        (tmp_path / "book" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    return tmp_path


def stated(**bars: float) -> list[pages.Statement]:
    """What a page states whose cells claim a gain above these bars."""
    low = np.array([0.08, 0.09, 0.10])
    evidence = {
        name: claims.interval(low, unit=claims.POINTS).above(bar)
        for name, bar in bars.items()
    }
    return [
        pages.Statement(f"first#{name}", f"{name} gains", one.text, one.holds)
        for name, one in evidence.items()
    ]


# --- Pages and statements -----------------------------------------------------------


def test_pages_come_in_the_order_of_the_toc(book: Path) -> None:
    names = [pages.page_name(path) for path in pages.toc_notebooks(book)]
    assert names == ["part/second", "first"]
    assert pages.toc_pages(book)[0].name == "index.md"
    assert [pages.title(path) for path in pages.toc_pages(book)] == [
        "The book",
        "A chapter",
        "A chapter",
    ]


def test_a_page_that_the_toc_names_must_exist(book: Path) -> None:
    (book / "book" / "first.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match="names book/first, but"):
        pages.toc_pages(book)


def test_a_page_without_a_title_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("## Too low\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md has no title"):
        pages.title(tmp_path / "page.md")


def test_statements_are_the_lines_that_claim_and_check_print(book: Path) -> None:
    found = pages.statements(book / "book" / "first.ipynb")
    assert found == [
        ("first#gain", "it gains", GAIN.text, True),
        ("first#shapes", "the shapes agree", "", True),
        ("first#shapes.2", "the signs agree", "", False),
    ]


def test_a_statement_is_found_by_its_id(book: Path) -> None:
    assert pages.find("part/second#gain", book).sentence == "it gains"
    assert pages.find("first#shapes.2", book).sentence == "the signs agree"


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("first#gian", "first#gain"),
        ("first#shapes.3", "first#shapes.2"),
        ("part/secnod#gain", "part/second"),
        ("gain", "first"),
    ],
)
def test_an_unknown_id_is_refused_with_the_nearest_ones(
    book: Path, wrong: str, near: str
) -> None:
    with pytest.raises(LookupError, match=f"has the id '{wrong}'; expected .*{near}"):
        pages.find(wrong, book)


@pytest.mark.parametrize("bar", [-0.2, 0.05, 0.1])
@pytest.mark.parametrize(
    "values",
    [[0.091, 0.12, 0.1], [0.5, 0.5], [-3e-7, -2e-7], [300.0, 800.0], [0.0, 0.0]],
    ids=repr,
)
@pytest.mark.parametrize("unit", [claims.POINTS, claims.PERCENT, "nats", ""])
def test_printed_evidence_is_read_as_it_was_measured(
    unit: str, values: list[float], bar: float
) -> None:
    """Mean, ends and margin come back, to the digits that are printed."""
    found = claims.interval(values, unit=unit)
    for evidence in (found.above(bar), found.below(bar), found.within(bar, bar + 1)):
        read = pages.measured(evidence.text)
        given = np.array([found.mean, found.low, found.high]) * found.scale
        width = given[2] - given[1] or max(abs(given[0]), 1e-9)
        assert np.allclose((read.mean, read.low, read.high), given, atol=0.06 * width)
        assert read.size == len(values)
        assert (read.margin > 0) == evidence.holds or abs(evidence.margin) < 0.1
        if abs(evidence.margin) < 20:
            assert read.margin == pytest.approx(evidence.margin, abs=0.15, rel=0.1)


def test_joined_evidence_is_read_as_its_weakest() -> None:
    joined = claims.weakest(GAIN, claims.interval([0.5, 0.6]).above(-20))
    assert pages.measured(joined.text) == pages.measured(GAIN.text)


@pytest.mark.parametrize("text", ["", "9.3", "+9.3, asked > 5", "not measured: x"])
def test_what_is_no_evidence_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"the evidence .*; expected a mean"):
        pages.measured(text)


# --- Replications -------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "replications.csv"


def record(
    book: Path, seed: int, found: list[pages.Statement], page: str = "first"
) -> None:
    table = book / "replications.csv"
    pages.record_replication(page, seed, found, table, book)


def test_there_may_be_no_replications_yet(table: Path) -> None:
    assert pages.replications(table) == []


def test_what_was_recorded_comes_back(book: Path, table: Path) -> None:
    record(book, 7, stated(one=0.05, two=0.2))
    assert pages.replications(table) == [
        ("first#one", 7, True, "+9.0", "6.5", "11.5", "> 5", 3, "one gains"),
        ("first#two", 7, False, "+9.0", "6.5", "11.5", "> 20", 3, "two gains"),
    ]


def test_rows_stand_in_the_order_of_the_book_and_then_of_the_seeds(
    book: Path, table: Path
) -> None:
    second = [s._replace(id=f"part/second#{s.id[6:]}") for s in stated(z=0.05, a=0.05)]
    for seed in (9, 10, 2):
        record(book, seed, stated(one=0.05))
        record(book, seed, second, "part/second")
    found = [(row.finding, row.seed) for row in pages.replications(table)]
    names = ("part/second#z", "part/second#a", "first#one")
    assert found == [(name, seed) for name in names for seed in (2, 9, 10)]


def test_a_finding_and_a_seed_have_one_row_the_latest(book: Path, table: Path) -> None:
    record(book, 7, stated(one=0.05))
    record(book, 7, [stated(one=0.05)[0]._replace(held=False)])
    assert [(row.seed, row.held) for row in pages.replications(table)] == [(7, False)]


def test_rows_of_other_words_or_another_bar_go(book: Path, table: Path) -> None:
    record(book, 7, stated(kept=0.05, lowered=0.05, reworded=0.05, dropped=0.05))
    new = stated(kept=0.05, lowered=0.01, reworded=0.05)
    new[2] = new[2]._replace(sentence="it gains a little")
    record(book, 8, new)
    found = [(row.finding, row.seed) for row in pages.replications(table)]
    assert found == [
        ("first#kept", 7),
        ("first#kept", 8),
        ("first#lowered", 8),
        ("first#reworded", 8),
    ]


def test_checks_have_no_rows(book: Path, table: Path) -> None:
    record(book, 7, [pages.Statement("first#c", "the shapes agree", "", True)])
    assert table.read_text(encoding="utf-8") == f"{TABLE}\n"


def edit_mean(lines: list[str]) -> list[str]:
    return [lines[0], lines[1].replace("+9.0", "+9.9"), *lines[2:]]


def edit_held(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[2].replace(",no,", ",yes,")]


BROKEN = {  # how the table is damaged, and which line is named
    "a mean edited": (edit_mean, 2),
    "a failure hidden": (edit_held, 3),
    "cut in a row": (lambda lines: [*lines[:2], lines[2][:25]], 3),
    "cut in the columns": (lambda lines: [lines[0][:10]], 1),
    "emptied": (lambda lines: [], 1),
    "a row twice": (lambda lines: [*lines, lines[1]], 4),
    "another table": (lambda lines: ["a,b", "1,2"], 1),
}


@pytest.mark.parametrize("damage", BROKEN, ids=str)
def test_a_table_that_was_cut_or_edited_is_refused(
    book: Path, table: Path, damage: str
) -> None:
    change, line = BROKEN[damage]
    record(book, 7, stated(one=0.05, two=0.2))
    lines = change(table.read_text(encoding="utf-8").splitlines())
    broken = "".join(f"{one}\n" for one in lines)
    table.write_text(broken, encoding="utf-8")
    with pytest.raises(pages.ReplicationError, match=f"csv, line {line}: received"):
        pages.replications(table)
    with pytest.raises(pages.ReplicationError, match="make replicate"):
        record(book, 8, stated(one=0.05))
    assert table.read_text(encoding="utf-8") == broken


def test_a_table_that_is_no_text_is_refused(table: Path) -> None:
    table.write_bytes(TABLE.encode() + b"\n\xe2\x9c")  # cut inside a letter
    with pytest.raises(pages.ReplicationError, match="line 1: received what is no"):
        pages.replications(table)


def test_a_write_that_is_stopped_leaves_the_table(
    book: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(book, 7, stated(one=0.05))
    before = table.read_bytes()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        record(book, 8, stated(one=0.05))
    assert table.read_bytes() == before
    assert not list(book.glob("*.part"))


def test_two_that_write_at_once_lose_nothing(book: Path, table: Path) -> None:
    """Four processes, each with seeds of its own."""
    script = (
        "import sys; from pathlib import Path; from helpers import pages\n"
        "book, first = Path(sys.argv[1]), int(sys.argv[2])\n"
        "one = pages.statements(book / 'book' / 'first.ipynb')\n"
        "for seed in range(first, first + 20):\n"
        "    table = book / 'replications.csv'\n"
        "    pages.record_replication('first', seed, one, table, book)\n"
    )
    command = [sys.executable, "-c", script, str(book)]
    running = [subprocess.Popen([*command, str(20 * i)]) for i in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert [row.seed for row in pages.replications(table)] == list(range(80))


# --- Published numbers --------------------------------------------------------------

YARDSTICKS = """group,set_up,published,source,checkpoint,statement,why,run
a,"one, two",1 %,x1998,,,,tiny#error
b,three,2 %,y2012,mnist-dense,,"ours differs, by this",
a,four,0.30 %,z2020,,code/mnist#error,not here,
"""


def test_yardsticks_are_the_rows_of_their_group_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "table.csv").write_text(YARDSTICKS, encoding="utf-8")
    monkeypatch.setattr(pages, "YARDSTICKS", tmp_path / "table.csv")
    assert pages.yardsticks("a") == [
        ("a", "one, two", "1 %", "x1998", "", "", "", "tiny#error"),
        ("a", "four", "0.30 %", "z2020", "", "code/mnist#error", "not here", ""),
    ]
    assert pages.yardsticks("b")[0].checkpoint == "mnist-dense"
    with pytest.raises(ValueError, match="'c'; expected one of 'a', 'b'"):
        pages.yardsticks("c")
