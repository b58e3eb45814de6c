"""Findings and checks on the site: where cells print them, and wherever else.

A cell prints a finding as `✓ sentence ⟨evidence⟩` and a check as `✓ sentence`
(`helpers.claims`). On the page of the cell each of these lines becomes a block of
class `finding` or `check`, with an id that links can point at. The directive
`findings` lists all findings of the book, and `finding` shows one of them.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from helpers import pages
from helpers.pages import Replication, Statement

FILTER = "findings.js"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"

logger = logging.getLogger(__name__)


# --- Where a cell has printed them --------------------------------------------------


class StatementBlocks(SphinxTransform):
    """Set apart each finding and each check that a cell of the page has printed."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Split the printed output of each cell that states something."""
        source = Path(self.env.doc2path(self.env.docname))
        if source.suffix != ".ipynb":
            return
        cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
        page = pages.page_name(source)
        for container in list(self.document.findall(is_code_cell)):
            stated = pages.statements_of([cells[container["cell_index"]]], page)
            if stated:
                self.split(container, stated)

    def split(self, cell: nodes.Element, stated: Sequence[Statement]) -> None:
        """Replace what a cell has printed by blocks, one for each statement."""
        waiting = list(stated)
        for printed in list(cell.findall(is_printed)):
            blocks: list[nodes.Element] = []
            other: list[str] = []  # lines that state nothing
            for line in printed.astext().rstrip("\n").split("\n"):
                if waiting and line == printed_line(waiting[0]):
                    blocks += remaining_output(printed, other)
                    blocks.append(self.block(waiting.pop(0)))
                    other = []
                else:
                    other.append(line)
            # Not replace_self: it would hand the classes of the old block on.
            place = printed.parent.index(printed)
            printed.parent[place : place + 1] = blocks + remaining_output(
                printed, other
            )

    def block(self, statement: Statement) -> nodes.Element:
        """Return a statement as a block to which its id leads."""
        kind = "finding" if statement.evidence else "check"
        block = nodes.container(
            classes=["output", kind],
            ids=[anchor(statement.id)],
            names=[statement.id],  # a label for `reference`
            support_smartquotes=False,  # the words exactly as they were printed
        )
        self.document.note_explicit_target(block, block)
        block += paragraph(statement)
        return block


def is_code_cell(node: nodes.Node) -> bool:
    """Tell whether a node is a code cell with what belongs to it."""
    return isinstance(node, nodes.container) and "cell_index" in node


def is_printed(node: nodes.Node) -> bool:
    """Tell whether a node is the standard output of a cell."""
    return isinstance(node, nodes.literal_block) and "stream" in node["classes"]


def mark(statement: Statement) -> str:
    """Return what a statement's line begins with."""
    return "✓ " if statement.held else "✗ "


def printed_line(statement: Statement) -> str:
    """Return the line that a cell has printed for a statement."""
    ending = f" ⟨{statement.evidence}⟩" if statement.evidence else ""
    return f"{mark(statement)}{statement.sentence}{ending}"


def remaining_output(
    printed: nodes.literal_block, lines: Sequence[str]
) -> list[nodes.Element]:
    """Return lines that state nothing as output like the one they come from."""
    if not lines:
        return []
    text = "\n".join(lines)
    part = nodes.literal_block(text, text, **printed.attributes)
    part.source, part.line = printed.source, printed.line
    return [part]


def anchor(statement_id: str) -> str:
    """Return the HTML id of a statement's block on its page.

    Example:
        >>> anchor("code/transfer#gain.2")
        'finding-gain.2'
    """
    return f"finding-{statement_id.partition('#')[2]}"


def said(statement: Statement, *, link: bool = False) -> list[nodes.Node]:
    """Return the mark and the sentence of a statement.

    Args:
        statement: A finding or a check.
        link: Whether the sentence leads to the statement's place.
    """
    words = reference(statement) if link else nodes.Text(statement.sentence)
    sentence = nodes.inline("", "", words, classes=["sentence"])
    return [nodes.Text(mark(statement)), sentence]


def aside(kind: str, label: str, text: str) -> nodes.inline:
    """Return a quiet text of a class, and what it is for those who only hear it.

    Its lines break after commas only: "> 5" and "95 % 7.1 to 11.5" stay whole.
    """
    hidden = nodes.inline("", f"{label}: ", classes=["visually-hidden"])
    whole = nodes.Text(re.sub("(?<!,) ", NO_BREAK_SPACE, text))
    return nodes.inline("", "", hidden, whole, classes=[kind])


def evidence(finding: Statement) -> nodes.inline:
    """Return what a finding rests on."""
    return aside("evidence", "Evidence", finding.evidence)


def paragraph(statement: Statement, *, link: bool = False) -> nodes.paragraph:
    """Return a statement with its evidence, if it has any, as `said` does."""
    parts = said(statement, link=link)
    if statement.evidence:
        parts += [nodes.Text(" "), evidence(statement)]
    return nodes.paragraph("", "", *parts)


def reference(statement: Statement) -> nodes.Element:
    """Return the sentence as a link to its place; Sphinx warns if that is not there."""
    return addnodes.pending_xref(
        "",
        nodes.inline("", statement.sentence),
        refdomain="std",
        reftype="ref",
        reftarget=statement.id,
        refexplicit=True,
        refwarn=True,
    )


# --- One finding, anywhere ----------------------------------------------------------


class Finding(SphinxDirective):
    """Show a finding or a check of a notebook, with a link to its place.

    The argument is its id: the page, `#`, and the cell, as in::

        :::{finding} code/transfer#gain
        :::
    """

    required_arguments = 1
    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the block, or nothing and a warning if there is no such id."""
        wanted = self.arguments[0]
        root = Path(self.env.srcdir)
        try:
            statement = pages.find(wanted, root)
        except LookupError as error:
            message = f"finding {wanted}: {error.args[0]}"
            logger.warning(message, location=self.get_location(), type="book_site")
            return []
        page = wanted.partition("#")[0]
        self.env.note_dependency(str(root / "book" / f"{page}.ipynb"))
        kind = "finding" if statement.evidence else "check"
        block = nodes.container(classes=["output", kind], support_smartquotes=False)
        block += paragraph(statement, link=True)
        return [block]


# --- All findings -------------------------------------------------------------------


class Chapter(NamedTuple):
    """What one notebook states."""

    page: str  # the document's name for Sphinx, "book/code/transfer"
    title: str
    findings: list[Statement]
    checks: int  # how many it makes


class Findings(SphinxDirective):
    """List every finding of the book, with its evidence and its replications."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return a summary and a section for each chapter that states findings.

        Raises:
            DirectiveError: The table of replications cannot be read.
        """
        root = Path(self.env.srcdir)
        table = root / pages.REPLICATIONS.relative_to(pages.ROOT)
        for file in (root / "_toc.yml", table, *pages.toc_notebooks(root)):
            self.env.note_dependency(str(file))
        try:
            rows = pages.replications(table)
        except pages.ReplicationError as error:
            raise self.error(str(error)) from error
        chapters = [c for c in read_chapters(root) if c.findings or c.checks]
        stating = [c for c in chapters if c.findings]
        checking = [c for c in chapters if not c.findings]
        parts: list[nodes.Node] = [summary(stating, checking, rows)]
        parts += [self.section(chapter, rows) for chapter in stating]
        if checking:
            parts.append(self.checks_only(checking))
        return parts

    def section(self, chapter: Chapter, rows: Sequence[Replication]) -> nodes.section:
        """Return the section of a chapter that states findings."""
        listed = nodes.bullet_list(classes=["findings"], bullet="-")
        for finding in chapter.findings:
            held = aside("replication", "Replications", replication(finding, rows))
            measured = nodes.inline("", "", evidence(finding), nodes.Text(" "), held)
            measured["classes"].append("measured")
            words = [*said(finding, link=True), nodes.Text(" "), measured]
            listed += nodes.list_item("", nodes.paragraph("", "", *words))
        section = self.titled(chapter_link(chapter), listed)
        if chapter.checks:
            text = f"The chapter also makes {counted(chapter.checks, 'check')}."
            section += nodes.paragraph("", text, classes=["checks"])
        return section

    def checks_only(self, chapters: Sequence[Chapter]) -> nodes.section:
        """Return the section of the chapters that state no finding yet."""
        listed = nodes.bullet_list(bullet="-")
        for chapter in chapters:
            ending = nodes.Text(f": {counted(chapter.checks, 'check')}")
            line = nodes.paragraph("", "", chapter_link(chapter), ending)
            listed += nodes.list_item("", line)
        return self.titled(nodes.Text("Chapters that make checks only"), listed)

    def titled(self, title: nodes.Node, *content: nodes.Node) -> nodes.section:
        """Return a section of the page."""
        heading = nodes.title("", "", title)
        section = nodes.section("", heading, *content, support_smartquotes=False)
        section["names"].append(nodes.fully_normalize_name(heading.astext()))
        self.state.document.note_implicit_target(section, section)
        return section


def read_chapters(root: Path) -> Iterator[Chapter]:
    """Yield what each notebook of the book states, in the book's order."""
    for path in pages.toc_notebooks(root):
        stated = pages.statements(path)
        findings = [statement for statement in stated if statement.evidence]
        page = path.relative_to(root).with_suffix("").as_posix()
        checks = len(stated) - len(findings)
        yield Chapter(page, pages.title(path), findings, checks)


def chapter_link(chapter: Chapter) -> nodes.Element:
    """Return a link to a chapter, named by its title."""
    return addnodes.pending_xref(
        "",
        nodes.inline("", chapter.title),
        refdomain="std",
        reftype="doc",
        reftarget=f"/{chapter.page}",
        refexplicit=True,
        refwarn=True,
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 check", "12 checks"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def summary(
    stating: Sequence[Chapter],
    checking: Sequence[Chapter],
    rows: Sequence[Replication],
) -> nodes.paragraph:
    """Return what there is in one sentence; the filter stands below it."""
    findings = [finding for chapter in stating for finding in chapter.findings]
    replicated = sum(bool(replications_of(finding, rows)) for finding in findings)
    checks = sum(chapter.checks for chapter in (*stating, *checking))
    text = (
        f"{counted(len(findings), 'finding')} in {counted(len(stating), 'chapter')}, "
        f"{replicated:,} of them replicated; {counted(checks, 'check')} besides."
    )
    return nodes.paragraph("", text, classes=["findings-summary"])


def replications_of(
    finding: Statement, rows: Sequence[Replication]
) -> list[Replication]:
    """Return what a finding measured under other seeds, stated in the same words."""
    wanted = (finding.id, finding.sentence)
    return [row for row in rows if (row.finding, row.sentence) == wanted]


def replication(finding: Statement, rows: Sequence[Replication]) -> str:
    """Return under how many seeds a finding held, and what it measured there.

    Example:
        "held under 20 of 20 seeds, +7.2 to +11.0"
    """
    own = replications_of(finding, rows)
    if not own:
        return "not replicated yet"
    means = sorted((row.mean for row in own), key=float)
    ends = " to ".join(dict.fromkeys((means[0], means[-1]))).replace("-", "−")
    held = sum(row.held for row in own)
    return f"held under {held} of {counted(len(own), 'seed')}, {ends}{unit(finding)}"


def unit(finding: Statement) -> str:
    """Return the unit of what a finding measured, after a space; empty for points."""
    mean = finding.evidence.partition(",")[0].rpartition(": ")[2]  # "weakest of 3: …"
    return "".join(mean.partition(" ")[1:])


def add_filter(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Load the script of the filter on the page that lists the findings, only."""
    if doctree is not None and any(doctree.findall(is_list_of_findings)):
        app.add_js_file(FILTER, loading_method="defer")


def is_list_of_findings(node: nodes.Node) -> bool:
    """Tell whether a node is a list of findings."""
    return isinstance(node, nodes.bullet_list) and "findings" in node["classes"]
