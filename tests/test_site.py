"""Checks of the built website that need no browser."""

import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup, Tag
from conftest import ROOT, run_jupyter_book, toc_pages

ADDRESS = "https://github.com/someone/some-book"
PIXEL = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4////fwAJ+wP9KobjigAA"
    "AABJRU5ErkJggg=="
)


@cache
def parse(file: Path) -> BeautifulSoup:
    """Return a page's parsed HTML."""
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(file: Path) -> frozenset[str]:
    """Return every id and name that a link into a page may point at."""
    tags = parse(file).find_all(lambda tag: tag.get("id") or tag.get("name"))
    return frozenset(str(tag.get(key)) for tag in tags for key in ("id", "name"))


def page_file(site: Path, page: str) -> Path:
    """Return the file of a page, which must exist."""
    file = site / f"{page}.html"
    assert file.is_file(), f"{page} is in _toc.yml, but {file} was not built"
    return file


def attributes(soup: BeautifulSoup) -> Iterator[tuple[Tag, str]]:
    """Yield every tag with the address that it refers to."""
    for tag in soup.find_all(True):
        for key in ("href", "src", "poster", "data"):
            if tag.get(key):
                yield tag, str(tag[key])


def broken(file: Path, address: str) -> bool:
    """Tell whether an address inside the site leads nowhere."""
    parts = urlsplit(address)
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if target.is_dir() or not target.is_file():
        return True
    inside = target.suffix == ".html" and parts.fragment
    return bool(inside) and unquote(parts.fragment) not in anchors(target)


def is_internal(address: str) -> bool:
    """Tell whether an address belongs to the site (and is no `data:` or `mailto:`)."""
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc


def test_links_inside_the_book_lead_somewhere(site: Path, site_page: str) -> None:
    """Every link, image, script and style sheet of the site exists, anchors too."""
    file = page_file(site, site_page)
    found = [a for _, a in attributes(parse(file)) if is_internal(a)]
    assert found
    assert [a for a in found if broken(file, a)] == []


def test_nothing_is_loaded_from_another_host(site: Path, site_page: str) -> None:
    """Readers may follow links to other hosts; the page itself loads nothing there."""
    soup = parse(page_file(site, site_page))
    loaded = [(t, a) for t, a in attributes(soup) if t.name != "a"]
    loaded += [(t, str(t["srcset"])) for t in soup.find_all(srcset=True)]
    assert [a for _, a in loaded if not is_internal(a) and a[:5] != "data:"] == []


def test_style_sheets_load_nothing_from_another_host(site: Path) -> None:
    """No style sheet imports a sheet, a font or an image from another host."""
    sheets = list((site / "_static").rglob("*.css"))
    assert sheets
    outside = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']*")
    assert [m for s in sheets for m in outside.findall(s.read_text("utf-8"))] == []


def test_every_image_has_a_text(site: Path, site_page: str) -> None:
    """Every figure has alternative text that is no file name."""
    images = parse(page_file(site, site_page)).select("article img")
    texts = [str(image.get("alt", "")).strip() for image in images]
    assert [t for t in texts if not t or re.search(r"\.(png|svg)$", t)] == []


def test_every_figure_of_a_notebook_has_a_caption(site: Path, site_page: str) -> None:
    """An image among the outputs of a cell stands in a figure with a caption."""
    images = parse(page_file(site, site_page)).select("div.cell_output img")
    bare = [str(i["alt"]) for i in images if not i.find_parent("figure")]
    figures = [i.find_parent("figure") for i in images if i.find_parent("figure")]
    assert bare == []
    assert [f for f in figures if not f.select_one("figcaption")] == []


def test_every_page_has_one_heading_a_language_and_a_title(
    site: Path, site_page: str
) -> None:
    """What a browser, a search engine and a screen reader look at first."""
    soup = parse(page_file(site, site_page))
    assert soup.html is not None
    assert soup.html["lang"] == "en"
    assert len(soup.select("article h1")) == 1
    assert soup.title is not None
    assert soup.title.get_text().strip()


def test_every_page_has_a_description_of_its_own(site: Path) -> None:
    """Search engines show it; it comes from the page's `myst: html_meta:`."""
    texts = {}
    for page in toc_pages():
        tag = parse(page_file(site, page)).find("meta", {"name": "description"})
        texts[page] = str(tag["content"]).strip() if isinstance(tag, Tag) else ""
    assert [page for page, text in texts.items() if not 20 <= len(text) <= 200] == []
    assert len(set(texts.values())) == len(texts)


def test_every_page_offers_its_source(site: Path, site_page: str) -> None:
    """The download button leads to the very file that the page was made from."""
    file = page_file(site, site_page)
    button = parse(file).select_one("a.btn-download-source-button")
    assert button is not None
    offered = (file.parent / str(button["href"])).resolve()
    sources = [ROOT / f"{site_page}{suffix}" for suffix in (".ipynb", ".md")]
    source = next(s for s in sources if s.is_file())
    assert offered.suffix == source.suffix
    assert offered.read_bytes() == source.read_bytes()


def printed_claims(notebook: Path) -> list[str]:
    """Return the claims that the cells of a notebook have printed."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    text = "\n".join("".join(o["text"]) for o in outputs if o.get("name") == "stdout")
    return [line for line in text.splitlines() if line.startswith("✓ ")]


def test_claims_are_set_apart(site: Path, site_page: str) -> None:
    """Every printed claim, and nothing else, is a block of class `claim`."""
    notebook = ROOT / f"{site_page}.ipynb"
    claims = printed_claims(notebook) if notebook.is_file() else []
    blocks = parse(page_file(site, site_page)).select("div.output.claim")
    assert [block.get_text().strip() for block in blocks] == claims


def test_launch_buttons_follow_the_address(site: Path, site_page: str) -> None:
    """Pages have launch buttons if and only if `_config.yml` has an address."""
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    has_address = re.search(r'^  url: ""', config, re.MULTILINE) is None
    is_notebook = (ROOT / f"{site_page}.ipynb").is_file()
    text = page_file(site, site_page).read_text(encoding="utf-8")
    assert ("mybinder.org" in text) == (has_address and is_notebook)


def notebook_with(cell_id: str, **metadata: object) -> nbformat.NotebookNode:
    """Return a notebook whose one code cell has stored a picture."""
    v4 = nbformat.v4
    output = v4.new_output("display_data", data={"image/png": PIXEL})
    cell = v4.new_code_cell("1", id=cell_id, execution_count=1, outputs=[output])
    cell.metadata.update(metadata)
    cells = [v4.new_markdown_cell("# A notebook", id="title"), cell]
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": python})


SMALL_TOC = """
format: jb-book
root: index
chapters:
- file: book/notebook
"""
SMALL_INDEX = """# A book

:::{notebook-figure} book/notebook.ipynb#dot
:::

:::{notebook-figure} book/notebook.ipynb#dot
Our *own* words.
:::
"""
MISSING = {  # what a page may ask for in vain, and what the build says
    "book/none.ipynb#dot": "there is no notebook",
    "book/notebook.ipynb#no": "no cell has the id 'no'; the code cells are: dot",
    "book/notebook.ipynb#title": "cell 'title' has stored no PNG",
    "book/mute.ipynb#mute": "cell 'mute' has no alternative text",
}


def write_small_book(folder: Path) -> None:
    """Write a book of two pages that has our configuration and an address."""
    shutil.copytree(ROOT / "book" / "_site", folder / "book" / "_site")
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    config = re.sub(r"^  url: .*", f'  url: "{ADDRESS}"', config, flags=re.MULTILINE)
    vain = "".join(f"\n:::{{notebook-figure}} {wanted}\n:::\n" for wanted in MISSING)
    texts = {
        "_config.yml": config,
        "_toc.yml": SMALL_TOC,
        "index.md": SMALL_INDEX + vain,
        "book/references.bib": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    texts_of_dot = {"image": {"alt": "A dot."}, "figure": {"caption": "*One* dot."}}
    dot = notebook_with("dot", mystnb=texts_of_dot)
    nbformat.write(dot, folder / "book" / "notebook.ipynb")
    nbformat.write(notebook_with("mute"), folder / "book" / "mute.ipynb")


@pytest.fixture(scope="module")
def small_book(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Build the small book.

    Returns:
        The folder of the built site, and what the build wrote to its error stream.
    """
    folder = tmp_path_factory.mktemp("book")
    write_small_book(folder)
    done = run_jupyter_book(folder)
    assert done.returncode == 0, done.stderr
    return folder / "_build" / "html", done.stderr


def test_one_setting_turns_the_launch_buttons_on(
    small_book: tuple[Path, str],
) -> None:
    """With an address, notebooks can be opened on Binder and on Colab."""
    soup = parse(small_book[0] / "book" / "notebook.html")
    hrefs = [str(link["href"]) for link in soup.find_all("a", href=True)]
    binder = "https://mybinder.org/v2/gh/someone/some-book/main?urlpath=lab/tree/"
    colab = "https://colab.research.google.com/github/someone/some-book/blob/main/"
    assert binder + "book/notebook.ipynb" in hrefs
    assert colab + "book/notebook.ipynb" in hrefs


def test_notebook_figure_shows_picture_text_and_caption(
    small_book: tuple[Path, str],
) -> None:
    """Alternative text and caption come from the cell; a body replaces the caption."""
    first, second = parse(small_book[0] / "index.html").select("article figure")
    captions = [f.select_one(".caption-text") for f in (first, second)]
    texts = [c.decode_contents().split("<a ")[0].strip() for c in captions if c]
    assert texts == ["<em>One</em> dot.", "Our <em>own</em> words."]
    assert [i["alt"] for i in (first.img, second.img) if i] == ["A dot."] * 2
    picture = small_book[0] / str(first.img["src"] if first.img else "")
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("argument", MISSING)
def test_notebook_figure_says_what_is_missing(
    small_book: tuple[Path, str], argument: str
) -> None:
    """A figure that cannot be had gives one warning that says why."""
    warning = f"notebook-figure {argument}: {MISSING[argument]}"
    found = [line for line in small_book[1].splitlines() if warning in line]
    assert len(found) == 1
    assert "index.md" in found[0]
