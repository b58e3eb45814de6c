"""Sphinx extension of this book: what Jupyter Book does not do by itself.

- `figures`: the directive `notebook-figure`.
- `findings`: findings and checks set apart on the pages that print them, and the
  directives `findings` and `finding`, which show them elsewhere.
- `theme`: the buttons at the top of each page, the prompts of folded cells.
- `builds`: no build upon an unfinished one; all files in place before the pages.
"""

from typing import Any

from sphinx.application import Sphinx

from book_site import builds, figures, findings, theme


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.config.mathjax_path = builds.MATHJAX
    # Jupyter Book sets this value even where sphinx_comments is not loaded.
    app.add_config_value("comments_config", {}, "html")
    app.add_directive("notebook-figure", figures.NotebookFigure)
    app.add_directive("findings", findings.Findings)
    app.add_directive("finding", findings.Finding)
    app.add_transform(findings.StatementBlocks)
    app.connect("config-inited", theme.set_launch_buttons)
    app.connect("config-inited", builds.begin)
    app.connect("builder-inited", builds.copy_assets)
    app.connect("doctree-read", theme.name_solutions)
    app.connect("html-page-context", findings.add_filter)
    # After the theme, which makes the button at its own turn.
    app.connect("html-page-context", theme.name_download, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "2"}
