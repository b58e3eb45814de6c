"""The pages of the book, what their cells have stated, and how that was replicated."""

import contextlib
import csv
import fcntl
import hashlib
import json
import math
import os
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from helpers.paths import ROOT

YARDSTICKS = ROOT / "book" / "appendix" / "yardsticks.csv"
REPLICATIONS = ROOT / "book" / "appendix" / "replications.csv"
PUBLISHED = ROOT / "book" / "published"  # cards of what `tools/published.py` has run

_LINE = re.compile(r"(?P<mark>[✓✗]) (?P<sentence>.+?)(?: ⟨(?P<evidence>[^⟩]*)⟩)?")
_NUMBER = r"[+−]?[\d.]+(?:e[+−]\d+)?"
_EVIDENCE = re.compile(
    rf"(?:weakest of \d+: )?(?P<mean>{_NUMBER})(?P<unit>.*?), [\d.]+ % "
    rf"(?P<low>{_NUMBER}) to (?P<high>{_NUMBER}), asked (?P<asked>[^,]+), "
    r"(?P<size>[\d,]+) \w+"
)


class ReplicationError(ValueError):
    """The table of replications was cut, edited by hand, or is no such table."""


class Statement(NamedTuple):
    """A line that a cell has printed with `claim` or `check`."""

    id: str  # page and cell, "code/transfer#gain"; then "code/transfer#gain.2"
    sentence: str
    evidence: str  # what stands between ⟨ and ⟩; empty for a check
    held: bool


class Measured(NamedTuple):
    """The numbers of an evidence, in the unit in which they are printed."""

    mean: float
    low: float
    high: float
    asked: str  # "> 5", "< 5", "−1 to 1"
    size: int  # how many seeds or images it rests on
    margin: float  # from the interval's nearer end to its bar, in half-widths


class Replication(NamedTuple):
    """What one finding measured under one seed; numbers as they were printed."""

    finding: str  # its id
    seed: int
    held: bool
    mean: str
    low: str
    high: str
    asked: str
    size: int
    sentence: str


class Yardstick(NamedTuple):
    """A published number with its set-up, and what of ours stands beside it."""

    group: str  # what is measured, on which data
    set_up: str
    published: str  # the number as it was published, with its unit
    source: str  # a key of references.bib
    checkpoint: str  # the checkpoint of ours to compare, empty if there is none
    statement: str  # the id of what this book states beside it, or empty
    why: str  # why the checkpoint or the statement differs
    run: str  # what was measured in the same set-up, "hinton#labels hinton#soft"


class Rerun(NamedTuple):
    """A number of a published experiment that was run once more, over its seeds."""

    mean: float
    spread: float  # standard deviation
    seeds: int
    unit: str  # "%", "errors"
    same: str  # whether it is the published set-up: "yes" or "nearly"
    differs: str  # in what it differs all the same
    values: tuple[float, ...]  # one for each seed

    def __str__(self) -> str:
        """Return mean, spread and unit, with digits that fit the unit."""
        digits = 2 if "%" in self.unit else 0
        both = f"{self.mean:.{digits}f} ± {self.spread:.{digits}f}"
        return f"{both} {self.unit} ({self.seeds} seeds)"


def toc_pages(root: Path = ROOT) -> list[Path]:
    """Return the files of the pages in `_toc.yml`, in its order, root first.

    Raises:
        FileNotFoundError: the toc names a page that does not exist.
    """
    from sphinx_external_toc.parsing import parse_toc_yaml

    pages = []
    for name in parse_toc_yaml(root / "_toc.yml"):
        found = [root / f"{name}{suffix}" for suffix in (".ipynb", ".md")]
        pages += [path for path in found if path.exists()][:1]
        if not any(path.exists() for path in found):
            raise FileNotFoundError(f"_toc.yml names {name}, but there is no such page")
    return pages


def toc_notebooks(root: Path = ROOT) -> list[Path]:
    """Return the notebooks among the pages of `_toc.yml`, in its order."""
    return [path for path in toc_pages(root) if path.suffix == ".ipynb"]


def page_name(path: Path) -> str:
    """Return what ids call a page: its path from `book/`, without its suffix.

    Example:
        >>> page_name(ROOT / "book" / "code" / "transfer.ipynb")
        'code/transfer'
    """
    parts = path.with_suffix("").parts
    if "book" in parts:  # the last one: the project's folder may be called so too
        parts = parts[len(parts) - parts[::-1].index("book") :]
    return "/".join(parts)


def title(path: Path) -> str:
    """Return the first heading of a page.

    Raises:
        ValueError: the page has no heading of level 1.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    if not found:
        raise ValueError(f"{path} has no title; expected a line that begins with '# '.")
    return found[1]


# --- What cells have stated ---------------------------------------------------------


def statements(path: Path) -> list[Statement]:
    """Return the findings and checks that a notebook has stored, in their order."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return statements_of(cells, page_name(path))


def statements_of(cells: Iterable[Mapping[str, Any]], page: str) -> list[Statement]:
    """Return the findings and checks that cells have printed, in their order.

    Args:
        cells: cells of a notebook, as its JSON or `nbformat` gives them.
        page: the page's name, which begins the ids: "code/transfer".
    """
    found = []
    for cell in cells:
        outputs = cell.get("outputs", [])
        printed = "".join("".join(output.get("text", "")) for output in outputs)
        lines = (_LINE.fullmatch(line) for line in printed.splitlines())
        for number, line in enumerate(filter(None, lines), start=1):
            ending = "" if number == 1 else f".{number}"
            found.append(
                Statement(
                    f"{page}#{cell['id']}{ending}",
                    line["sentence"],
                    line["evidence"] or "",
                    line["mark"] == "✓",
                )
            )
    return found


def find(statement_id: str, root: Path = ROOT) -> Statement:
    """Return the stored finding or check with this id.

    Args:
        statement_id: page and cell, "code/transfer#gain"; a second line of one
            cell has the ending ".2", and so on.
        root: the top folder of the project.

    Raises:
        LookupError: no notebook has stored it. The message names the nearest ids.
    """
    page = statement_id.partition("#")[0]
    path = root / "book" / f"{page}.ipynb"
    known = statements(path) if path.is_file() else []
    for statement in known:
        if statement.id == statement_id:
            return statement
    ids = [s.id for s in known] or [page_name(p) for p in toc_notebooks(root)]
    near = get_close_matches(statement_id, ids, n=3, cutoff=0)
    raise LookupError(
        f"Nothing in the book has the id {statement_id!r}; expected the page and the "
        f"id of a cell that states something, such as {', '.join(near)}. If the cell "
        "is new, store its notebook first: make notebooks."
    )


def measured(evidence: str) -> Measured:
    """Return the numbers of an evidence, and its distance from its bar.

    Args:
        evidence: what stands between ⟨ and ⟩ in the line of a finding.

    Raises:
        ValueError: it is no evidence as `claims.claim` prints it.

    Example:
        >>> round(measured("+9.3, 95 % 7.1 to 11.5, asked > 5, 10 seeds").margin, 2)
        0.95
    """
    found = _EVIDENCE.fullmatch(evidence)
    if not found:
        raise ValueError(
            f"Received the evidence {evidence!r}; expected a mean, its interval, what "
            "was asked and a count, as '+9.3, 95 % 7.1 to 11.5, asked > 5, 10 seeds'."
        )
    mean, low, high = (_number(found[key]) for key in ("mean", "low", "high"))
    asked = found["asked"]
    if asked[0] in "<>":
        bar = _number(asked[2:])
        distance = low - bar if asked[0] == ">" else bar - high
    else:
        lower, upper = map(_number, asked.split(" to "))
        distance = min(low - lower, upper - high)
    half_width = (high - low) / 2
    margin = distance / half_width if half_width else math.copysign(math.inf, distance)
    size = int(found["size"].replace(",", ""))
    return Measured(mean, low, high, asked, size, margin)


def _number(text: str) -> float:
    return float(text.replace("−", "-"))


# --- Replications -------------------------------------------------------------------


def replications(path: Path = REPLICATIONS) -> list[Replication]:
    """Return the table of replications, row by row; empty if there is none yet.

    Raises:
        ReplicationError: a row was cut or edited, stands twice, or the columns
            are not those of the table. The message names the line.
    """
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _broken(path, 1, f"what is no table ({error})", "UTF-8 text") from error
    header = [*Replication._fields, "digest"]
    if not table or table[0] != header:
        raise _broken(path, 1, f"the columns {table[:1]}", f"the columns {header}")
    rows: list[Replication] = []
    seen: set[tuple[str, int]] = set()
    for number, fields in enumerate(table[1:], start=2):
        if len(fields) != len(header) or fields[-1] != _digest(fields[:-1]):
            raise _broken(path, number, f"{fields}", "a row as it was written")
        finding, seed, held, mean, low, high, asked, size, sentence, _ = fields
        row = Replication(
            *(finding, int(seed), held == "yes", mean, low, high, asked),
            *(int(size), sentence),
        )
        if (row.finding, row.seed) in seen:
            raise _broken(path, number, f"{finding} under {seed} twice", "it once")
        seen.add((row.finding, row.seed))
        rows.append(row)
    return rows


def _broken(path: Path, line: int, received: str, expected: str) -> ReplicationError:
    return ReplicationError(
        f"{path.name}, line {line}: received {received}; expected {expected}. Only "
        "`make replicate` writes this table: restore it with git, or remove it and "
        "replicate again."
    )


def _digest(fields: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(fields).encode()).hexdigest()[:8]


def record_replication(
    page: str,
    seed: int,
    stated: Sequence[Statement],
    path: Path = REPLICATIONS,
    root: Path = ROOT,
) -> None:
    """Write what the findings of one page measured under one seed into the table.

    Rows of the same findings and seed are replaced. Rows of this page whose
    finding is no longer stated, or stated in other words or with another bar,
    go: they were about something else. The file is replaced as a whole, so that
    a stopped run leaves the table as it was.

    Args:
        page: the page's name, "code/transfer".
        seed: the value of `BOOK_SEED`, 0 to 9999.
        stated: what the notebook printed under this seed, checks included.
        path: the table.
        root: the top folder of the project, whose toc orders the pages.

    Raises:
        ReplicationError: the table that is there cannot be read.
    """
    new = {s.id: _row(s, seed) for s in stated if s.evidence}
    with _alone(path.parent):
        _write(path, _merged(page, seed, new, path, root))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other process write into the folder's table meanwhile."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _merged(
    page: str, seed: int, new: Mapping[str, Replication], path: Path, root: Path
) -> list[Replication]:
    """Return the rows of the table with those of one page and seed put in."""
    order = {name: place for place, name in enumerate(new)}
    pages = {page_name(p): place for place, p in enumerate(toc_notebooks(root))}
    kept = []
    for row in replications(path):
        if row.finding.partition("#")[0] != page:
            kept.append(row)
        elif row.seed != seed and row.finding in new:
            now = new[row.finding]
            if (row.sentence, row.asked) == (now.sentence, now.asked):
                kept.append(row)
    others = {row.finding: place for place, row in enumerate(kept)}

    def place(row: Replication) -> tuple[int, int, int]:
        name = row.finding.partition("#")[0]
        within = order.get(row.finding, others.get(row.finding, 0))
        return pages.get(name, len(pages)), within, row.seed

    return sorted([*kept, *new.values()], key=place)


def _row(statement: Statement, seed: int) -> Replication:
    found = _EVIDENCE.fullmatch(statement.evidence)
    if not found:
        measured(statement.evidence)  # raises, and says what was expected
        raise AssertionError
    mean, low, high = (found[key].replace("−", "-") for key in ("mean", "low", "high"))
    size = int(found["size"].replace(",", ""))
    return Replication(
        *(statement.id, seed, statement.held, mean, low, high, found["asked"]),
        *(size, statement.sentence),
    )


def _write(path: Path, rows: Sequence[Replication]) -> None:
    part = path.with_suffix(".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*Replication._fields, "digest"])
            for row in rows:
                fields = [str(field) for field in row]
                fields[2] = "yes" if row.held else "no"
                writer.writerow([*fields, _digest(fields)])
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


# --- Published numbers --------------------------------------------------------------


def yardsticks(group: str) -> list[Yardstick]:
    """Return the published numbers of one group, in the order of their table.

    Raises:
        ValueError: there is no such group.

    Example:
        >>> yardsticks("MNIST test error")[0].published
        '12.0 %'
    """
    with YARDSTICKS.open(encoding="utf-8", newline="") as file:
        rows = [Yardstick(**row) for row in csv.DictReader(file)]
    chosen = [row for row in rows if row.group == group]
    if not chosen:
        groups = ", ".join(repr(name) for name in sorted({row.group for row in rows}))
        raise ValueError(f"Unknown group {group!r}; expected one of {groups}.")
    return chosen


def rerun(run: str) -> Rerun:
    """Return what we measured of a published experiment, from its card.

    Args:
        run: the experiment and one of its numbers, "hinton#soft".

    Raises:
        LookupError: there is no such experiment or number, or it has not been run
            for all of its seeds. The message says which there are.
    """
    name, _, number = run.partition("#")
    path = PUBLISHED / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PUBLISHED.glob("*.json"))) or "none"
        raise LookupError(
            f"Nothing was run under the name {run!r}; expected an experiment with a "
            f"card in {PUBLISHED.name}, of which there are: {known}. To run one: "
            "python tools/published.py with its name."
        )
    card = json.loads(path.read_text(encoding="utf-8"))
    if number not in card["numbers"]:
        raise LookupError(
            f"{name} has no number {number!r}; expected one of "
            f"{', '.join(card['numbers'])}, written as {name}#number."
        )
    values = [measured[number] for measured in card["measured"].values()]
    if len(values) != card["seeds"]:
        raise LookupError(
            f"{path.name} holds {len(values)} of {card['seeds']} seeds; expected all. "
            f"To go on where it stopped: python tools/published.py {name}"
        )
    mean, spread = statistics.fmean(values), statistics.stdev(values)
    unit = card["numbers"][number]["unit"]
    how = card["same_set_up"], card["differs"]
    return Rerun(mean, spread, len(values), unit, *how, tuple(values))
