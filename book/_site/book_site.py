"""Sphinx extension of this book: what Jupyter Book does not do by itself.

1. `MathJax`: copies one file of MathJax into the site, which then asks no other
   host for anything.
2. `notebook-figure`: a directive that shows, on any page, a figure that a cell of a
   notebook has stored, with the alternative text and the caption of that cell.
3. Claims: printed lines that begin with a check mark become blocks of their own, of
   class `claim`, so that the style sheet can set them apart.
4. Wholly folded cells say what they hold: the code of a solution.
5. The theme's script of 2,000 icons is left out: its icon font draws the same.
6. Launch buttons: shown only once `_config.yml` names the book's repository.
"""

import hashlib
import importlib.util
import json
import shutil
from base64 import b64decode
from itertools import groupby
from os.path import relpath
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

CLAIM_MARK = "✓ "
MATHJAX = "mathjax/tex-svg.js"  # TeX in, SVG out: complete without font files
ICONS = "scripts/fontawesome.js"  # of pydata-sphinx-theme, "for custom icons"

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
    known = ", ".join(
        c["id"] for c in cells if c["cell_type"] == "code" and "id" in c
    )
    raise FigureError(
        f"no cell has the id {cell_id!r}; the code cells are: {known}"
    )


def find_png(cell: dict[str, Any]) -> bytes:
    """Return the first PNG image among the outputs of a cell.

    Raises:
        FigureError: If the cell has stored no PNG image.
    """
    for output in cell.get("outputs", []):
        if "image/png" in output.get("data", {}):
            encoded = output["data"]["image/png"]
            return b64decode(
                encoded if isinstance(encoded, str) else "".join(encoded)
            )
    raise FigureError(
        f"cell {cell['id']!r} has stored no PNG: execute its notebook"
    )


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
            logger.warning(
                message, location=self.get_location(), type="book_site"
            )
            return []
        image = nodes.image(uri=self.write(stored.png), alt=stored.alt)
        figure = nodes.figure("", image)
        figure += self.parse_caption(stored.caption)
        self.set_source_info(figure)
        self.add_name(figure)
        return [figure]

    def write(self, png: bytes) -> str:
        """Write the image beside Sphinx's own cache; return its address.

        The name is made from the content, so that an old file is never taken for a
        new one.
        """
        folder = Path(self.env.doctreedir) / "notebook-figures"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{hashlib.sha256(png).hexdigest()[:16]}.png"
        file.write_bytes(png)
        page = Path(self.env.doc2path(self.env.docname))
        return Path(relpath(file, page.parent)).as_posix()

    def parse_caption(self, stored: str) -> list[nodes.Node]:
        """Return the caption, and a legend if the text has several paragraphs."""
        text = self.content or StringList(
            stored.splitlines(), self.arguments[0]
        )
        parsed = nodes.Element()
        self.state.nested_parse(text, self.content_offset, parsed)
        if not parsed.children:
            return []
        first, *rest = parsed.children
        caption = nodes.caption(first.rawsource, "", *first.children)
        return [caption, nodes.legend("", *rest)] if rest else [caption]


class ClaimBlocks(SphinxTransform):
    """Split printed output so that each claim stands in a block of class `claim`."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Replace each printed block that holds a claim by several blocks."""
        for block in list(self.document.findall(is_printed)):
            lines = block.astext().rstrip("\n").split("\n")
            if any(line.startswith(CLAIM_MARK) for line in lines):
                block.replace_self(split_claims(block, lines))


def is_printed(node: nodes.Node) -> bool:
    """Tell whether a node is the standard output of a cell."""
    return isinstance(node, nodes.literal_block) and "stream" in node["classes"]


def split_claims(
    block: nodes.literal_block, lines: list[str]
) -> list[nodes.Node]:
    """Return one block for each claim and for each run of other lines."""
    parts: list[nodes.Node] = []
    # Lines that are no claims share a key with their neighbours, claims do not.
    keys = [
        i if line.startswith(CLAIM_MARK) else -1 for i, line in enumerate(lines)
    ]
    for key, run in groupby(
        zip(keys, lines, strict=True), lambda pair: pair[0]
    ):
        text = "\n".join(line for _, line in run)
        part = nodes.literal_block(text, text, **block.attributes)
        part["classes"] = [*block["classes"], *([] if key < 0 else ["claim"])]
        part.source, part.line = block.source, block.line
        parts.append(part)
    return parts


def name_solutions(app: Sphinx, doctree: nodes.document) -> None:
    """Give wholly folded cells, which hold solutions, a fitting prompt."""
    for cell in doctree.findall(nodes.container):
        if cell.get("hide_mode") == "all":
            cell["prompt_show"] = "Show the code of the solution"
            cell["prompt_hide"] = "Hide the code of the solution"


def set_launch_buttons(app: Sphinx, config: Config) -> None:
    """Drop the launch buttons that the book's repository cannot serve.

    Without an address there is nothing to launch (and the theme stops with an
    error); Colab opens notebooks from GitHub only.
    """
    options = config.html_theme_options
    address = options.get("repository_url", "")
    if not address:
        options.pop("launch_buttons", None)
    elif "github.com/" not in address:
        options.get("launch_buttons", {}).pop("colab_url", None)


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Copy MathJax into the finished site."""
    if exception is not None or app.builder.format != "html":
        return
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None or not package.submodule_search_locations:
        raise ExtensionError(
            "install sphinx-mathjax-offline: see requirements.txt"
        )
    source = Path(package.submodule_search_locations[0]) / "static" / MATHJAX
    target = Path(app.outdir) / "_static" / MATHJAX
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def drop_icon_script(app: Sphinx, exception: Exception | None) -> None:
    """Replace the theme's script of all icons by a remark: 1.5 MB less per page."""
    script = Path(app.outdir) / "_static" / ICONS
    if exception is None and script.is_file():
        script.write_text(
            "// The icon font draws the icons: see book_site.py.\n"
        )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.config.mathjax_path = MATHJAX
    # Jupyter Book sets this value even where sphinx_comments is not loaded.
    app.add_config_value("comments_config", {}, "html")
    app.add_directive("notebook-figure", NotebookFigure)
    app.add_transform(ClaimBlocks)
    app.connect("config-inited", set_launch_buttons)
    app.connect("doctree-read", name_solutions)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", drop_icon_script)
    return {
        "parallel_read_safe": True,
        "parallel_write_safe": True,
        "version": "1",
    }
