"""Execute notebooks and store them in canonical form: `make notebooks`.

The notebook with its outputs is the book's source: the site shows it and nbval
compares against it. Canonical form makes two executions on one machine equal
byte for byte and keeps differences readable: cell ids are slugs, counts run
1..n, no editor's or timing metadata, no path of this machine.

    python tools/notebooks.py                       every notebook of _toc.yml
    python tools/notebooks.py book/code/mnist.ipynb  these only
    python tools/notebooks.py --format-only ...     no execution
    python tools/notebooks.py --into FOLDER ...     leave the notebooks as they are
    python tools/notebooks.py --check ...           only see that they are notebooks
"""

import argparse
import base64
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image

from helpers.pages import toc_notebooks
from helpers.paths import ROOT
from tools.kernels import kernel_environment

CELL_METADATA = ("jupyter", "mystnb", "tags")  # the only keys a cell may carry
NOTEBOOK_METADATA = ("kernelspec", "language_info", "myst")
FOLDED = {"source_hidden": True, "outputs_hidden": True}  # hide-cell in JupyterLab
WIDEST = 990  # pixels of a figure: 6 inches at 150 dpi, and a margin around labels


class NotebookError(RuntimeError):
    """A notebook cannot be read, executed or stored; the message says why."""


def check_paths(paths: Iterable[Path], root: Path = ROOT) -> None:
    """See that every path is a notebook of the format that the book uses.

    Raises:
        NotebookError: some are not. The message has one line for each.
    """
    lines = [f"{path}: {fault}" for path in paths if (fault := _fault(path, root))]
    if lines:
        raise NotebookError("\n".join(lines))


def _fault(path: Path, root: Path) -> str:
    """Return what is wrong with a path to a notebook; empty if nothing is."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        names = [str(page.relative_to(root)) for page in toc_notebooks(root)]
        near = get_close_matches(str(path), names, n=3, cutoff=0)
        return f"{what}; expected a notebook, such as {', '.join(near)}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content["nbformat"] == 4 and isinstance(content["cells"], list)
    except (ValueError, LookupError, TypeError, OSError):
        known = False
    return "" if known else "is something else; expected a notebook of format 4"


def slug(text: str) -> str:
    """Return a heading as a cell id: small letters, digits and hyphens.

    Example:
        >>> slug("## What can go wrong?")
        'what-can-go-wrong'
    """
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words)[:50].strip("-") or "cell"


def is_slug(cell_id: str) -> bool:
    """Tell whether a cell id was given by a person rather than drawn by an editor."""
    random = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f-]+)?", cell_id)
    return bool(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cell_id)) and not random


def name_cells(cells: list[NotebookNode]) -> None:
    """Give every cell without a readable, unique id one made from its heading."""
    given = {cell.get("id", "") for cell in cells}  # a new cell renames no other
    used: set[str] = set()
    heading = "top"
    for cell in cells:
        if cell.cell_type == "markdown" and (
            match := re.search(r"^#+ (.+)$", cell.source, re.MULTILINE)
        ):
            heading = slug(match[1])
        if not is_slug(cell.get("id", "")) or cell.id in used:
            number = 1
            while (name := f"{heading}-{number}" if number > 1 else heading) in (
                used | given
            ):
                number += 1
            cell.id = name
        used.add(cell.id)


def small_png(encoded: str) -> str:
    """Return a figure in 256 colours, in base64: about a third of the bytes.

    A figure that has its colours in a palette already stays as it is.
    """
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    if image.mode == "P":
        return encoded
    small = io.BytesIO()
    few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(small, format="png", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def canonical_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join streams, drop metadata, shrink figures, keep a traceback's last line."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            if kept and kept[-1].get("name") == output.name:
                kept[-1].text += output.text
                continue
        elif output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        else:
            output.metadata = NotebookNode()
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = small_png(output.data["image/png"])
            if "execution_count" in output:
                output.execution_count = None  # numbered with its cell below
        kept.append(output)
    return kept


def canonical(notebook: NotebookNode) -> str:
    """Return a notebook as canonical JSON text; the notebook itself is changed."""
    notebook.metadata = NotebookNode(
        {k: v for k, v in notebook.metadata.items() if k in NOTEBOOK_METADATA}
    )
    notebook.metadata.kernelspec = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata.language_info = {"name": "python"}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    name_cells(notebook.cells)
    count = 0
    for cell in notebook.cells:
        cell.metadata = NotebookNode(
            {k: cell.metadata[k] for k in CELL_METADATA if cell.metadata.get(k)}
        )
        cell.metadata.pop("jupyter", None)
        if "hide-cell" in cell.metadata.get("tags", []):
            cell.metadata.jupyter = dict(FOLDED)
        cell.source = cell.source.strip("\n")
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = canonical_outputs(cell.outputs)
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def check_figures(cells: Iterable[NotebookNode]) -> None:
    """See that every figure is stored, as large as the book's style draws it.

    A backend that is not the notebook's own loses all figures without a word,
    and some settings make them twice as large.

    Args:
        cells: cells of a notebook with their outputs.

    Raises:
        NotebookError: a cell that ends in `plt.show()` has stored no image, or an
            image is too wide. The message names the cell.
    """
    for cell in cells:
        outputs = cell.get("outputs", [])
        encoded = [
            o.data["image/png"] for o in outputs if "image/png" in o.get("data", ())
        ]
        if not encoded and cell.source.rstrip().endswith("plt.show()"):
            raise NotebookError(
                f"cell {cell.id!r} ends in plt.show() and has stored no image; "
                "expected one. Execute the notebook with its kernel's own backend, "
                "without matplotlib.use(...)."
            )
        for png in encoded:
            width = Image.open(io.BytesIO(base64.b64decode(png))).width
            if width > WIDEST:
                raise NotebookError(
                    f"cell {cell.id!r} has stored an image {width} pixels wide; "
                    f"expected at most {WIDEST}: 6 inches at 150 dpi, as the style of "
                    "helpers.plots draws it."
                )


def execute(notebook: NotebookNode, folder: Path, environ: Mapping[str, str]) -> None:
    """Run every cell in a fresh kernel of this environment.

    Args:
        notebook: gets the new outputs.
        folder: where the kernel runs, the notebook's own folder.
        environ: the environment of the process, which `kernel_environment` cleans.

    Raises:
        NotebookError: a cell failed that is not tagged `raises-exception`, took
            more than ten minutes, or the kernel died. The last line of the
            message names the cell and the error.
    """
    started = ["none"]
    manager = AsyncKernelManager(
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),  # none from elsewhere
        transport_encryption="auto",  # else the kernel prints that it has none
    )
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=600,
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=lambda cell, cell_index: started.append(cell.id),
    )
    environment = kernel_environment(environ) | {"BOOK_QUIET": "1"}
    try:
        client.execute(env=environment, cleanup_kc=True)
    except (CellExecutionError, RuntimeError, TimeoutError) as error:
        name = getattr(error, "ename", type(error).__name__)
        reason = " ".join(str(getattr(error, "evalue", error)).split())
        raise NotebookError(
            f"{error}\ncell {started[-1]!r} failed: {name}: {reason}"
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once, so that a stopped run leaves the old one."""
    part = path.with_suffix(".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def store(path: Path, into: Path, run: bool) -> None:
    """Bring one notebook to canonical form and write it into a folder.

    Args:
        path: the notebook.
        into: the folder, as a rule the notebook's own.
        run: whether to execute it first.

    Raises:
        NotebookError: it failed; nothing was written.
    """
    notebook = nbformat.read(path, as_version=4)
    if run:
        execute(notebook, path.parent, os.environ)
    text = canonical(notebook)
    check_figures(notebook.cells)
    write_whole(into / path.name, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute and store the notebooks named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, help="default: all of _toc.yml")
    parser.add_argument("--check", action="store_true", help="only check the paths")
    parser.add_argument("--format-only", action="store_true", help="do not execute")
    parser.add_argument("--into", type=Path, help="default: the notebook's own folder")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # it may not know every letter
    paths = options.paths or toc_notebooks()
    try:
        check_paths(paths)
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 2
    for number, path in enumerate(() if options.check else paths, start=1):
        print(f"[{number}/{len(paths)}] {path} ", end="", flush=True)
        begin = time.monotonic()
        try:
            store(path, options.into or path.parent, not options.format_only)
        except NotebookError as error:
            print("is left as it was")
            print(error, file=sys.stderr)
            return 1
        print(f"stored after {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
