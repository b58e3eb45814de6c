"""Execute notebooks and store them in canonical form: `make notebooks`.

The notebook with its outputs is the book's source: the site shows it and nbval
compares against it. Canonical form makes two executions on one machine equal
byte for byte and keeps differences readable: cell ids are slugs, counts run
1..n, no editor's or timing metadata, no path of this machine.

    python tools/notebooks.py                       every notebook of _toc.yml
    python tools/notebooks.py book/code/mnist.ipynb  these only
    python tools/notebooks.py --format-only ...     no execution
"""

import argparse
import base64
import io
import json
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).parent.parent
CELL_METADATA = ("jupyter", "mystnb", "tags")  # the only keys a cell may carry
NOTEBOOK_METADATA = ("kernelspec", "language_info", "myst")
FOLDED = {"source_hidden": True, "outputs_hidden": True}  # hide-cell in JupyterLab


def toc_pages(root: Path = ROOT) -> list[Path]:
    """Return the files of the pages in `_toc.yml`, in its order, root first.

    Raises:
        FileNotFoundError: the toc names a page that does not exist.
    """
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


def stored_claims(path: Path) -> list[str]:
    """Return the claims that a notebook has proved, in order, without their mark.

    They are read from the stored output, the text that nbval compares.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts = ["".join(output.get("text", "")) for output in outputs]
    lines = [line for text in texts for line in text.splitlines()]
    return [line[2:] for line in lines if line.startswith("✓ ")]


def title(path: Path) -> str:
    """Return the first heading of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return re.search(r"^# (.+)$", "".join(cells[0]["source"]), re.MULTILINE)[1]


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


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run every cell in a fresh kernel, in the notebook's own folder.

    Raises:
        CellExecutionError: a cell failed that is not tagged `raises-exception`.
    """
    os.environ["BOOK_QUIET"] = "1"
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once, so that a stopped run leaves the old one."""
    part = path.with_suffix(".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def main() -> int:
    """Execute and store the notebooks named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, help="default: all of _toc.yml")
    parser.add_argument("--format-only", action="store_true", help="do not execute")
    arguments = parser.parse_args()
    for path in arguments.paths or toc_notebooks():
        notebook = nbformat.read(path, as_version=4)
        try:
            if not arguments.format_only:
                execute(notebook, path.parent)
        except CellExecutionError as error:
            print(f"{path} is left as it was; a cell failed:\n{error}", file=sys.stderr)
            return 1
        write_whole(path, canonical(notebook))
        print(f"stored {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
