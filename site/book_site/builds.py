"""What happens before and after a build: nothing is built upon an unfinished one."""

import fcntl
import importlib.util
import shutil
from functools import partial
from pathlib import Path
from typing import IO

import sphinx_exercise
from myst_nb.sphinx_ext import add_global_html_resources
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging

MARKER = ".ended-well"  # in the folder of the build; empty while a build runs
MATHJAX = "mathjax/tex-svg.js"  # TeX in, SVG out: complete without font files

logger = logging.getLogger(__name__)


def begin(app: Sphinx, config: Config) -> None:
    """Take the folder of the build, and discard what an unfinished build has left.

    A build that was killed leaves pages, images and an index that are cut or missing,
    and Sphinx would take them for finished ones. Two builds at once would do the same
    to each other, so the second waits; the system lets go of the lock of a process
    that has died.
    """
    folder = Path(app.doctreedir).parent
    folder.mkdir(parents=True, exist_ok=True)
    marker = (folder / MARKER).open("a+", encoding="utf-8")
    lock(marker)
    marker.seek(0)
    if not marker.read():
        discard(app.doctreedir, app.outdir, folder / "jupyter_execute")
        Path(app.outdir).mkdir(parents=True, exist_ok=True)
    marker.truncate(0)
    app.connect("build-finished", partial(end, marker), priority=900)


def discard(doctrees: Path, *others: Path) -> None:
    """Remove what a build has left, and say so if there was one."""
    if doctrees.exists():
        logger.info("the last build did not end well, so everything is built anew")
    for left in (doctrees, *others):
        shutil.rmtree(left, ignore_errors=True)


def lock(marker: IO[str]) -> None:
    """Lock a file, as soon as no other process holds it."""
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.info("waiting for another build of this folder")
        fcntl.flock(marker, fcntl.LOCK_EX)


def end(marker: IO[str], app: Sphinx, exception: Exception | None) -> None:
    """Note that the build has ended well, and let the next one begin.

    A build with warnings has not: Sphinx repeats no warning of a page that it does not
    read again, so the next build reads all of them.
    """
    if exception is None and not app._warncount:
        marker.write("The last build of this folder ended well.\n")
    marker.close()


def copy_assets(app: Sphinx) -> None:
    """Copy what others copy when all pages are written, and MathJax, into the site.

    A page names the site's files with a checksum, if they are there when it is
    written: only then do the same sources give the same pages.

    Raises:
        ExtensionError: The package that brings MathJax is not installed.
    """
    if app.builder.format != "html":
        return
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None or not package.submodule_search_locations:
        raise ExtensionError("install sphinx-mathjax-offline: see requirements.txt")
    source = Path(package.submodule_search_locations[0]) / "static" / MATHJAX
    target = Path(app.outdir) / "_static" / MATHJAX
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)  # from this site, so that no other host is asked
    sphinx_exercise.copy_asset_files(app, None)
    add_global_html_resources(app, None)
