"""Checks of the built website that need no browser."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag
from building import site_pages
from small_book import GAIN, SHARE

from helpers.paths import ROOT


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
    for page in site_pages():
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


class Line(NamedTuple):
    """A line that a cell has printed with a tick, read without the book's helpers."""

    place: str  # the page and the anchor that links lead to
    sentence: str
    evidence: str  # empty for a check


def ticked_lines(page: Path) -> list[Line]:
    """Return the lines with a tick that the cells of a notebook have printed."""
    lines = []
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        outputs = [o for o in cell.get("outputs", []) if o.get("name") == "stdout"]
        text = "".join("".join(output["text"]) for output in outputs)
        ticked = [line for line in text.split("\n") if line.startswith("✓ ")]
        for number, line in enumerate(ticked, start=1):
            anchor = f"finding-{cell['id']}" + ("" if number == 1 else f".{number}")
            sentence, _, evidence = line[2:].partition(" ⟨")
            lines.append(Line(f"{page.stem}#{anchor}", sentence, evidence[:-1]))
    return lines


def text_of(tag: Tag | None) -> str:
    """Return the visible text of a tag; what only screen readers say is left out."""
    if tag is None:
        return ""
    copied = BeautifulSoup(str(tag), "html.parser")
    for hidden in copied.select(".visually-hidden, .headerlink"):
        hidden.decompose()
    return " ".join(copied.get_text().split())


def test_findings_and_checks_are_set_apart(site: Path, site_page: str) -> None:
    """Each ticked line, and nothing else, is a block of its kind with its anchor."""
    notebook = ROOT / f"{site_page}.ipynb"
    lines = ticked_lines(notebook) if notebook.is_file() else []
    blocks = parse(page_file(site, site_page)).select("div.cell_output [id^=finding-]")
    found = [
        Line(
            f"{notebook.stem}#{block['id']}",
            text_of(block.select_one(".sentence")),
            text_of(block.select_one(".evidence")),
        )
        for block in blocks
    ]
    assert found == [line._replace(sentence=spaced(line.sentence)) for line in lines]
    kinds = ["finding" if line.evidence else "check" for line in lines]
    assert [kind in b["class"] for kind, b in zip(kinds, blocks, strict=True)] == (
        [True] * len(lines)
    )


def spaced(text: str) -> str:
    """Return a text with single spaces, as a browser shows it."""
    return " ".join(text.split())


def test_launch_buttons_follow_the_address(site: Path, site_page: str) -> None:
    """Pages have launch buttons if and only if `_config.yml` has an address."""
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    has_address = re.search(r'^  url: ""', config, re.MULTILINE) is None
    is_notebook = (ROOT / f"{site_page}.ipynb").is_file()
    text = page_file(site, site_page).read_text(encoding="utf-8")
    assert ("mybinder.org" in text) == (has_address and is_notebook)


@pytest.fixture
def small_site(small_book: Path) -> Path:
    """Return the folder of the small book's site."""
    return small_book / "_build" / "html"


def test_one_setting_turns_the_launch_buttons_on(small_site: Path) -> None:
    """With an address, notebooks can be opened on Binder and on Colab."""
    soup = parse(small_site / "book" / "notebook.html")
    hrefs = [str(link["href"]) for link in soup.find_all("a", href=True)]
    binder = "https://mybinder.org/v2/gh/someone/some-book/main?urlpath=lab/tree/"
    colab = "https://colab.research.google.com/github/someone/some-book/blob/main/"
    assert binder + "book/notebook.ipynb" in hrefs
    assert colab + "book/notebook.ipynb" in hrefs


def test_notebook_figure_shows_picture_text_and_caption(small_site: Path) -> None:
    """Alternative text and caption come from the cell; a body replaces the caption."""
    first, second = parse(small_site / "index.html").select("article figure")
    captions = [f.select_one(".caption-text") for f in (first, second)]
    texts = [c.decode_contents().split("<a ")[0].strip() for c in captions if c]
    assert texts == ["<em>One</em> dot.", "Our <em>own</em> words."]
    assert [i["alt"] for i in (first.img, second.img) if i] == ["A dot."] * 2
    picture = small_site / str(first.img["src"] if first.img else "")
    assert picture.read_bytes()[:4] == b"\x89PNG"


# --- Findings -----------------------------------------------------------------------


def test_a_cell_keeps_what_it_prints_beside_its_findings(small_site: Path) -> None:
    """Other lines stay printed output, in their order, and words stay as they are."""
    [first, second, silent] = parse(small_site / "book" / "first.html").select(
        "div.cell_output"
    )
    parts = [part for part in first.children if isinstance(part, Tag)]
    assert [part["class"][1] for part in parts] == [
        *("stream", "finding", "check", "stream", "finding"),
    ]
    gain = "✓ it 'gains' -- by more than 5 points"
    assert text_of(parts[1]) == f"{gain} {GAIN}"
    assert text_of(parts[2]) == '✓ the shapes "agree"...'
    assert text_of(parts[3]) == "another number: 2"
    assert "stream" not in second.select_one(".finding")["class"]
    assert text_of(second) == f"✓ nine in ten are right <em>&amp;</em> more {SHARE}"
    assert silent.select(".finding, .check") == []


def test_evidence_is_named_for_those_who_hear_the_page(small_site: Path) -> None:
    """No bracket is read out, and a hidden word says what the numbers are."""
    for page in ("book/first", "book/appendix/findings", "index"):
        article = parse(page_file(small_site, page)).select_one("article")
        assert article is not None
        evidence = article.select(".evidence")
        assert evidence
        assert {e.get_text()[:10] for e in evidence} == {"Evidence: "}
        assert not set("⟨⟩") & set(article.get_text())


def test_evidence_breaks_after_commas_only(small_site: Path) -> None:
    """A number does not part from its sign, its unit or what was asked of it."""
    page = parse(page_file(small_site, "book/appendix/findings"))
    for quiet in page.select(".evidence, .replication"):
        text = quiet.get_text().partition(": ")[2]
        assert re.findall(".[ ]", text) == [", "] * text.count(", ")


def test_finding_shows_a_statement_elsewhere(small_site: Path) -> None:
    """Sentence and evidence are those of the cell, and the sentence leads there."""
    finding, check = parse(small_site / "index.html").select(".finding, .check")
    gain = "it 'gains' -- by more than 5 points"
    assert text_of(finding) == f"✓ {gain} {GAIN}"
    assert text_of(check) == '✓ the shapes "agree"...'
    links = [str(block.a["href"]) for block in (finding, check) if block.a]
    assert links == ["book/first.html#finding-gain", "book/first.html#finding-gain.2"]
    assert not any(broken(small_site / "index.html", link) for link in links)


class Book(NamedTuple):
    """A book and its site."""

    root: Path
    site: Path


@pytest.fixture(params=["the book", "the small book"])
def book(request: pytest.FixtureRequest) -> Book:
    """Return the real book, then the small one."""
    if request.param == "the book":
        return Book(ROOT, request.getfixturevalue("site"))
    folder = request.getfixturevalue("small_book")
    return Book(folder, folder / "_build" / "html")


def chapters(root: Path) -> dict[Path, list[Line]]:
    """Return the ticked lines of every notebook, in the order of the toc."""
    toc = (root / "_toc.yml").read_text(encoding="utf-8")
    names = re.findall(r"- file: (\S+)", toc)
    notebooks = [root / f"{name}.ipynb" for name in names]
    return {path: ticked_lines(path) for path in notebooks if path.is_file()}


def listed_findings(site: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Return what the page of findings lists: place, sentence, evidence, by chapter."""
    page = page_file(site, "book/appendix/findings")
    found = {}
    for section in parse(page).select("section section:has(ul.findings)"):
        items = section.select("ul.findings > li")
        chapter = (page.parent / str(section.h2.a["href"])).resolve()
        found[chapter.relative_to(site).with_suffix("").as_posix()] = [
            (
                str(item.a["href"]).rpartition("/")[2].replace(".html", ""),
                text_of(item.select_one(".sentence")),
                text_of(item.select_one(".evidence")),
            )
            for item in items
        ]
    return found


def test_page_of_findings_lists_all_of_them_in_order(book: Book) -> None:
    """Every stored finding stands below its chapter, with its place and evidence."""
    expected = {
        path.relative_to(book.root).with_suffix("").as_posix(): [
            (line.place, spaced(line.sentence), line.evidence)
            for line in lines
            if line.evidence
        ]
        for path, lines in chapters(book.root).items()
    }
    expected = {page: lines for page, lines in expected.items() if lines}
    listed = listed_findings(book.site)
    assert listed == expected
    assert list(listed) == list(expected)


def test_page_of_findings_counts_checks(book: Book) -> None:
    """A chapter with checks only is one line; any other says how many it makes."""
    page = parse(page_file(book.site, "book/appendix/findings"))
    text = text_of(page.select_one("article"))
    for path, lines in chapters(book.root).items():
        checks = sum(not line.evidence for line in lines)
        name = f"{checks} check{'' if checks == 1 else 's'}"
        title = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        title = "".join(title).splitlines()[0].removeprefix("# ")
        if checks == len(lines):
            assert (f"{title}: {name}" in text) == bool(checks)
        elif checks:
            place = path.relative_to(book.root / "book").with_suffix(".html")
            link = page.select_one(f"h2 > a[href$='/{place.as_posix()}']")
            section = text_of(link.find_parent("section") if link else None)
            assert f"The chapter also makes {name}." in section
    total = [line for lines in chapters(book.root).values() for line in lines]
    findings = sum(bool(line.evidence) for line in total)
    assert f"{findings} finding" in text_of(page.select_one(".findings-summary"))


def test_page_of_findings_counts_replications(book: Book) -> None:
    """Under how many seeds a finding held, and between which means, is the table's."""
    table = book.root / "book" / "appendix" / "replications.csv"
    rows = []
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    items = parse(page_file(book.site, "book/appendix/findings")).select(
        "ul.findings > li"
    )
    replicated = 0
    for item in items:
        sentence = text_of(item.select_one(".sentence"))
        link = str(item.a["href"]).replace("../", "").replace(".html#finding-", "#")
        own = [r for r in rows if (r["finding"], r["sentence"]) == (link, sentence)]
        shown = text_of(item.select_one(".replication"))
        means = [float(row["mean"]) for row in own]
        held = sum(row["held"] == "yes" for row in own)
        replicated += bool(own)
        if own:
            assert shown.startswith(f"held under {held} of {len(own)} seed"), link
            numbers = re.findall(r"[+−]?[\d.]+(?:e[−-]\d+)?", shown.partition(",")[2])
            ends = [float(number.replace("−", "-")) for number in numbers]
            assert (ends[0], ends[-1]) == (min(means), max(means)), link
        else:
            assert shown == "not replicated yet", link
    summary = parse(page_file(book.site, "book/appendix/findings")).select_one(
        ".findings-summary"
    )
    assert f"{replicated} of them replicated" in text_of(summary)


def test_replications_read_as_a_sentence(small_site: Path) -> None:
    """Seeds, range and unit, as a person would write them."""
    page = parse(page_file(small_site, "book/appendix/findings"))
    assert [text_of(tag) for tag in page.select(".replication")] == [
        "not replicated yet",  # there is a row, about other words
        "held under 3 of 3 seeds, +7.2 to +11.0",
        "held under 2 of 3 seeds, −0.61 to +0.10 nats",
        "held under 3 of 3 seeds, 93.9 to 95.1 %",
        "held under 1 of 1 seed, +8.0",
    ]


def test_only_the_page_of_findings_loads_the_filter(small_site: Path) -> None:
    """The other pages do without its script."""
    loading = [
        page.relative_to(small_site).as_posix()
        for page in small_site.rglob("*.html")
        if "findings.js" in page.read_text(encoding="utf-8")
    ]
    assert loading == ["book/appendix/findings.html"]


def test_download_of_a_notebook_says_what_it_needs(site: Path, site_page: str) -> None:
    """A notebook alone does not run: another package has the name of the book's own."""
    button = parse(page_file(site, site_page)).select_one(
        "a.btn-download-source-button"
    )
    assert button is not None
    is_notebook = (ROOT / f"{site_page}.ipynb").is_file()
    words = ("the book's project", "“helpers”", "not the package of that name")
    assert [word in str(button["title"]) for word in words] == [is_notebook] * 3


def test_folder_of_the_site_hides_no_module_of_python() -> None:
    """Python has a module called `site`, and the project has a folder of that name."""
    code = "import site; print(site.__file__)"
    plain = ("-S", "-X", "frozen_modules=off")  # looked for where it is imported
    command = [sys.executable, *plain, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).parent != ROOT / "site"
    assert done.stdout.strip().endswith("site.py")
