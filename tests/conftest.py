"""Fixtures that several test modules share: the built website and its pages."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parents[1]
BUILD = "from jupyter_book.cli.main import main; main()"  # what `jupyter-book` runs


def toc_pages() -> list[str]:
    """Return the pages of the book in reading order, as paths without suffix."""
    return list(parse_toc_yaml(ROOT / "_toc.yml"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `site_page` once for every page of the book."""
    if "site_page" in metafunc.fixturenames:
        metafunc.parametrize("site_page", toc_pages(), scope="session")


def run_jupyter_book(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build the book in a folder.

    Args:
        folder: The folder that holds `_config.yml`.
        *options: More options of `jupyter-book build`.

    Returns:
        The finished process, with its output and its errors as text.
    """
    command = [sys.executable, "-c", BUILD, "build", str(folder), *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )


def build_once(shared: Path) -> str:
    """Build the site, once for all workers of a test run.

    Args:
        shared: A folder that this run's first worker makes and the others find.

    Returns:
        What went wrong; empty if nothing did.
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
        # --all: Sphinx repeats no warning of a page that it does not read again.
        done = run_jupyter_book(ROOT, "--all", "-W", "--keep-going", "-n", "-q")
        text = "" if done.returncode == 0 else done.stdout + done.stderr
    finally:
        draft = shared / "draft.txt"
        draft.write_text(text, encoding="utf-8")
        draft.rename(report)
    return text


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built website, built anew with warnings as errors.

    The environment variable `SITE_DIR` names a folder to test as it is instead.
    """
    if "SITE_DIR" in os.environ:
        return Path(os.environ["SITE_DIR"]).resolve()
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the one that all workers of this run share
    problems = build_once(folder / "site-build")
    if problems:
        pytest.fail(f"the website does not build:\n{problems}", pytrace=False)
    return ROOT / "_build" / "html"


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
