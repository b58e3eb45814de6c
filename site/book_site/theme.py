"""What the theme shows: buttons at the top of a page, prompts of folded cells."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

DOWNLOAD_HINT = (
    "Download this notebook. It runs inside the book's project: its package "
    "“helpers” is the project's own folder, not the package of that name that pip "
    "installs."
)


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


def name_download(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Say beside the download of a notebook what it needs to run."""
    if context.get("page_source_suffix") != ".ipynb":
        return
    for group in context["header_buttons"]:
        for button in group.get("buttons", []):
            if button.get("label") == "download-source-button":
                button["tooltip"] = DOWNLOAD_HINT


def name_solutions(app: Sphinx, doctree: nodes.document) -> None:
    """Give wholly folded cells, which hold solutions, a fitting prompt."""
    for cell in doctree.findall(nodes.container):
        if cell.get("hide_mode") == "all":
            cell["prompt_show"] = "Show the code of the solution"
            cell["prompt_hide"] = "Hide the code of the solution"
