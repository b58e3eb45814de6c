"""What a build leaves behind: nothing is built upon what did not end well."""

import fcntl
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from bs4 import BeautifulSoup
from building import build_command, build_environment, run_jupyter_book
from small_book import GAIN, MISSING_FIGURES, MISSING_FINDINGS, VAIN, write_small_book

FINDINGS = "book/appendix/findings.html"
OPTIONS = ("-W", "--keep-going", "-n")


class Builds(NamedTuple):
    """What was seen of builds of one folder, one after the other."""

    faulty: str  # the warnings of a build of faulty pages
    faulty_again: str  # and of the next one
    killed: int  # how a build ended that was killed
    after_killed: dict[str, bytes]  # the site that the next one made
    waited: str  # what a build said that found another one at work
    changed: dict[str, bytes]  # the site that it made, of other sources


def read_site(folder: Path) -> dict[str, bytes]:
    """Return every file of a built site, by its path."""
    root = folder / "_build" / "html"
    files = [file for file in root.rglob("*") if file.is_file()]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def build_while_locked(folder: Path) -> str:
    """Build a folder that another build holds, until this one waits for it.

    Returns:
        What it printed.
    """
    with (folder / "_build" / ".ended-well").open("a", encoding="utf-8") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        with subprocess.Popen(
            build_command(folder, *OPTIONS),
            cwd=folder,
            env=build_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            printed = ""
            for line in process.stdout:
                printed += line
                if "waiting for another build" in line:
                    fcntl.flock(marker, fcntl.LOCK_UN)
    assert process.returncode == 0, printed
    return printed


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    """Build one folder again and again, and write down what was seen."""
    folder = tmp_path_factory.mktemp("builds") / "small-book"
    folder.mkdir()
    write_small_book(folder)
    index = folder / "index.md"
    table = folder / "book" / "appendix" / "replications.csv"
    good = {file: file.read_text(encoding="utf-8") for file in (index, table)}
    index.write_text(good[index] + VAIN, encoding="utf-8")
    table.write_text(good[table].replace(",yes,", ",no,", 1), encoding="utf-8")
    faulty = [run_jupyter_book(folder, *OPTIONS).stderr for _ in range(2)]

    for file, text in good.items():
        file.write_text(text, encoding="utf-8")
    dying = {"DIE_AT": "book/second"}
    killed = run_jupyter_book(folder, *OPTIONS, environment=dying).returncode
    done = run_jupyter_book(folder, *OPTIONS)
    assert done.returncode == 0, done.stderr
    after_killed = read_site(folder)

    table.unlink()
    (folder / "book" / "first.ipynb").touch()
    second = folder / "book" / "second.ipynb"
    text = second.read_text(encoding="utf-8").replace("a new finding", "a newer one")
    second.write_text(text, encoding="utf-8")
    waited = build_while_locked(folder)
    return Builds(*faulty, killed, after_killed, waited, read_site(folder))


@pytest.mark.parametrize(
    ("directive", "wanted", "reason"),
    [
        *(("notebook-figure", wanted, why) for wanted, why in MISSING_FIGURES.items()),
        *(("finding", wanted, near) for wanted, near in MISSING_FINDINGS.items()),
    ],
)
def test_what_cannot_be_shown_gives_one_warning(
    builds: Builds, directive: str, wanted: str, reason: str
) -> None:
    """It names the page, what was asked for, and why it is not there or what is."""
    lines = builds.faulty.splitlines()
    found = [line for line in lines if f"{directive} {wanted}: " in line]
    assert len(found) == 1
    assert "index.md" in found[0]
    assert (
        reason
        in found[0]
        .partition(f"{wanted}: ")[2]
        .partition("such as")[2 if directive == "finding" else 0]
    )


def test_edited_table_of_replications_gives_one_warning(builds: Builds) -> None:
    """It names the page and the line of the table."""
    lines = builds.faulty.splitlines()
    found = [line for line in lines if "replications.csv, line 2" in line]
    assert len(found) == 1
    assert "findings.md" in found[0]


def test_warnings_come_again_until_they_are_mended(builds: Builds) -> None:
    """A second build does not pass because it reads only what has changed."""
    assert "WARNING" in builds.faulty
    assert builds.faulty_again == builds.faulty


def test_nothing_is_built_upon_a_killed_build(builds: Builds, small_book: Path) -> None:
    """The next site is that of a folder where none was killed, byte for byte."""
    assert builds.killed == -signal.SIGKILL
    clean = read_site(small_book)
    assert builds.after_killed.keys() == clean.keys()
    assert [n for n in clean if builds.after_killed[n] != clean[n]] == []
    assert len(clean["searchindex.js"]) > 1000


def test_same_sources_give_the_same_page(builds: Builds) -> None:
    """A page that is written again, because its file is newer, stays as it was."""
    page = "book/first.html"
    assert builds.changed[page] == builds.after_killed[page]


def test_build_waits_for_another_one(builds: Builds) -> None:
    """Two builds of one folder at once would take away each other's files."""
    before, _, after = builds.waited.partition("waiting for another build")
    assert "reading sources" not in before
    assert "reading sources" in after


def test_page_of_findings_follows_its_sources(builds: Builds) -> None:
    """It is made again when a notebook or the table of replications changes."""
    soup = BeautifulSoup(builds.changed[FINDINGS], "html.parser")
    items = soup.select("ul.findings > li")
    assert f"✓ a newer one Evidence: {GAIN}" in " ".join(items[0].get_text().split())
    said = {" ".join(tag.get_text().split()) for tag in soup.select(".replication")}
    assert said == {"Replications: not replicated yet"}
