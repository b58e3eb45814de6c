"""Where the project is."""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # the top folder of the project

if not (ROOT / "_toc.yml").is_file():
    raise ImportError(
        f"helpers lies in {ROOT}, which is not the folder of the book: the package was "
        "installed without the book's pages, data and checkpoints, which it reads from "
        "there. In the folder of the project, run: pip install -e ."
    )
