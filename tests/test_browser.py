"""Checks of the built website in headless Chromium, with the network cut.

Each page is visited once, by `visit`, which writes down what it saw; the tests below
it look at these notes. Everything that can be unfolded is unfolded first.
"""

import functools
import os
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from building import site_pages
from playwright.sync_api import Browser, Page, Response, sync_playwright
from small_book import GAIN

NAMES = ("chromium", "chromium-browser", "google-chrome")
CUT_OFF = (
    "--no-sandbox",  # the user may be root, in a container
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
MB = 1_000_000
PAGE_LIMIT = 1.5 * MB  # a page with its images, style sheets and fonts
SCRIPT_LIMIT = 4 * MB  # the scripts, which all pages share
WIDTHS = (1280, 390)
AXE_TAGS = (
    *("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"),
    "best-practice",
)

STILL = "*, *::before, *::after { transition: none !important }"  # no half colours
READY = """async () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const box of document.querySelectorAll(".toggle-hidden"))
    box.classList.remove("toggle-hidden");
  await window.MathJax?.startup?.promise;
  await Promise.all([...document.images].map((i) => i.decode().catch(() => {})));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)));
}"""

FORMULAS = """() => {
  const formulas = [...document.querySelectorAll(".math")];
  const bare = formulas.filter((f) => !f.querySelector("mjx-container svg"));
  const errors = document.querySelectorAll("mjx-merror, [data-mml-node=merror]");
  return {
    count: formulas.length,
    bare: bare.map((f) => f.textContent),
    errors: [...errors].map((e) => e.textContent),
  };
}"""

# axe-core looks at each of thousands of words of code, and at the hundreds of shapes
# of a formula, which is one picture. One word of each kind and place stays.
THIN_OUT = """() => {
  const seen = new Set();
  for (const word of document.querySelectorAll(".highlight span")) {
    const kind = [];
    for (let e = word; e; e = e.parentElement) kind.push(e.className);
    const key = kind.join("/");
    if (seen.has(key)) word.remove();
    seen.add(key);
  }
  for (const picture of document.querySelectorAll("mjx-container > svg"))
    picture.replaceChildren();
}"""

# What sticks out of the page, and what is cut off where nobody can scroll to it.
TOO_WIDE = """() => {
  const article = document.querySelector(".bd-article");
  const limit = document.documentElement.clientWidth + 1;
  const name = (e) => `${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`;
  const hidden = "mjx-assistive-mml, svg, .visually-hidden, .sr-only";
  const scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflowX);
  const inScroller = (e) => {
    for (let p = e; p && p !== article; p = p.parentElement)
      if (scrolls(p)) return true;
    return false;
  };
  const found = [];
  if (document.documentElement.scrollWidth > limit) found.push("the page itself");
  for (const element of article.querySelectorAll("*")) {
    if (element.closest(hidden)) continue;
    const box = element.getBoundingClientRect();
    const out = box.width > 0 && box.right > limit
      && !inScroller(element.parentElement);
    const style = getComputedStyle(element);
    const cut = /hidden|clip/.test(style.overflowX) && style.display !== "inline"
      && element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 8;
    if (out || cut) found.push(name(element));
  }
  return found;
}"""

# The corners of every figure, painted as the browser paints them: on its own ground.
DIM_FIGURES = """() => {
  const faults = [];
  for (const image of document.querySelectorAll(".bd-article img")) {
    const style = getComputedStyle(image);
    const canvas = document.createElement("canvas");
    const [w, h] = [canvas.width, canvas.height] =
      [image.naturalWidth, image.naturalHeight];
    if (!w) { faults.push(`${image.src}: not loaded`); continue; }
    const paint = canvas.getContext("2d", { willReadFrequently: true });
    paint.fillStyle = style.backgroundColor;
    paint.fillRect(0, 0, w, h);
    paint.drawImage(image, 0, 0);
    const corners = [[0, 0], [w - 1, 0], [0, h - 1], [w - 1, h - 1]]
      .map(([x, y]) => [...paint.getImageData(x, y, 1, 1).data]);
    const white = corners.every((rgba) => rgba.every((value) => value >= 250));
    const plain = style.filter === "none" && style.opacity === "1"
      && style.mixBlendMode === "normal" && style.padding === "0px";
    if (!white || !plain)
      faults.push(`${image.src}: corners ${corners}, filter ${style.filter}`);
  }
  return faults;
}"""


class Theme(NamedTuple):
    """What a page showed in one theme."""

    ground: str  # the computed colour behind the text
    dim_figures: list[str]  # figures without an opaque white ground
    violations: list[str]  # what axe-core found


class Visit(NamedTuple):
    """What was seen on one page."""

    requests: list[str]  # every address that the page asked for
    failures: list[str]  # requests without a good answer
    complaints: list[str]  # errors and warnings of the console, uncaught errors
    formulas: dict[str, Any]  # count, bare: not typeset, errors: MathJax's own
    too_wide: dict[int, list[str]]  # by width of the window
    themes: dict[str, Theme]  # by the value of data-theme
    sizes: dict[str, int]  # bytes of each answer, by address


def find_browser() -> str | None:
    """Return the path of an installed Chromium, or nothing."""
    found = (shutil.which(name) for name in NAMES)
    return os.environ.get("CHROMIUM") or next(filter(None, found), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium, or skip; fail where one must be (`CI`, `REQUIRE_BROWSER`)."""
    path = find_browser()
    if path is None:
        required = {os.environ.get("CI"), os.environ.get("REQUIRE_BROWSER")}
        stop = pytest.fail if required & {"true", "1"} else pytest.skip
        stop("no Chromium found: install one or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        chromium = playwright.chromium
        started = chromium.launch(executable_path=path, args=list(CUT_OFF))
        yield started
        started.close()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    protocol_version = "HTTP/1.1"  # keeps connections open: fewer to set up

    def log_message(self, format: str, *args: object) -> None:
        """Keep silent."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve the built site on a free port of this machine; return its address."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def new_page(browser: Browser, notes: Visit) -> Page:
    """Open an empty page that writes what happens to it into the notes."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    page = context.new_page()

    def note_response(response: Response) -> None:
        length = response.header_value("content-length") or 0
        notes.sizes[response.url] = int(length)
        if response.status >= 400:
            notes.failures.append(f"{response.status} {response.url}")

    page.on("request", lambda request: notes.requests.append(request.url))
    page.on("response", note_response)
    page.on("requestfailed", lambda request: notes.failures.append(request.url))
    page.on("pageerror", lambda error: notes.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            notes.complaints.append(message.text)
            if message.type in ("error", "warning")
            else None
        ),
    )
    return page


def check_accessibility(page: Page) -> list[str]:
    """Return what axe-core finds on a page, one line a violation, and thin the page."""
    page.evaluate(THIN_OUT)
    options = {
        "runOnly": {"type": "tag", "values": list(AXE_TAGS)},
        "resultTypes": ["violations"],
        "preload": False,  # else axe-core itself asks for style sheets that are not
    }
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{item['impact']}: {item['id']}: {node['html'][:120]}"
        for item in found
        for node in item["nodes"]
    ]


def look_at_theme(page: Page) -> Theme:
    """Write down how the page looks in its present theme."""
    ground = "getComputedStyle(document.body).backgroundColor"
    return Theme(
        ground=page.evaluate(ground),
        dim_figures=page.evaluate(DIM_FIGURES),
        violations=check_accessibility(page),
    )


def new_notes() -> Visit:
    """Return empty notes."""
    return Visit([], [], [], {}, {}, {}, {})


@pytest.fixture(scope="module")
def visit(browser: Browser, address: str, site_page: str) -> Visit:
    """Visit one page of the book and return what was seen."""
    notes = new_notes()
    page = new_page(browser, notes)
    page.goto(f"{address}/{site_page}.html")
    page.add_style_tag(content=STILL)
    page.evaluate(READY)
    notes.formulas.update(page.evaluate(FORMULAS))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(READY)
        notes.too_wide[width] = page.evaluate(TOO_WIDE)
    page.set_viewport_size({"width": 1280, "height": 900})
    for _ in range(3):  # the switch has three positions: light, dark, as the system
        page.click(".theme-switch-button")
        page.mouse.move(640, 890)  # else the name of the button floats over the page
        page.wait_for_selector(".tooltip", state="detached")
        theme = page.evaluate("document.documentElement.dataset.theme")
        if theme not in notes.themes:
            page.evaluate(READY)
            notes.themes[theme] = look_at_theme(page)
    page.context.close()
    return notes


def outside(requests: list[str]) -> list[str]:
    """Return the requests that left this machine."""
    hosts = {"127.0.0.1", None}  # data: and blob: addresses have no host
    return [url for url in requests if urlsplit(url).hostname not in hosts]


def test_page_asks_no_other_host(visit: Visit) -> None:
    """The page and all that it loads come from the site itself."""
    assert len(visit.requests) > 5
    assert outside(visit.requests) == []


def test_every_request_is_answered(visit: Visit) -> None:
    """Nothing that the page asks for is missing."""
    assert visit.failures == []


def test_console_is_silent(visit: Visit) -> None:
    """No script fails, warns or complains."""
    assert visit.complaints == []


def test_every_formula_is_typeset(visit: Visit) -> None:
    """MathJax has drawn every formula and found no mistake in any."""
    assert visit.formulas["bare"] == []
    assert visit.formulas["errors"] == []


def test_some_page_has_formulas(site: Path) -> None:
    """The check above is not empty: pages of this book have formulas."""
    pages = site.rglob("*.html")
    assert any('class="math ' in page.read_text(encoding="utf-8") for page in pages)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_scrolls_sideways(visit: Visit, width: int) -> None:
    """Wide things scroll inside themselves, and none is cut off."""
    assert visit.too_wide[width] == []


def test_theme_switch_works(visit: Visit) -> None:
    """The switch leads through both themes, and they look different."""
    assert set(visit.themes) == {"light", "dark"}
    assert visit.themes["light"].ground != visit.themes["dark"].ground


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_stand_on_white(visit: Visit, theme: str) -> None:
    """Figures are readable in both themes: opaque, white, neither dimmed nor framed."""
    assert visit.themes[theme].dim_figures == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(visit: Visit, theme: str) -> None:
    """axe-core finds no violation of its rules, of whatever weight."""
    assert visit.themes[theme].violations == []


def test_page_is_light(visit: Visit) -> None:
    """A page weighs little, and so do the scripts that all pages share."""
    sizes = {url: size for url, size in visit.sizes.items() if size}
    scripts = {url for url in sizes if urlsplit(url).path.endswith(".js")}
    assert sum(sizes[url] for url in scripts) <= SCRIPT_LIMIT
    assert sum(sizes[url] for url in set(sizes) - scripts) <= PAGE_LIMIT


def pages_with(selector: str, site: Path, word: str = "") -> list[str]:
    """Return the addresses of the book's pages that have an element with a word."""
    found = []
    for name in site_pages():
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        elements = BeautifulSoup(text, "html.parser").select(selector)
        if any(word in element.get_text() for element in elements):
            found.append(f"/{name}.html")
    return found


SLIDER = "figure.slider"
SLIDERS = """() => [...document.querySelectorAll("figure.slider")].map((box) => ({
  name: box.querySelector("label").textContent.trim(),
  value: box.querySelector("input").getAttribute("aria-valuetext"),
  shown: [...box.querySelectorAll("img")].flatMap((img, i) =>
    getComputedStyle(img).display === "none" ? [] : [[i, img.dataset.position]]),
  count: box.querySelectorAll("img").length,
}))"""


def test_sliders_move_by_the_keyboard(
    browser: Browser, address: str, site: Path
) -> None:
    """Each step shows the next frame alone, and says what it stands for."""
    notes = new_notes()
    page = new_page(browser, notes)
    seen = 0
    for name in pages_with(SLIDER, site):
        page.goto(f"{address}{name}")
        for index, before in enumerate(page.evaluate(SLIDERS)):
            page.locator("figure.slider input").nth(index).focus()
            assert [i for i, _ in before["shown"]] == [0], name
            for step in range(1, before["count"] + 1):
                page.keyboard.press("ArrowRight")  # once more than there are frames
                now = page.evaluate(SLIDERS)[index]
                [(frame, position)] = now["shown"]
                assert frame == min(step, before["count"] - 1), name
                assert now["value"] == position, name
                assert now["name"].endswith(f": {position}"), name
            seen += 1
    page.context.close()
    assert seen
    assert notes.complaints == []


def test_search_finds_fine_tuning(browser: Browser, address: str, site: Path) -> None:
    """A reader who types a word with a hyphen finds every page that has it."""
    notes = new_notes()
    page = new_page(browser, notes)
    page.goto(f"{address}/index.html")
    page.click(".search-button-field")
    page.keyboard.type("fine-tuning")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=fine-tuning*")
    page.wait_for_selector("#search-results p.search-summary:has-text('found')")
    results = page.locator("#search-results li > a").evaluate_all(
        "links => links.map(link => new URL(link.href).pathname)"
    )
    violations = check_accessibility(page)
    page.context.close()
    expected = pages_with("article p", site, "fine-tuning")
    assert expected
    assert set(expected) <= set(results)
    assert violations == []
    assert outside(notes.requests) == []
    assert notes.failures == []
    assert notes.complaints == []


# --- Findings, in the small book, opened without a server ---------------------------

FINDINGS = "book/appendix/findings"
BOX = "Show findings with these words"

# Colour, ground, size and bar of texts.
TEXTS = """(selectors) => {
  const ground = (e) => {
    for (let p = e; p; p = p.parentElement) {
      const color = getComputedStyle(p).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
    }
  };
  return [...document.querySelectorAll(selectors)].map((e) => ({
    text: e.textContent,
    color: getComputedStyle(e).color,
    ground: ground(e),
    size: parseFloat(getComputedStyle(e).fontSize),
    bar: parseFloat(getComputedStyle(e.closest(".output") ?? e).borderLeftWidth),
  }));
}"""
KINDS = {
    "evidence": ".evidence, .replication, .findings-filter output",
    "sentence": ".finding .sentence, .findings .sentence",
    "check": ".check .sentence, .checks",
}


class Look(NamedTuple):
    """How a page looks in one theme and width of the window."""

    violations: list[str]  # what axe-core found
    too_wide: list[str]
    texts: dict[str, list[dict[str, Any]]]  # by kind


Looks = dict[tuple[str, int], Look]  # by theme and width


@pytest.fixture(scope="module")
def small_address(small_book: Path) -> str:
    """Return the address of the small book's site in the file system."""
    return (small_book / "_build" / "html").as_uri()


@pytest.fixture(scope="module", params=[FINDINGS, "book/first"])
def looks(
    request: pytest.FixtureRequest, browser: Browser, small_address: str
) -> Looks:
    """Look at a page with findings, in both themes and widths."""
    notes = new_notes()
    page = new_page(browser, notes)
    page.goto(f"{small_address}/{request.param}.html")
    page.add_style_tag(content=STILL)
    found = {}
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(f"document.documentElement.dataset.theme == '{theme}'")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(READY)
            found[theme, width] = Look(
                violations=check_accessibility(page),
                too_wide=page.evaluate(TOO_WIDE),
                texts={kind: page.evaluate(TEXTS, css) for kind, css in KINDS.items()},
            )
    page.context.close()
    assert notes.complaints == []
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_findings_are_accessible(looks: Looks, theme: str, width: int) -> None:
    """axe-core finds nothing, and nothing sticks out, on a telephone either."""
    assert looks[theme, width].violations == []
    assert looks[theme, width].too_wide == []


def luminance(color: str) -> float:
    """Return the relative luminance of an opaque colour, as WCAG 2.2 defines it."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)]
    assert len(channels) == 3, f"{color} is not opaque"
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(text: dict[str, Any]) -> float:
    """Return the contrast of a text with its ground, 1 to 21, as in WCAG 2.2."""
    dark, light = sorted(luminance(text[key]) for key in ("color", "ground"))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_evidence_is_quiet_and_readable(looks: Looks, theme: str) -> None:
    """It is smaller than its sentence, and never too small or pale; checks as well."""
    texts = looks[theme, 390].texts
    quiet = texts["evidence"] + texts["check"]
    assert texts["evidence"]
    assert texts["check"]
    assert [text for text in quiet if contrast(text) < 4.5] == []
    assert [text for text in quiet if text["size"] < 12] == []
    smallest = min(text["size"] for text in texts["sentence"])
    assert [text for text in quiet if text["size"] >= smallest] == []
    assert [text for text in texts["check"] if text["bar"]] == []


def test_findings_are_read_out_with_their_evidence(
    browser: Browser, small_address: str
) -> None:
    """The accessibility tree has sentence and evidence, in this order."""
    page = new_page(browser, new_notes())
    page.goto(f"{small_address}/book/first.html")
    heard = page.locator("#finding-gain").aria_snapshot()
    page.context.close()
    gain = "✓ it 'gains' -- by more than 5 points Evidence: "
    assert f"{gain}{GAIN}" in " ".join(heard.split())


class Listed(NamedTuple):
    """What the page of findings shows at one moment."""

    sentences: list[str]
    count: str  # as it is said to those who only hear the page
    chapters: list[str]  # headings
    entries: list[str]  # of the table of contents


def look_at_list(page: Page) -> Listed:
    """Write down what the page of findings shows."""
    parts = {
        "sentences": ".findings .sentence",
        "count": "output",
        "chapters": "h2 > :first-child",
        "entries": ".bd-sidebar-secondary .toc-entry",
    }
    seen = {
        name: [
            " ".join(text.split())
            for text in page.locator(css).filter(visible=True).all_inner_texts()
        ]
        for name, css in parts.items()
    }
    [count] = seen.pop("count")
    return Listed(count=count, **seen)


def test_filter_works_by_keyboard(browser: Browser, small_address: str) -> None:
    """Words reduce the list, the count is said, and Escape brings all back."""
    notes = new_notes()
    page = new_page(browser, notes)
    page.goto(f"{small_address}/{FINDINGS}.html")
    whole = look_at_list(page)
    page.get_by_role("link", name="How to reproduce this book").focus()
    page.keyboard.press("Tab")
    labelled = page.evaluate("document.activeElement.labels?.[0]?.textContent")
    page.keyboard.type("FIRST points")  # of the chapter's title, of the sentence
    some = look_at_list(page)
    said = page.get_by_role("status").all_inner_texts()
    page.keyboard.press("Tab")
    next_stop = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type(" and nothing of the kind")
    none = look_at_list(page)
    page.keyboard.press("Enter")  # sends nothing anywhere
    page.keyboard.press("Escape")
    again = look_at_list(page)
    page.context.close()
    last = "Chapters that make checks only"
    assert labelled == BOX
    assert (len(whole.sentences), whole.count) == (5, "5 of 5 findings")
    assert some.sentences == ["it 'gains' -- by more than 5 points"]
    assert some.count == "1 of 5 findings"
    assert some.count in said
    assert some.entries == ["The first chapter", last]
    assert some.chapters[0] == next_stop == "The first chapter"
    assert (none.sentences, none.count) == ([], "0 of 5 findings")
    assert none.entries == [last]
    assert again == whole
    assert notes.complaints == []
    assert notes.failures == []


def test_list_of_findings_is_whole_without_scripts(
    browser: Browser, small_address: str
) -> None:
    """Where no script runs there is no box, and every finding is shown."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{small_address}/{FINDINGS}.html")
    shown = page.locator(".findings .sentence").filter(visible=True).count()
    boxes = page.get_by_label(BOX).count()
    context.close()
    assert (shown, boxes) == (5, 0)
