"""The book's own rules: what `CONTRIBUTING.md` asks of every page, as tests."""

import ast
import base64
import csv
import json
import re
import statistics
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode

from helpers import checkpoints, pages
from helpers.paths import ROOT
from tools import notebooks

PAGES = pages.toc_pages()
NOTEBOOKS = pages.toc_notebooks()
FAQ = ROOT / "book" / "faq.ipynb"  # has sections of its own
CHAPTERS = [
    path for path in NOTEBOOKS if path.parent.name != "appendix" and path != FAQ
]
BACKGROUND = ROOT / "book" / "background.ipynb"
APPENDIX = ROOT / "book" / "appendix"

# Chapters whose statements are still bare checks. Whoever rewrites one takes it off
# this list, which may only become shorter; a new chapter never stands here.
NOT_CONVERTED = {
    *("challenges/scarce_data", "challenges/adaptation"),
}
CONVERTED = [p for p in CHAPTERS if pages.page_name(p) not in NOT_CONVERTED]
STORY_FINDINGS = 8  # in a chapter, outside its solutions
FRESH_SEEDS = 10  # under which every finding has been replicated

# Chapters that are not yet a story, practice and depth: this list, too, may only
# become shorter.
NOT_STORIES = {
    *("challenges/scarce_data", "challenges/adaptation"),
}
STORIES = [p for p in CHAPTERS if pages.page_name(p) not in NOT_STORIES]
STORY_WORDS, HOOK_WORDS = 2000, 150
STORY_CELLS, STORY_LINES, STORY_MEDIAN = 25, 12, 6  # visible cells and their lines
SECTION_FINDINGS, CELLS_IN_A_ROW = 2, 3
PARTS = ["Summary", "Practice", "In depth", "Further reading"]
# A finding that bounds its effect from the wrong side, or hedges, says nothing.
HEDGES = re.compile(
    r", if (it|they|there)\b|\bnot\b.*\b(ahead|behind|better|worse)\b|\bif at all\b",
    re.IGNORECASE,
)

TAGS = {"hide-input", "hide-cell", "nbval-ignore-output", "raises-exception"}
FOLDED = {"hide-input", "hide-cell"}
CELL_LINES, FOLDED_LINES = 15, 25
IMAGE_BYTES, IMAGES_BYTES = 100_000, 600_000
FIGURE = "<Figure size 900x"  # 6 inches at the 150 dots of the one style file
SLIDER, PNG = '<figure class="slider">', "data:image/png;base64,"
SLIDER_TAGS = {"figure", "label", "span", "input", "img", "figcaption"}
# Nothing of one run or one machine: paths, addresses, times, progress, versions,
# long floats, and what NumPy says of a number that was not formatted.
PASSING = re.compile(
    r"/(home|root|tmp|usr|opt|var|mnt|Users|work)/|0x[0-9a-f]{6,}"
    r"|\d(ms|us|s)/(step|epoch)|\d (ms|s|sec|seconds|min|minutes)\b|it/s|s/it|━|ETA"
    r"|\d\.\d+\.\d|\d\.\d{6,}|np\.(float|int|bool)"
)
FORBIDDEN = re.compile(
    r"^\s*[!%]|(pip|conda) install|os\.(environ|getenv|system)|subprocess|get_ipython",
    re.MULTILINE,
)
COMMAND = re.compile(r"(?:^ {4,}|`)(?:[A-Z_]+=\S+ )?make ([a-z-]+)", re.MULTILINE)


def name(path: Path) -> str:
    """Return a page's path from the top folder, as a test's name."""
    return str(path.relative_to(ROOT))


every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=name)
every_story = pytest.mark.parametrize("path", STORIES, ids=name)
every_converted = pytest.mark.parametrize("path", CONVERTED, ids=name)


@cache
def read(path: Path) -> NotebookNode:
    """Return a notebook; do not change it."""
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)


def code(path: Path) -> list[NotebookNode]:
    """Return the code cells of a notebook."""
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def prose(path: Path) -> str:
    """Return the Markdown of a page."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = read(path).cells
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


def stated(source: str) -> list[tuple[str, str]]:
    """Return what a cell states: `claim` or `check` with its sentence, in order.

    Each sentence is written out, and rests on something computed.
    """
    found = []
    for call in ast.walk(ast.parse(source)):
        match call:
            case ast.Call(func=ast.Name(id="claim" | "check" as kind)):
                assert len(call.args) == 2, f"it is {kind}(sentence, ...)"
                sentence, ground = call.args
                assert isinstance(sentence, ast.Constant), f"{kind} a plain string"
                assert any(isinstance(node, ast.Name) for node in ast.walk(ground)), (
                    f"this cannot fail: {sentence.value}"
                )
                found.append((call.lineno, kind, sentence.value))
    return [(kind, sentence) for _, kind, sentence in sorted(found)]


def findings(path: Path) -> list[pages.Statement]:
    """Return the findings that a page has stored, without its checks."""
    return [one for one in pages.statements(path) if one.evidence]


def section(path: Path, heading: str) -> str:
    """Return the Markdown below a heading of level 2 or, in a story, perhaps 3."""
    pattern = rf"^(##|###) {heading}$(.*?)(?=^##? |^\1 |\Z)"
    found = re.search(pattern, prose(path), re.M | re.S)
    assert found, f"the section '{heading}' is missing"
    return found[2]


def parts(path: Path) -> dict[str, list[NotebookNode]]:
    """Return the cells of a story's page by part: "Story", then each of `PARTS`."""
    found: dict[str, list[NotebookNode]] = {"Story": []}
    for cell in read(path).cells:
        heading = re.match(r"## (.+)$", cell.source, re.M)
        if cell.cell_type == "markdown" and heading and heading[1] in PARTS:
            found[heading[1]] = []
        found[list(found)[-1]].append(cell)
    return found


def words(cells: list[NotebookNode]) -> int:
    """Count the words of Markdown cells, without formulas that stand alone."""
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return len(re.sub(r"\$\$.*?\$\$", "", "\n".join(texts), flags=re.S).split())


# --- The tree ---------------------------------------------------------------------


def test_the_toc_names_every_page_and_no_other() -> None:
    """A page outside the toc is neither read nor tested by anybody."""
    found = {
        path
        for ending in ("*.md", "*.ipynb")
        for path in (ROOT / "book").rglob(ending)
        if not {"checkpoints", ".ipynb_checkpoints"} & set(path.relative_to(ROOT).parts)
    }
    assert found == set(PAGES) - {ROOT / "index.md"}


def test_the_commands_that_the_texts_name_exist() -> None:
    """The README holds all targets of the Makefile; nobody names another one."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    assert set(COMMAND.findall(readme)) == targets - {"help"}
    for path in (ROOT / "CONTRIBUTING.md", *PAGES):
        assert set(COMMAND.findall(prose(path))) <= targets, name(path)


def test_the_lock_holds_what_the_requirements_pin() -> None:
    """Every direct pin is exact and stands in the lock, where all have a hash."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([^\s#]+)(.*(?:\n .*)*)", lock, re.M))
    for package, rest in locked.items():
        assert "--hash=sha256:" in rest, package
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    packages = re.findall(r"^([^\s#]+)", wanted.replace("-e .\n", ""), re.M)
    assert len(packages) > 10
    for package in packages:
        assert re.fullmatch(r"[\w-]+==[\w.]+", package), f"{package}: pin exactly"
        assert package in locked


# --- Every notebook ---------------------------------------------------------------


@every_notebook
def test_a_notebook_is_stored_in_canonical_form(path: Path) -> None:
    """Ids are slugs, counts run 1..n, nothing of an editor is left."""
    text = path.read_text(encoding="utf-8")
    assert text == notebooks.canonical(nbformat.reads(text, as_version=4)), (
        f"run: python tools/notebooks.py {name(path)}"
    )


@every_notebook
def test_every_figure_is_stored(path: Path) -> None:
    """Where a cell shows one there is an image, as the tool asks before it stores."""
    notebooks.check_figures(read(path).cells)


@every_notebook
def test_cells_carry_known_tags_only(path: Path) -> None:
    """An unknown tag, or a raw cell, would do nothing or escape the checks."""
    assert set().union(*map(tags, code(path))) <= TAGS
    others = [cell for cell in read(path).cells if cell.cell_type != "code"]
    assert not any(map(tags, others))
    assert {cell.cell_type for cell in others} == {"markdown"}


@every_notebook
def test_cells_are_short(path: Path) -> None:
    """One idea a cell: 15 lines, 25 where the code is folded away."""
    for cell in code(path):
        lines = cell.source.splitlines()
        limit = FOLDED_LINES if tags(cell) & FOLDED else CELL_LINES
        assert 0 < len(lines) <= limit, (cell.id, len(lines))


@every_notebook
def test_cells_hold_python_only(path: Path) -> None:
    """No shell, no magic, no installation; a trailing `;` would not silence nbval."""
    for cell in code(path):
        assert not FORBIDDEN.search(cell.source), cell.id
        assert not cell.source.rstrip().endswith(";"), cell.id
        assert "nbval" not in cell.source.lower(), f"{cell.id}: use tags"


@every_notebook
def test_imports_stand_in_the_first_code_cell(path: Path) -> None:
    """A reader sees at once what a page needs; of our names, few stand alone."""
    first = ast.walk(ast.parse(code(path)[0].source))
    alone = {
        alias.name
        for node in first
        if isinstance(node, ast.ImportFrom) and node.module.startswith("helpers.")
        for alias in node.names
    }
    assert alone <= {"ROOT", "check", "claim", "unmeasured"}, (
        "import the module and keep calls qualified"
    )
    for cell in code(path)[1:]:
        body = ast.parse(cell.source).body
        if all(isinstance(node, ast.Import) for node in body):
            # TensorFlow takes seconds to import: it may wait for its section.
            late = {alias.name for node in body for alias in node.names}
            assert late <= {"keras", "tensorflow"}, cell.id
            continue
        nodes = list(ast.walk(ast.parse(cell.source)))
        assert not any(isinstance(n, ast.Import | ast.ImportFrom) for n in nodes), (
            cell.id
        )


@every_notebook
def test_statements_are_stored_as_the_source_states_them(path: Path) -> None:
    """Each has run and held, and none is stored that no cell makes."""
    sentences: list[str] = []
    for cell in code(path):
        written = stated(cell.source)
        stored = pages.statements_of([cell], "")
        assert [one.sentence for one in stored] == [text for _, text in written], (
            cell.id
        )
        for one, (kind, sentence) in zip(stored, written, strict=True):
            assert one.held, (cell.id, sentence)
            assert bool(one.evidence) == (kind == "claim"), (cell.id, sentence)
        if written:
            assert "nbval-ignore-output" not in tags(cell), f"{cell.id}: not compared"
        sentences += [one.sentence for one in stored]
    assert len(sentences) == len(set(sentences)), "a sentence stands twice"
    assert not [text for text in sentences if text.endswith(".")], "no full stop"
    assert sentences == [one.sentence for one in pages.statements(path)]


@every_notebook
def test_an_ignored_output_is_followed_by_a_statement(path: Path) -> None:
    """What nbval does not compare, the next compared cell must state, unfolded."""
    waiting = ""
    for cell in code(path):
        if "nbval-ignore-output" in tags(cell):
            waiting = cell.id
        elif waiting:
            assert stated(cell.source), f"nothing is stated after {waiting}"
            assert "hide-cell" not in tags(cell), f"only a solution after {waiting}"
            waiting = ""
    assert not waiting, f"nothing is stated after {waiting}"


@every_notebook
def test_outputs_are_clean(path: Path) -> None:
    """No warning, no unexpected error, nothing that belongs to one run only."""
    for cell in code(path):
        kinds = [output.output_type for output in cell.outputs]
        expected = "raises-exception" in tags(cell)
        assert ("error" in kinds) == expected, cell.id
        for output in cell.outputs:
            assert output.get("name") != "stderr", cell.id
            shown = json.dumps(output, ensure_ascii=False)
            shown = re.sub(r'"image/png": "[^"]*"|base64,[^"]*"', "", shown)
            assert not PASSING.search(shown), (cell.id, PASSING.search(shown)[0])


def check_sliders(path: Path) -> list[int]:
    """Check the frames that sliders show, as other figures; return their bytes."""
    sizes = []
    for cell in code(path):
        for output in cell.outputs:
            html = output.get("data", {}).get("text/html", "")
            if not html.startswith(SLIDER):
                continue
            assert "plots.slider(" in cell.source, cell.id
            soup = BeautifulSoup(html, "html.parser")
            assert {tag.name for tag in soup.find_all(True)} <= SLIDER_TAGS, cell.id
            caption = soup.figcaption.get_text()
            assert len(caption) >= 40, f"{cell.id}: caption"
            for frame in soup.find_all("img"):
                assert len(frame["alt"]) >= 40, f"{cell.id}: alternative text"
                assert frame["alt"] != caption, cell.id
                png = base64.b64decode(frame["src"].removeprefix(PNG))
                assert png.startswith(b"\x89PNG"), cell.id
                assert len(png) <= IMAGE_BYTES, (cell.id, len(png))
                assert int.from_bytes(png[16:20]) == 900, f"{cell.id}: 6 inches wide"
                sizes.append(len(png))
    return sizes


@every_notebook
def test_figures_are_small_and_described(path: Path) -> None:
    """PNG, 6 inches, 100 kB, 600 kB a page; alternative text and caption differ."""
    total = sum(check_sliders(path))
    for cell in code(path):
        for output in cell.outputs:
            kinds = set(output.get("data", {}))
            pictures = {kind for kind in kinds if not kind.startswith("text/")}
            assert pictures <= {"image/png"}, cell.id
            html = output.get("data", {}).get("text/html", "")
            if not html.startswith(SLIDER):
                assert not re.search("<(svg|img|video|canvas|script)", html), cell.id
            if not pictures:
                continue
            assert output.data["text/plain"].startswith(FIGURE), cell.id
            assert cell.source.endswith("plt.show()"), cell.id
            size = len(output.data["image/png"]) * 3 // 4
            total += size
            assert size <= IMAGE_BYTES, (cell.id, size)
            mystnb = cell.metadata.get("mystnb", {})
            alt = mystnb.get("image", {}).get("alt", "")
            caption = mystnb.get("figure", {}).get("caption", "")
            assert len(alt) >= 40, f"{cell.id}: alternative text"
            assert len(caption) >= 40, f"{cell.id}: caption"
            assert alt != caption, cell.id
    assert total <= IMAGES_BYTES, total


# --- Findings, and the chapters that state them -----------------------------------


def test_the_list_of_chapters_that_are_not_converted_only_shrinks() -> None:
    assert len(NOT_CONVERTED) <= 18
    assert {pages.page_name(path) for path in CHAPTERS} >= NOT_CONVERTED


@every_chapter
def test_findings_stand_in_converted_chapters_and_each_has_a_cell(path: Path) -> None:
    """One finding a cell, so that the cell's id names it; a story has eight at most."""
    told = 0
    for cell in code(path):
        kinds = [kind for kind, _ in stated(cell.source)]
        count = kinds.count("claim")
        assert count == 0 or kinds == ["claim"], f"{cell.id}: a finding stands alone"
        told += count if "hide-cell" not in tags(cell) else 0
    assert told <= STORY_FINDINGS
    assert (told > 0) == (path in CONVERTED)


@every_converted
def test_no_finding_is_near_its_bar(path: Path) -> None:
    """An interval ends at least one of its own half-widths away from its bar."""
    near = {
        one.id: f"{pages.measured(one.evidence).margin:.2f} half-widths: {one.evidence}"
        for one in findings(path)
        if pages.measured(one.evidence).margin < 1
    }
    assert not near, "reword or measure better; do not move the bar to please this"


@every_converted
def test_findings_were_replicated_and_held(path: Path) -> None:
    """Under ten seeds that nobody looked at: each under nine of ten at least."""
    table = pages.replications()
    for one in findings(path):
        rows = [
            row
            for row in table
            if (row.finding, row.sentence) == (one.id, one.sentence)
            and row.asked == pages.measured(one.evidence).asked
        ]
        held = sum(row.held for row in rows)
        page = name(path)
        assert len(rows) >= FRESH_SEEDS, (
            f"{one.id}: {len(rows)} of {FRESH_SEEDS} seeds; "
            f'make replicate SEEDS="..." NOTEBOOKS={page}'
        )
        assert held >= 0.9 * len(rows), f"{one.id} held under {held} of {len(rows)}"


def test_nearly_all_findings_held_under_every_seed() -> None:
    """At least 95 % of them; and the table speaks of findings of the book only."""
    known = {one.id for path in CONVERTED for one in findings(path)}
    table = pages.replications()
    assert {row.finding for row in table} <= known
    failed = {row.finding for row in table if not row.held}
    assert len(failed) <= 0.05 * len(known), failed


# --- The story of a chapter, its practice, its depth ------------------------------


def test_the_list_of_chapters_that_are_no_stories_only_shrinks() -> None:
    assert len(NOT_STORIES) <= 21
    assert {pages.page_name(path) for path in CHAPTERS} >= NOT_STORIES


@every_story
def test_a_story_is_short_and_its_depth_no_longer(path: Path) -> None:
    """Read in ten minutes: 2,000 words with the summary; the depth has no more."""
    part = parts(path)
    assert list(part) == ["Story", *PARTS]
    story = words(part["Story"] + part["Summary"])
    assert story <= STORY_WORDS, story
    assert words(part["In depth"]) <= story, (words(part["In depth"]), story)


@every_story
def test_a_story_shows_little_code_in_short_cells(path: Path) -> None:
    """25 visible cells, six lines as a rule, twelve at most."""
    cells = parts(path)["Story"] + parts(path)["Summary"]
    lines = {
        cell.id: len(cell.source.splitlines())
        for cell in cells
        if cell.cell_type == "code" and not tags(cell) & FOLDED
    }
    assert 0 < len(lines) <= STORY_CELLS, len(lines)
    assert statistics.median(lines.values()) <= STORY_MEDIAN, lines
    assert max(lines.values()) <= STORY_LINES, lines


@every_story
def test_a_story_begins_with_something_to_see(path: Path) -> None:
    """A picture or a number in the first screen, before what to learn and to know."""
    before = []
    for cell in read(path).cells:
        before.append(cell)
        if cell.cell_type == "code" and cell.outputs:
            break
    assert words(before) <= HOOK_WORDS, words(before)
    assert "You will learn" not in "".join(cell.source for cell in before)


@every_story
def test_words_stand_between_the_cells_of_a_story(path: Path) -> None:
    """Never more than three code cells in a row; a visible one is introduced."""
    row: list[str] = []
    for cell in read(path).cells:
        row = [*row, cell.id] if cell.cell_type == "code" else []
        assert len(row) <= CELLS_IN_A_ROW, row


@every_story
def test_a_section_of_a_story_has_two_findings_at_most(path: Path) -> None:
    found, heading = Counter(), ""
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            heading = "".join(re.findall(r"^##.*$", cell.source, re.M)[-1:]) or heading
        elif "hide-cell" not in tags(cell):
            found[heading] += [kind for kind, _ in stated(cell.source)].count("claim")
    assert all(count <= SECTION_FINDINGS for count in found.values()), found


@every_story
def test_every_section_of_the_depth_says_first_what_it_adds(path: Path) -> None:
    """One section a heading, and words before code; what can go wrong is among them."""
    cells = parts(path)["In depth"]
    headings = re.findall(
        r"^### (.+)$",
        "\n".join(c.source for c in cells if c.cell_type == "markdown"),
        re.M,
    )
    assert "What can go wrong" in headings
    for cell in cells:
        if cell.cell_type == "markdown":
            for after in re.split(r"^### .+$", cell.source, flags=re.M)[1:]:
                assert re.match(r"\s*[^\s:#]", after), cell.id


@every_story
def test_findings_say_what_was_measured(path: Path) -> None:
    """On its own side of zero, with a bar near the effect, and without hedges.

    "At most 2 points behind" says nothing of an effect of +5.9; "less than 10 points"
    says nothing of 3 with an interval of half a point.
    """
    for one in findings(path):
        found = pages.measured(one.evidence)
        assert not HEDGES.search(one.sentence), one.id
        if found.asked[0] not in "<>":
            continue  # an effect between two bars
        bar, half_width = (
            float(found.asked[2:].replace("−", "-")),
            found.high - found.mean,
        )
        assert bar * found.mean >= 0, f"{one.id}: another side of zero: {one.evidence}"
        assert abs(found.mean - bar) <= max(8 * half_width, 0.6 * abs(found.mean)), (
            f"{one.id}: the bar is far from the effect: {one.evidence}"
        )


# --- Every chapter ----------------------------------------------------------------


@every_chapter
def test_a_chapter_opens_with_its_question(path: Path) -> None:
    """A title, one question in bold, then what to learn, to know, and to wait."""
    assert re.match(r"# [^\n]+\n\n\*\*[^*]*\?\*\*", read(path).cells[0].source)
    first = "\n\n".join(
        c.source for c in read(path).cells[: 5 if path in STORIES else 1]
    )
    opens = re.findall(r"^\*\*(You will learn|You need|Time to run:)\*\*", first, re.M)
    assert opens == ["You will learn", "You need", "Time to run:"]


@every_chapter
def test_a_chapter_has_the_sections_that_readers_expect(path: Path) -> None:
    """In this order, at its end."""
    headings = re.findall(r"^## (.+)$", prose(path), re.M)
    if path in STORIES:
        assert headings[-4:] == PARTS
        assert re.findall(r"^### (.+)$", section(path, "Practice"), re.M) == [
            "Exercises",
            "Quiz",
        ]
        return
    assert headings[-5:] == [
        "What can go wrong",
        "Summary",
        "Exercises",
        "Quiz",
        "Further reading",
    ]


@every_chapter
def test_every_exercise_has_an_executed_solution_with_a_claim(path: Path) -> None:
    """Three to five, each with a text and, in the next cell, code, both folded."""
    text = section(path, "Exercises")
    asked = re.findall(r":::\{exercise\}[^\n]*\n:label: (\S+)", text)
    solved = re.findall(r":::\{solution\} (\S+)\n:class: dropdown\n\s*[^\s:]", text)
    assert 3 <= len(asked) <= 5
    assert text.count("{exercise}") == len(asked), "an exercise has no label"
    assert asked == solved
    answers = [b for a, b in pairwise(read(path).cells) if "{solution}" in a.source]
    folded = [cell for cell in code(path) if "hide-cell" in tags(cell)]
    assert [cell.id for cell in answers] == [cell.id for cell in folded]
    for cell in folded:
        assert stated(cell.source), cell.id


@every_chapter
def test_the_quiz_explains_every_choice(path: Path) -> None:
    """Each letter that is offered is taken up in the answer, and one is right."""
    questions = re.split(r"^(?=\*\*\d+\. )", section(path, "Quiz"), flags=re.M)[1:]
    assert len(questions) >= 3
    for question in questions:
        asked, _, answer = question.partition(":::{dropdown}")
        choices = re.findall(r"^- ([A-D])\.", asked, re.M)
        assert len(choices) >= 3, asked
        assert choices == list("ABCD")[: len(choices)], asked
        right = re.findall(r"^\*\*([A-D])\.\*\*$", answer, re.M)
        assert len(right) == 1, asked
        assert re.findall(r"^- ([A-D])\b", answer, re.M) == choices, asked
        assert re.findall(r"^- ([A-D]) is right", answer, re.M) == right, asked


@every_chapter
def test_further_reading_comes_from_the_bibliography(path: Path) -> None:
    """Every entry of the list is a citation."""
    text = section(path, "Further reading")
    entries = re.findall(r"^(?:[-*+]|\d+\.) .+$", text, re.M)
    assert len(entries) >= 3
    assert all("{cite:" in entry for entry in entries)


# --- One place for each fact ------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_citation_resolves(path: Path) -> None:
    """Keys in the text stand in `references.bib`, which has none of them twice."""
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    known = re.findall(r"^@\w+\{([^,\s]+),", bibliography, re.M)
    assert len(known) == len(set(known))
    cited = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", prose(path))
    keys = {key.strip() for group in cited for key in group.split(",")}
    assert keys <= set(known), keys - set(known)


def test_every_yardstick_names_its_source_and_its_difference() -> None:
    """Published rows cite the bibliography; rows of ours say why they differ."""
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    with pages.YARDSTICKS.open(encoding="utf-8", newline="") as file:
        groups = {row["group"] for row in csv.DictReader(file)}
    for row in [row for group in groups for row in pages.yardsticks(group)]:
        assert row.set_up, row
        assert row.published, row
        assert f"{{{row.source}," in bibliography, row
        assert bool(row.checkpoint or row.statement) == bool(row.why), row
        assert not row.statement or pages.find(row.statement).held, row
        assert row.checkpoint in ["", *checkpoints.names()], row


def test_every_public_helper_is_used() -> None:
    """What no page, tool or benchmark uses is not the book's to keep."""
    modules = {
        path.parent.name if path.parent.name == "data" else path.stem: []
        for path in (ROOT / "helpers").rglob("[a-z]*.py")
    }
    sources = [("", cell.source) for path in NOTEBOOKS for cell in code(path)]
    for path in (ROOT / "helpers").rglob("[a-z]*.py"):
        module = "data" if path.parent.name == "data" else path.stem
        text = path.read_text(encoding="utf-8")
        modules[module].append(text)
        sources.append((module, text))
    sources.append(("", (ROOT / "helpers" / "__init__.py").read_text(encoding="utf-8")))
    for folder in ("tools", "benchmarks", "site/book_site", "."):
        paths = (ROOT / folder).glob("*.py")
        sources += [("", path.read_text(encoding="utf-8")) for path in paths]
    used = set()
    for here, source in sources:
        for node in ast.walk(ast.parse(source)):
            match node:  # names in code: docstrings and comments do not count
                case ast.Attribute(value=ast.Name(id=module), attr=helper):
                    used.add((module, helper))
                case ast.ImportFrom(module=str(module), names=names):
                    module = module.removeprefix("helpers.").partition(".")[0]
                    used |= {(module, n.name) for n in names}
                case ast.Name(id=helper, ctx=ast.Load()):
                    used.add((here, helper))
    for module, texts in modules.items():
        for node in ast.parse("\n".join(texts)).body:
            constants = getattr(node, "targets", [])
            names = [target.id for target in constants if isinstance(target, ast.Name)]
            names += [node.name] if hasattr(node, "name") else []
            public = {(module, n) for n in names if not n.startswith("_")}
            assert public <= used, f"used nowhere: {public - used}"


def test_the_bar_of_a_statement_is_the_published_number() -> None:
    """The chapter says that its bar is the row of 500 and 150 units."""
    rows = pages.yardsticks("MNIST test error")
    bar = next(row.published for row in rows if "500 and 150" in row.set_up)
    found = pages.statements(ROOT / "book" / "code" / "mnist.ipynb")
    assert any(f"below {bar} on" in one.sentence for one in found), bar


def test_versions_in_the_text_are_the_pinned_ones() -> None:
    """The page on reproducing names the first two numbers of some versions."""
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    text = section(APPENDIX / "reproduce.md", "Versions")
    named = re.findall(r"([A-Za-z-]+(?: Book)?) (\d+\.\d+)\b", text)
    assert named
    for package, version in named:
        pin = f"\n{package.lower().replace(' ', '-')}=={version}."
        assert pin in pins, f"{package} {version}"


def test_everybody_names_the_same_versions_of_python() -> None:
    """`pyproject.toml` decides; README and Makefile tell."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    low, high = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', project).groups()
    *others, last = [f"3.{minor}" for minor in range(int(low), int(high))]
    for file in ("README.md", "Makefile"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert f"{', '.join(others)} or {last}" in text, file


def test_the_evidence_of_every_answer_stands_in_the_next_cell() -> None:
    """Folded: a reader sees the answer first. Fifteen questions, fifteen evidences."""
    cells = read(FAQ).cells
    asked = [
        pair for pair in pairwise(cells) if re.search("^### ", pair[0].source, re.M)
    ]
    assert len(asked) == sum(cell.source.startswith("evidence(") for cell in cells)
    for question, after in asked:
        assert after.cell_type == "code", question.source
        assert after.source.startswith("evidence("), question.source
        assert tags(after) == {"hide-input"}, question.source


def test_the_evidence_of_every_answer_is_stated_by_its_chapter() -> None:
    """Read from the page as stored, without the page's own look-up."""
    for cell in code(FAQ):
        if not cell.source.startswith("evidence("):
            continue
        text, shown = cell.outputs[0].data["text/markdown"], 0
        for part in re.split(r"^(?=\[)", text, flags=re.M)[1:]:
            chapter = re.search(r"\]\((\S+\.ipynb)\)", part).group(1)
            known = {one.sentence for one in pages.statements(FAQ.parent / chapter)}
            quoted = set(re.findall(r"^- ✓ (.+)$", part, re.M))
            assert quoted <= known, (chapter, quoted - known)
            shown += len(quoted)
        assert shown >= 2, cell.id
