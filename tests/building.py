"""Build a book as `jupyter-book build` does, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from helpers import pages
from helpers.paths import ROOT

RUN = "from jupyter_book.cli.main import main; main()"  # what `jupyter-book` runs


def site_pages() -> list[str]:
    """Return the pages of the book in reading order, as paths without suffix."""
    files = pages.toc_pages()
    return [file.relative_to(ROOT).with_suffix("").as_posix() for file in files]


def build_command(folder: Path, *options: str) -> list[str]:
    """Return the command that builds the book in a folder."""
    return [sys.executable, "-c", RUN, "build", str(folder), *options]


def build_environment(**more: str) -> dict[str, str]:
    """Return the environment of a build: it finds `helpers`, wherever the book is."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def run_jupyter_book(
    folder: Path, *options: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Build the book in a folder.

    Args:
        folder: The folder that holds `_config.yml`.
        *options: More options of `jupyter-book build`.
        environment: Variables that are set for the build besides the present ones.

    Returns:
        The finished process, with its output and its errors as text.
    """
    return subprocess.run(
        build_command(folder, *options),
        cwd=folder,
        env=build_environment(**(environment or {})),
        capture_output=True,
        text=True,
        check=False,
    )
