"""A directive that shows, on any page, a figure that a notebook's cell has stored."""

import hashlib
import json
from base64 import b64decode
from os.path import relpath
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


class FigureError(ValueError):
    """A notebook does not hold the figure that a page asks for."""


class StoredFigure:
    """A figure as a notebook's cell has stored it.

    Attributes:
        png: The bytes of the image.
        alt: The alternative text, never empty.
        caption: The caption in Markdown, empty if the cell has none.
    """

    def __init__(self, notebook: Path, cell_id: str) -> None:
        """Read the figure from the notebook.

        Args:
            notebook: The path of the `.ipynb` file.
            cell_id: The id of the code cell whose output holds the figure.

        Raises:
            FigureError: If the file, the cell, its image or the text is missing.
        """
        cell = find_cell(notebook, cell_id)
        options = cell["metadata"].get("mystnb", {})
        self.png = find_png(cell)
        self.alt: str = options.get("image", {}).get("alt", "").strip()
        self.caption: str = options.get("figure", {}).get("caption", "").strip()
        if not self.alt:
            raise FigureError(
                f"cell {cell_id!r} has no alternative text: "
                'add {"mystnb": {"image": {"alt": "..."}}} to its metadata'
            )


def find_cell(notebook: Path, cell_id: str) -> dict[str, Any]:
    """Return the cell with this id.

    Args:
        notebook: The path of the `.ipynb` file.
        cell_id: The id to look for.

    Raises:
        FigureError: If there is no such file or no such cell.
    """
    if not notebook.is_file():
        raise FigureError(f"there is no notebook {notebook}")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell.get("id") == cell_id:
            return cell
    known = ", ".join(c["id"] for c in cells if c["cell_type"] == "code" and "id" in c)
    raise FigureError(f"no cell has the id {cell_id!r}; the code cells are: {known}")


def find_png(cell: dict[str, Any]) -> bytes:
    """Return the first PNG image among the outputs of a cell.

    Raises:
        FigureError: If the cell has stored no PNG image.
    """
    for output in cell.get("outputs", []):
        if "image/png" in output.get("data", {}):
            encoded = output["data"]["image/png"]
            return b64decode(encoded if isinstance(encoded, str) else "".join(encoded))
    raise FigureError(f"cell {cell['id']!r} has stored no PNG: execute its notebook")


class NotebookFigure(SphinxDirective):
    """Show a figure that a cell of a notebook has stored.

    The argument is `path/of/notebook.ipynb#cell-id`; the path is relative to the
    page, or to the top folder if it begins with a slash. The body, if there is one,
    replaces the caption. Example::

        :::{notebook-figure} book/code/transfer.ipynb#learning-curves
        :name: fig-landing
        :::
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"name": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the figure, or nothing and a warning if it cannot be had."""
        path, _, cell_id = self.arguments[0].partition("#")
        source, notebook = self.env.relfn2path(path)
        self.env.note_dependency(source)
        try:
            stored = StoredFigure(Path(notebook), cell_id)
        except FigureError as error:
            message = f"notebook-figure {self.arguments[0]}: {error}"
            logger.warning(message, location=self.get_location(), type="book_site")
            return []
        image = nodes.image(uri=self.write(stored.png), alt=stored.alt)
        figure = nodes.figure("", image)
        figure += self.parse_caption(stored.caption)
        self.set_source_info(figure)
        self.add_name(figure)
        return [figure]

    def write(self, png: bytes) -> str:
        """Write the image beside Sphinx's own cache.

        The name is made from the content, so that an old file is never taken for a
        new one.

        Returns:
            Its address, relative to the page.
        """
        folder = Path(self.env.doctreedir) / "notebook-figures"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{hashlib.sha256(png).hexdigest()[:16]}.png"
        file.write_bytes(png)
        page = Path(self.env.doc2path(self.env.docname))
        return Path(relpath(file, page.parent)).as_posix()

    def parse_caption(self, stored: str) -> list[nodes.Node]:
        """Return the caption, and a legend if the text has several paragraphs."""
        text = self.content or StringList(stored.splitlines(), self.arguments[0])
        parsed = nodes.Element()
        self.state.nested_parse(text, self.content_offset, parsed)
        if not parsed.children:
            return []
        first, *rest = parsed.children
        caption = nodes.caption(first.rawsource, "", *first.children)
        return [caption, nodes.legend("", *rest)] if rest else [caption]
