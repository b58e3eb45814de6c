"""Run notebooks under other seeds and keep what their findings measure.

Each notebook runs once under each seed, with all of MNIST, and is not stored. What
its findings measured and whether they held goes to book/appendix/replications.csv
as soon as the run has ended; a finding that fails is a row like any other.

    python tools/replicate.py --seeds "1 2 3"                       all with findings
    python tools/replicate.py --seeds 4 book/code/transfer.ipynb    these only
"""

import argparse
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from helpers import pages
from helpers.pages import Statement
from helpers.paths import ROOT
from tools.notebooks import NotebookError, check_paths

TOOL = Path(__file__).parent / "notebooks.py"


class Run(NamedTuple):
    """One notebook under one seed."""

    path: Path
    seed: int

    @property
    def name(self) -> str:
        """Return how the run is called in what is printed."""
        return f"{pages.page_name(self.path)}, seed {self.seed}"


class Ended(NamedTuple):
    """A run that has ended."""

    run: Run
    seconds: float
    problem: str  # why it crashed; empty if it did not
    stated: list[Statement]  # what it printed; nothing if it crashed


class SeedError(ValueError):
    """A seed is not one of those that the book knows."""


def read_seeds(text: str) -> list[int]:
    """Return the seeds of a text such as "1 2 3".

    Raises:
        SeedError: there is none, one is no whole number from 0 to 9999, or one
            stands there twice.

    Example:
        >>> read_seeds("1 12")
        [1, 12]
    """
    words = text.split()
    wrong = [word for word in words if not re.fullmatch("[0-9]{1,4}", word)]
    seeds = [int(word) for word in words if word not in wrong]
    if wrong or len(set(seeds)) < max(1, len(seeds)):
        raise SeedError(
            f"Received the seeds {text!r}; expected whole numbers from 0 to 9999, each "
            "once, with spaces between them, as '1 2 3'."
        )
    return seeds


def with_findings(root: Path) -> list[Path]:
    """Return the notebooks of the book that have stored findings.

    Raises:
        NotebookError: no notebook has any.
    """
    found = [
        path
        for path in pages.toc_notebooks(root)
        if any(statement.evidence for statement in pages.statements(path))
    ]
    if not found:
        raise NotebookError("No notebook of _toc.yml has stored a finding; name some.")
    return found


def run_all(runs: Sequence[Run], workers: int) -> Generator[Ended, None, None]:
    """Execute notebooks, some at a time, and yield each run as it ends.

    No process is left when this is over, in whatever way.

    Args:
        runs: what to execute, in this order.
        workers: how many at a time.
    """
    waiting = list(runs)
    running: dict[subprocess.Popen[bytes], tuple[Run, Path, float]] = {}
    with tempfile.TemporaryDirectory(prefix="book-replicate-") as folder:
        try:
            while waiting or running:
                if waiting and len(running) < workers:
                    run, into = waiting.pop(0), Path(tempfile.mkdtemp(dir=folder))
                    running[_start(run, into)] = run, into, time.monotonic()
                    continue
                for process in [p for p in running if p.poll() is not None]:
                    run, into, begin = running.pop(process)
                    seconds = time.monotonic() - begin
                    yield _ended(run, into, seconds, process.returncode)
                time.sleep(0.1)
        finally:
            for process in running:
                process.terminate()  # it ends its kernel
            for process in running:
                process.wait()


def _start(run: Run, into: Path) -> subprocess.Popen[bytes]:
    """Start to execute a notebook into an empty folder."""
    settings = {"BOOK_SEED": f"{run.seed}", "BOOK_REPLICATE": "1"}
    with (into / "errors.txt").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, TOOL, "--into", into, run.path],
            env=os.environ | settings | {"BOOK_DATA_TIER": "full"},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )


def _ended(run: Run, into: Path, seconds: float, code: int) -> Ended:
    """Read what a run has left in its folder."""
    if code:
        text = (into / "errors.txt").read_text(encoding="utf-8", errors="replace")
        last = text.strip().rpartition("\n")[2]
        return Ended(run, seconds, last or f"it ended with code {code}", [])
    notebook = json.loads((into / run.path.name).read_text(encoding="utf-8"))
    stated = pages.statements_of(notebook["cells"], pages.page_name(run.path))
    return Ended(run, seconds, "", stated)


def time_left(ended: Sequence[Ended], runs: Sequence[Run], workers: int) -> float:
    """Return about how many seconds the runs will take that have not ended.

    A notebook takes as long as it did under other seeds, on average; one that has
    not ended under any seed takes as long as all others, on average.

    Args:
        ended: at least one run.
        runs: all runs, those included.
        workers: how many run at a time.
    """
    left = set(runs) - {one.run for one in ended}
    total = 0.0
    for run in left:
        own = [one.seconds for one in ended if one.run.path == run.path]
        total += mean(own or [one.seconds for one in ended])
    return total / min(workers, max(1, len(left)))


def summary(ended: Ended) -> str:
    """Return in a few words how a run has ended.

    Example:
        >>> summary(Ended(Run(Path("a.ipynb"), 1), 2.0, "", []))
        '0 of 0 findings held'
    """
    if ended.problem:
        return "crashed"
    findings = [statement for statement in ended.stated if statement.evidence]
    failed = sum(not s.held for s in ended.stated if not s.evidence)
    checks = f", checks that failed: {failed}" if failed else ""
    return f"{sum(s.held for s in findings)} of {len(findings)} findings held{checks}"


def report(ended: Sequence[Ended]) -> int:
    """Print what has failed and return the exit code: 0 if only findings did."""
    failed = [
        (one.run, statement)
        for one in ended
        for statement in one.stated
        if not statement.held
    ]
    findings = [
        f"{s.id}, seed {run.seed}: {s.sentence} ⟨{s.evidence}⟩"
        for run, s in failed
        if s.evidence
    ]
    checks = [
        f"{s.id}, seed {run.seed}: {s.sentence}" for run, s in failed if not s.evidence
    ]
    crashed = [f"{one.run.name}: {one.problem}" for one in ended if one.problem]
    for heading, lines in {
        "Findings that failed (no error: they stand in the table)": findings,
        "Checks that failed": checks,
        "Notebooks that crashed (they left no rows)": crashed,
    }.items():
        if lines:
            print(f"{heading}:", *lines, sep="\n  ")
    return 1 if checks or crashed else 0


def record(ended: Ended, table: Path, root: Path) -> Ended:
    """Write the rows of a run into the table, unless it crashed.

    Returns:
        The run; with a problem, if its rows could not be written.
    """
    if not ended.problem:
        page = pages.page_name(ended.run.path)
        try:
            pages.record_replication(page, ended.run.seed, ended.stated, table, root)
        except ValueError as error:  # evidence of another form, a table edited since
            return ended._replace(problem=str(error), stated=[])
    return ended


def replicate(runs: Sequence[Run], workers: int, table: Path, root: Path) -> int:
    """Execute all runs, write the rows of each as it ends, and say what failed.

    Returns:
        0, also if findings failed; 1 if a check failed or a notebook crashed; 130
        if it was stopped.
    """
    ended: list[Ended] = []
    try:
        with contextlib.closing(run_all(runs, workers)) as results:
            for one in results:
                ended.append(record(one, table, root))
                left = time_left(ended, runs, workers) / 60
                print(
                    f"[{len(ended)}/{len(runs)}] {one.run.name}: {summary(ended[-1])} "
                    f"({one.seconds:.0f} s); about {left:.0f} min left",
                    flush=True,
                )
    except KeyboardInterrupt:
        print(f"Stopped; the table holds the {len(ended)} runs that had ended.")
        return 130
    return report(ended)


def main(
    arguments: Sequence[str] | None = None,
    root: Path = ROOT,
    table: Path = pages.REPLICATIONS,
) -> int:
    """Replicate the notebooks named on the command line, or all with findings.

    Args:
        arguments: those of the command line; None: those of this process.
        root: the top folder of the project, with its `_toc.yml`.
        table: the table to write.

    Returns:
        The exit code: that of `replicate`, or 2 if the arguments or the table
        are wrong.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", required=True, help='values of BOOK_SEED: "1 2 3"')
    parser.add_argument("--workers", type=int, default=2, help="notebooks at a time")
    parser.add_argument("paths", nargs="*", type=Path, help="default: with findings")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # it may not know every letter
    try:
        seeds = read_seeds(options.seeds)
        check_paths(options.paths, root)
        pages.replications(table)
        paths = [path.resolve() for path in options.paths] or with_findings(root)
    except (SeedError, NotebookError, pages.ReplicationError) as error:
        print(error, file=sys.stderr)
        return 2
    runs = [Run(path, seed) for seed in seeds for path in dict.fromkeys(paths)]
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        return replicate(runs, max(1, options.workers), table, root)
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
