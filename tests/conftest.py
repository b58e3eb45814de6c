"""Fixtures that several test modules share: the built website and its pages."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from building import run_jupyter_book, site_pages
from small_book import write_small_book

from helpers.paths import ROOT


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `site_page` once for every page of the book."""
    if "site_page" in metafunc.fixturenames:
        metafunc.parametrize("site_page", site_pages(), scope="session")


def build_site() -> str:
    """Build the website, with warnings as errors.

    With `--all`, because Sphinx takes no notice of a change of the extension.

    Returns:
        What went wrong; empty if nothing did.
    """
    done = run_jupyter_book(ROOT, "--all", "-W", "--keep-going", "-n", "-q")
    return "" if done.returncode == 0 else done.stdout + done.stderr


def build_small_book(folder: Path) -> str:
    """Write the small book and build it, with warnings as errors.

    Returns:
        What went wrong; empty if nothing did.
    """
    folder.mkdir()
    write_small_book(folder)
    done = run_jupyter_book(folder, "-W", "--keep-going", "-n", "-q")
    return "" if done.returncode == 0 else done.stdout + done.stderr


def once(shared: Path, build: Callable[[], str]) -> str:
    """Build something, once for all workers of a test run.

    Args:
        shared: A folder that this run's first worker makes and the others find.
        build: What to do; returns a report.

    Returns:
        The report, whoever has built.
    """
    report = shared / "report.txt"
    try:
        shared.mkdir()
    except FileExistsError:
        while not report.exists():
            time.sleep(0.2)
        return report.read_text(encoding="utf-8")
    text = "the build was interrupted"
    try:
        text = build()
    finally:
        draft = shared / "draft.txt"
        draft.write_text(text, encoding="utf-8")
        draft.rename(report)
    return text


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of this run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def site(shared_folder: Path) -> Path:
    """Return the folder of the built website, built anew with warnings as errors.

    The environment variable `SITE_DIR` names a folder to test as it is instead.
    """
    if "SITE_DIR" in os.environ:
        return Path(os.environ["SITE_DIR"]).resolve()
    problems = once(shared_folder / "site-build", build_site)
    if problems:
        pytest.fail(f"the website does not build:\n{problems}", pytrace=False)
    return ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def small_book(shared_folder: Path) -> Path:
    """Return the folder of the small book, whose site is in `_build/html`."""
    folder = shared_folder / "small-book"
    problems = once(shared_folder / "small-build", lambda: build_small_book(folder))
    if problems:
        pytest.fail(f"the small book does not build:\n{problems}", pytrace=False)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that the browser tests did not run."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum("test_browser.py" in report.nodeid for report in skipped)
    if count:
        terminalreporter.write_sep("!", "NOT TESTED IN A BROWSER", yellow=True)
        terminalreporter.write_line(
            f"{count} tests of the website were skipped: no Chromium was found. "
            "Install one, or name it in the environment variable CHROMIUM.",
            yellow=True,
        )
