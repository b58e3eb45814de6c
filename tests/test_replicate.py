"""`tools/replicate.py` keeps what findings measure under other seeds, or says why."""

import doctest
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean

import nbformat
import pytest
from nbformat import v4
from processes import is_soon_gone

from helpers import pages
from helpers.pages import Replication, Statement
from tools import replicate
from tools.replicate import Ended, Run

GAIN = """import os
from helpers import claims
seed = int(os.environ["BOOK_SEED"])
assert os.environ["BOOK_DATA_TIER"] == "full"
gain = claims.Interval(*(n / 100 for n in (seed, seed - 1, seed + 1)), 10, "points")
claims.claim("it gains less than 2 points", gain.below(0.02))
claims.check("seeds are whole", True)
claims.claim("it loses nothing", gain.above(-0.01))"""
CRASH = """import os
from helpers import claims
seed = int(os.environ["BOOK_SEED"])
claims.check("the seed is odd", seed % 2 == 1)
loss = claims.Interval(0.3, 0.2, 0.4, 10, "nats")
claims.claim("the loss is small", loss.below(0.5))"""
RAISE = "if seed == 3:\n    raise ValueError('too\\nmuch')"
SLOW = """import os, time
from pathlib import Path
Path("draft").write_text(str(os.getpid()))
Path("draft").rename("kernel")
time.sleep(60)
Path("finished").touch()"""


def save(folder: Path, name: str, *sources: str) -> Path:
    """Store a notebook that was never executed."""
    cells = [
        v4.new_code_cell(source, id=f"cell-{number}")
        for number, source in enumerate(sources, start=1)
    ]
    path = folder / "book" / name
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The top folder of a small book."""
    (tmp_path / "book").mkdir()
    (tmp_path / "index.md").write_text("# Index\n", encoding="utf-8")
    save(tmp_path, "gain.ipynb", GAIN)
    save(tmp_path, "crash.ipynb", CRASH, RAISE)
    save(tmp_path, "slow.ipynb", SLOW)
    save(tmp_path, "other.ipynb", "x = 1")
    names = ["gain", "crash", "slow", "other"]
    chapters = ", ".join(f"{{file: book/{name}}}" for name in names)
    toc = f"format: jb-book\nroot: index\nchapters: [{chapters}]\n"
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    return tmp_path


@pytest.fixture
def table(root: Path) -> Path:
    return root / "replications.csv"


def stated(sentence: str, cell: str = "cell-1", bar: int = 2) -> Statement:
    evidence = f"+1.0, 95 % 1.0 to 1.0, asked < {bar}, 10 seeds"
    return Statement(cell, sentence, evidence, True)


def as_rows(table: Path) -> list[tuple[str, int, bool, str, str]]:
    rows = pages.replications(table)
    return [(r.finding, r.seed, r.held, r.mean, r.sentence) for r in rows]


# --- Runs -------------------------------------------------------------------------


def test_every_run_that_ended_leaves_its_rows_and_others_stay(
    root: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One finding fails under seed 2, one check too; a notebook crashes under 3."""
    notebooks = [root / "book" / f"{name}.ipynb" for name in ("crash", "gain")]
    before = [path.read_bytes() for path in notebooks]
    small = "it gains less than 2 points"
    old = {
        ("gain", 2): [stated(small, "gain#cell-1")],
        ("gain", 7): [stated(small, "gain#cell-1"), stated("gone", "gain#cell-9")],
        ("other", 2): [stated("it is another", "other#cell-1")],
    }
    for (page, seed), statements in old.items():
        pages.record_replication(page, seed, statements, table, root)
    arguments = ["--seeds", "2 3", "--workers", "1", *map(str, notebooks)]
    assert replicate.main(arguments, root, table) == 1

    kept = "gain#cell-1", "gain#cell-1.3", "crash#cell-1.2", "other#cell-1"
    assert as_rows(table) == [
        (kept[0], 2, False, "+2.0", small),
        (kept[0], 3, False, "+3.0", small),
        (kept[0], 7, True, "+1.0", small),
        (kept[1], 2, True, "+2.0", "it loses nothing"),
        (kept[1], 3, True, "+3.0", "it loses nothing"),
        (kept[2], 2, True, "0.30", "the loss is small"),
        (kept[3], 2, True, "+1.0", "it is another"),
    ]
    assert [path.read_bytes() for path in notebooks] == before
    assert {path.suffix for path in root.iterdir()} == {"", ".md", ".yml", ".csv"}

    lines = capsys.readouterr().out.splitlines()
    starts = [
        "[1/4] crash, seed 2: 1 of 1 findings held, checks that failed: 1 (",
        "[2/4] gain, seed 2: 1 of 2 findings held (",
        "[3/4] crash, seed 3: crashed (",
        "[4/4] gain, seed 3: 1 of 2 findings held (",
    ]
    for line, start in zip(lines, starts, strict=False):
        assert line.startswith(start) and "min left" in line
    assert lines[4:] == [
        "Findings that failed (no error: they stand in the table):",
        f"  gain#cell-1, seed 2: {small} ⟨+2.0, 95 % 1.0 to 3.0, asked < 2, 10 seeds⟩",
        f"  gain#cell-1, seed 3: {small} ⟨+3.0, 95 % 2.0 to 4.0, asked < 2, 10 seeds⟩",
        "Checks that failed:",
        "  crash#cell-1, seed 2: the seed is odd",
        "Notebooks that crashed (they left no rows):",
        "  crash, seed 3: cell 'cell-2' failed: ValueError: too much",
    ]


def test_a_finding_that_fails_is_no_error_and_a_crash_is() -> None:
    run = Run(Path("book/a.ipynb"), 1)
    failed = stated("it is so")._replace(held=False)
    check = failed._replace(evidence="")
    assert replicate.report([]) == 0
    assert replicate.report([Ended(run, 1, "", [failed, stated("yes")])]) == 0
    assert replicate.report([Ended(run, 1, "", [failed, check])]) == 1
    assert replicate.report([Ended(run, 1, "why", [])]) == 1


def test_the_estimate_counts_each_notebook_at_its_own_pace() -> None:
    quick, slow, new = (Path(f"book/{name}.ipynb") for name in "abc")
    runs = [Run(path, seed) for seed in (1, 2, 3) for path in (quick, slow, new)]
    seconds = {runs[0]: 2.0, runs[1]: 100.0, runs[3]: 4.0}
    ended = [Ended(run, took, "", []) for run, took in seconds.items()]
    expected = [3] + 2 * [100] + 3 * [mean([2, 100, 4])]
    assert replicate.time_left(ended, runs, 1) == pytest.approx(sum(expected))
    assert replicate.time_left(ended, runs, 2) == pytest.approx(sum(expected) / 2)
    assert replicate.time_left(ended, runs[:5], 8) == pytest.approx(50 + 106 / 6)
    assert replicate.time_left(ended, list(seconds), 2) == 0


def test_without_names_all_notebooks_with_findings_run(
    root: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have stored evidence; a check is not enough."""
    printed = {"gain": "✓ it is so ⟨+1⟩\n", "other": "✓ it is so\n"}
    for name, text in printed.items():
        path = root / "book" / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[0].outputs = [v4.new_output("stream", text=text)]
        nbformat.write(notebook, path)
    asked = []

    def take(runs: list[Run], workers: int) -> Iterator[Ended]:
        asked.extend([(run.path.name, run.seed) for run in runs] + [workers])
        yield from ()

    monkeypatch.setattr(replicate, "run_all", take)
    assert replicate.main(["--seeds", "5 1"], root, table) == 0
    assert asked == [("gain.ipynb", 5), ("gain.ipynb", 1), 2]
    assert not table.exists()


# --- Stopped ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "to_all"), [("SIGKILL", True), ("SIGINT", True), ("SIGTERM", False)]
)
def test_a_stopped_run_loses_no_row_and_leaves_no_process(
    name: str, to_all: bool, root: Path, table: Path
) -> None:
    """Stopped after the first row, with one kernel in the middle of its work."""
    code = (
        "import sys; from pathlib import Path; from tools import replicate\n"
        "root, table = map(Path, sys.argv[1:3])\n"
        "sys.exit(replicate.main(sys.argv[3:], root, table))"
    )
    books = [str(root / "book" / f"{name}.ipynb") for name in ("slow", "gain")]
    arguments = [str(root), str(table), "--seeds", "1", *books]
    command = [sys.executable, "-c", code, *arguments]
    kernel = root / "book" / "kernel"
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"TMPDIR": str(root.parent)},
        start_new_session=True,
    ) as process:
        while not (table.exists() and kernel.exists()):
            assert process.poll() is None
            time.sleep(0.05)
        stop = os.killpg if to_all else os.kill
        stop(process.pid, signal.Signals[name])
        out, _ = process.communicate()
    pid = int(kernel.read_text(encoding="utf-8"))
    assert is_soon_gone(pid)  # it looks once a second whether its parent is there
    assert not (root / "book" / "finished").exists()
    whole = as_rows(table)
    assert [row[:2] for row in whole] == [("gain#cell-1", 1), ("gain#cell-1.3", 1)]
    if name != "SIGKILL":
        assert process.returncode == 130
        assert out.endswith("Stopped; the table holds the 1 runs that had ended.\n")
    table.with_suffix(".part").write_text("half", encoding="utf-8")
    assert replicate.main(["--seeds", "0", books[1]], root, table) == 0
    assert [row[1] for row in as_rows(table)] == [0, 1, 0, 1]
    assert not table.with_suffix(".part").exists()


# --- Bad input --------------------------------------------------------------------


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicate, "run_all", lambda *_: pytest.fail("it ran"))


def refusal(
    capsys: pytest.CaptureFixture[str], root: Path, table: Path, *arguments: str
) -> str:
    """Return the one line with which the tool ends."""
    assert replicate.main(arguments, root, table) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert printed.out == ""
    return line


SEEDS = ["", " ", "a", "1 x", "-1", "1.5", "10000", "1,2", "1 2 1", "7 007", "²", "0x1"]


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.usefixtures("nothing_runs")
def test_seeds_that_the_book_does_not_know_are_refused(
    seeds: str, root: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, root, table, "--seeds", seeds)
    assert repr(seeds) in line and "whole numbers from 0 to 9999" in line


def test_seeds_are_read_in_their_order() -> None:
    assert replicate.read_seeds("9999  0 12\n") == [9999, 0, 12]


@pytest.mark.usefixtures("nothing_runs")
def test_a_path_that_is_no_notebook_is_refused(
    root: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, root, table, "--seeds", "1", "book/gian.ipynb")
    assert line.startswith("book/gian.ipynb: is not there; expected a notebook, such")
    assert "book/gain.ipynb" in line
    assert "has stored a finding" in refusal(capsys, root, table, "--seeds", "1")


def cut(text: str) -> str:
    return text[:-30]


def edited(text: str) -> str:
    return text.replace("yes", "no")


def copied(text: str) -> str:
    return text + text.splitlines(keepends=True)[-1]


def of_other_columns(text: str) -> str:
    return text.replace("sentence", "words")


@pytest.mark.parametrize("spoil", [cut, edited, copied, of_other_columns])
@pytest.mark.usefixtures("nothing_runs")
def test_a_spoilt_table_is_refused_and_stays(
    spoil: Callable[[str], str],
    root: Path,
    table: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pages.record_replication("gain", 1, [stated("so", "gain#cell-1")], table, root)
    assert pages.replications(table) == [
        Replication("gain#cell-1", 1, True, "+1.0", "1.0", "1.0", "< 2", 10, "so")
    ]
    spoilt = spoil(table.read_text(encoding="utf-8"))
    table.write_text(spoilt, encoding="utf-8")
    book = str(root / "book" / "gain.ipynb")
    line = refusal(capsys, root, table, "--seeds", "1", book)
    assert line.startswith("replications.csv, line ")
    assert table.read_text(encoding="utf-8") == spoilt


def test_a_table_spoilt_during_the_runs_is_reported(root: Path, table: Path) -> None:
    """The run cannot be recorded, and what is there is not written over."""
    table.write_text("spoilt\n", encoding="utf-8")
    run = Ended(Run(root / "book" / "gain.ipynb", 1), 1.0, "", [stated("so")])
    kept = replicate.record(run, table, root)
    assert "replications.csv, line 1" in kept.problem and kept.stated == []
    assert table.read_text(encoding="utf-8") == "spoilt\n"


def test_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(replicate)
    assert results.attempted > 0 and results.failed == 0
