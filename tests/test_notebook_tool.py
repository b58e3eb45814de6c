"""`tools/notebooks.py` stores what was executed, in one form, or nothing."""

import base64
import copy
import doctest
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode, v4
from processes import is_soon_gone

from helpers import pages
from tools import notebooks as tool

SOURCES = ["# A title", "1 + 1", "print('a')", "## Why it works?", "x = 2", "1 / 0"]


def messy_notebook() -> NotebookNode:
    """A notebook as an editor leaves it: random ids, timing, paths, split streams."""
    markdown, code = v4.new_markdown_cell, v4.new_code_cell
    make = [markdown, code, code, markdown, code, code]
    cells = [new(source) for new, source in zip(make, SOURCES, strict=True)]
    for number, cell in enumerate(cells):
        cell.metadata.update(collapsed=True, execution={"iopub.execute_input": "09:00"})
        if cell.cell_type == "code":
            cell.execution_count = 40 - number
    cells[1].outputs = [v4.new_output("execute_result", {"text/plain": "2"})]
    cells[1].outputs[0].update(execution_count=40, metadata={"scrolled": True})
    for name, text in [("out", "a\n"), ("out", "b"), ("err", "c\n"), ("out", "d\n")]:
        stream = v4.new_output("stream", name=f"std{name}", text=text)
        cells[2].outputs.append(stream)
    cells[2].metadata.update(tags=["hide-cell"], mystnb={"image": {"alt": "text"}})
    cells[4].metadata.update(jupyter={"source_hidden": True}, tags=[])
    cells[4].source = "\n\nx = 2\n"
    trace = [
        "-----",
        f"File {tool.__file__}:7, in f",
        "ZeroDivisionError: division by zero",
    ]
    error = {"ename": "ZeroDivisionError", "evalue": "division by zero"}
    cells[5].outputs = [v4.new_output("error", **error, traceback=trace)]
    cells[5].metadata.tags = ["raises-exception"]
    metadata = {
        "kernelspec": {"name": "venv", "display_name": "my venv", "language": "python"},
        "language_info": {"name": "python", "version": "3.11.7"},
        "widgets": {"state": {}},
        "myst": {"html_meta": {"description": "d"}},
    }
    return v4.new_notebook(cells=cells, metadata=metadata)


@pytest.fixture
def messy() -> NotebookNode:
    return messy_notebook()


@pytest.fixture
def stored(messy: NotebookNode) -> NotebookNode:
    """The messy notebook after its way through canonical form."""
    return nbformat.reads(tool.canonical(messy), as_version=4)


def outputs(cell: NotebookNode) -> list[tuple[str, str]]:
    return [(output.name, output.text) for output in cell.outputs]


# --- Canonical form ---------------------------------------------------------------


def test_canonical_form_is_idempotent(messy: NotebookNode) -> None:
    once = tool.canonical(messy)
    assert tool.canonical(nbformat.reads(once, as_version=4)) == once
    assert once.endswith("}\n") and not once.endswith("\n\n")


def test_canonical_form_forgets_who_stored_it() -> None:
    """Two editors' random ids, counts and times of one notebook: the same bytes."""
    first, second = messy_notebook(), messy_notebook()
    second.metadata.kernelspec.name = "conda"
    for cell in second.cells:
        cell.metadata.execution = {"iopub.execute_input": "10:30"}
        if cell.cell_type == "code":
            cell.execution_count = None
    assert first.cells[1].id != second.cells[1].id
    assert tool.canonical(first) == tool.canonical(second)


def test_random_ids_become_slugs_of_the_heading_above(stored: NotebookNode) -> None:
    assert [cell.id for cell in stored.cells] == [
        "a-title",
        "a-title-2",
        "a-title-3",
        "why-it-works",
        "why-it-works-2",
        "why-it-works-3",
    ]


def test_ids_are_unique_and_keep_what_a_person_gave(messy: NotebookNode) -> None:
    given = ["plot-loss", "plot-loss", "a-title-2", "0c5ba3f1", "Not_A_Slug", "x2"]
    for cell, cell_id in zip(messy.cells, given, strict=True):
        cell.id = cell_id
    tool.name_cells(messy.cells)
    ids = [cell.id for cell in messy.cells]
    assert len(set(ids)) == len(ids)
    assert [ids[0], ids[2], ids[5]] == ["plot-loss", "a-title-2", "x2"]
    assert all(re.fullmatch(r"[a-z]+(-?[a-z0-9]+)*", cell_id) for cell_id in ids)


def test_a_new_cell_renames_no_other(stored: NotebookNode) -> None:
    before = [cell.id for cell in stored.cells]
    stored.cells.insert(1, v4.new_code_cell("new = True"))
    tool.name_cells(stored.cells)
    after = [cell.id for cell in stored.cells]
    assert after.pop(1) not in before and after == before


def test_the_longest_heading_still_makes_a_valid_id() -> None:
    heading = "# " + "Transfer " * 30
    cells = [
        v4.new_markdown_cell(heading),
        v4.new_code_cell("x"),
        v4.new_code_cell("y"),
    ]
    text = tool.canonical(v4.new_notebook(cells=cells))
    nbformat.validate(nbformat.reads(text, as_version=4))
    assert all(len(cell.id) <= 64 for cell in cells)


@pytest.mark.parametrize("text", ["", "???", "深度学习", "### "])
def test_a_slug_is_never_empty(text: str) -> None:
    assert tool.is_slug(tool.slug(text))


@pytest.mark.parametrize(
    ("cell_id", "given"),
    [
        ("what-can-go-wrong", True),
        ("step-2", True),
        ("deadbeef", False),  # as nbformat draws them
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", False),
        ("Upper", False),
        ("under_score", False),
        ("-dash", False),
        ("", False),
    ],
)
def test_slugs_are_told_from_random_ids(cell_id: str, given: bool) -> None:
    assert tool.is_slug(cell_id) is given


def test_ids_that_nbformat_draws_are_known_as_random() -> None:
    drawn = [v4.new_code_cell().id for _ in range(200)]
    assert not any(tool.is_slug(cell_id) for cell_id in drawn)


def test_code_cells_are_counted_from_one(stored: NotebookNode) -> None:
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert stored.cells[1].outputs[0].execution_count == 1


def test_neighbouring_streams_are_joined_and_others_stay_apart(
    stored: NotebookNode,
) -> None:
    assert outputs(stored.cells[2]) == [
        ("stdout", "a\nb"),
        ("stderr", "c\n"),
        ("stdout", "d\n"),
    ]


def test_only_the_books_own_metadata_is_kept(stored: NotebookNode) -> None:
    assert set(stored.metadata) == {"kernelspec", "language_info", "myst"}
    assert stored.metadata.kernelspec.name == "python3"
    assert stored.metadata.language_info == {"name": "python"}
    metadata = [cell.metadata for cell in stored.cells]
    assert [set(m) for m in metadata] == [
        set(),
        set(),
        {"tags", "mystnb", "jupyter"},
        set(),
        set(),
        {"tags"},
    ]
    assert metadata[2].mystnb == {"image": {"alt": "text"}}
    assert stored.cells[1].outputs[0].metadata == {}


def test_a_traceback_is_its_last_line_without_a_path(messy: NotebookNode) -> None:
    text = tool.canonical(messy)
    (error,) = messy.cells[5].outputs
    assert error.traceback == ["ZeroDivisionError: division by zero"]
    assert (error.ename, error.evalue) == ("ZeroDivisionError", "division by zero")
    assert tool.__file__ not in text


def test_solutions_are_folded_and_nothing_else(stored: NotebookNode) -> None:
    folded = [cell.metadata.get("jupyter") for cell in stored.cells]
    assert folded.pop(2) == {"source_hidden": True, "outputs_hidden": True}
    assert folded == [None] * 5


def test_sources_and_results_are_kept(stored: NotebookNode) -> None:
    assert [cell.source for cell in stored.cells] == SOURCES
    assert stored.cells[1].outputs[0].data == {"text/plain": "2"}
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)


# --- Files ------------------------------------------------------------------------


FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"


def save(folder: Path, name: str, *sources: str) -> Path:
    cells = [
        v4.new_code_cell(source, id=f"cell-{number}")
        for number, source in enumerate(sources, start=1)
    ]
    path = folder / name
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def test_execution_stores_fresh_outputs_and_is_repeatable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a fresh kernel, in the notebook's folder, quietly; twice the same bytes."""
    path = save(
        tmp_path,
        "ok.ipynb",
        "import os\nprint(os.getcwd() == os.environ['HERE'])\nprint(2)",
        "'x' in globals(), os.environ['BOOK_QUIET'] != ''",
        "x = 1",
        "1 / 0",
    )
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].outputs = [v4.new_output("stream", text="stale")]
    notebook.cells[3].metadata.tags = ["raises-exception"]
    nbformat.write(notebook, path)
    monkeypatch.setenv("HERE", os.path.realpath(tmp_path))
    assert tool.main([str(path)]) == 0
    once = path.read_bytes()
    cells = nbformat.read(path, as_version=4).cells
    assert outputs(cells[0]) == [("stdout", "True\n2\n")]
    assert cells[1].outputs[0].data == {"text/plain": "(False, True)"}
    assert cells[2].outputs == []
    assert cells[3].outputs[0].traceback == ["ZeroDivisionError: division by zero"]
    assert tool.main([str(path)]) == 0
    assert path.read_bytes() == once


FAILURES = [
    ("1 / 0", "ZeroDivisionError: division by zero"),
    ("import os; os._exit(3)", "DeadKernelError"),
    ("import matplotlib; matplotlib.use('agg')\n" + FIGURE, "has stored no image"),
    (
        "import matplotlib.pyplot as plt; plt.rcParams['figure.dpi'] = 300\n" + FIGURE,
        "pixels wide; expected at most 990",
    ),
]


@pytest.mark.parametrize(("source", "reason"), FAILURES, ids=lambda text: text[-25:])
def test_a_failing_cell_leaves_the_file_as_it_was(
    source: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line names the cell and what was wrong, the others say more."""
    path = save(tmp_path, "bad.ipynb", "print('fine')", source)
    before = path.read_bytes()
    assert tool.main([str(path)]) == 1
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    printed = capsys.readouterr()
    assert f"[1/1] {path} is left as it was" in printed.out
    last = printed.err.splitlines()[-1]
    assert last.startswith("cell 'cell-2' ") and reason in last


def test_format_only_executes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, "bad.ipynb", "1 / 0")
    monkeypatch.setattr(tool, "execute", lambda *_: pytest.fail("it was executed"))
    assert tool.main(["--format-only", str(path)]) == 0
    expected = copy.deepcopy(nbformat.read(path, as_version=4))
    assert path.read_text(encoding="utf-8") == tool.canonical(expected)


@pytest.mark.parametrize("fault", ["write", "replace"])
def test_a_stopped_write_leaves_the_old_file_and_no_other(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.ipynb"
    path.write_text("old", encoding="utf-8")
    whole_write = Path.write_text

    def half_write(file: Path, text: str, encoding: str) -> None:
        whole_write(file, text[:2], encoding=encoding)
        raise OSError("disk full")

    def no_replace(file: Path, target: Path) -> None:
        raise KeyboardInterrupt

    stop = {"write": ("write_text", half_write), "replace": ("replace", no_replace)}
    with monkeypatch.context() as patch:
        patch.setattr(Path, *stop[fault])
        with pytest.raises((OSError, KeyboardInterrupt)):
            tool.write_whole(path, "new text")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
    tool.write_whole(path, "ünïcode ✓")
    assert path.read_bytes() == "ünïcode ✓".encode()


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with these environment variables."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=os.environ | variables,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_a_killed_write_leaves_the_old_file_and_the_next_run_starts_clean(
    tmp_path: Path,
) -> None:
    """Killed between the two steps, with no chance to tidy up."""
    path = save(tmp_path, "Bücher.ipynb", "x = 1\n")
    before = path.read_bytes()
    code = (
        "import os, pathlib, sys; from tools import notebooks\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "notebooks.main(['--format-only', sys.argv[1]])"
    )
    assert run("-c", code, path).returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert path.with_suffix(".part").exists()
    again = run(tool.__file__, "--format-only", path, PYTHONIOENCODING="ascii")
    assert (again.returncode, again.stderr) == (0, "")
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_stopped_execution_leaves_the_file_and_no_kernel(
    name: str, tmp_path: Path
) -> None:
    """Also when it was killed, and could not end anybody."""
    source = (
        "import os, pathlib, time\npathlib.Path('draft').write_text(str(os.getpid()))\n"
        "pathlib.Path('draft').rename('pid')\ntime.sleep(60)\n"
        "pathlib.Path('finished').touch()"
    )
    path = save(tmp_path, "slow.ipynb", source)
    before = path.read_bytes()
    with subprocess.Popen(
        [sys.executable, tool.__file__, path],
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path.parent)},
    ) as process:
        while not (tmp_path / "pid").exists():
            assert process.poll() is None
            time.sleep(0.05)
        kernel = int((tmp_path / "pid").read_text(encoding="utf-8"))
        process.send_signal(signal.Signals[name])
        process.communicate()
    assert is_soon_gone(kernel)  # it looks once a second whether its parent is there
    assert process.returncode != 0
    assert path.read_bytes() == before
    assert set(tmp_path.iterdir()) == {path, tmp_path / "pid"}


def test_into_another_folder_leaves_the_notebook_as_it_was(tmp_path: Path) -> None:
    path = save(tmp_path, "page.ipynb", "x = 1\n")
    before = path.read_bytes()
    (tmp_path / "other").mkdir()
    assert tool.main(["--into", str(tmp_path / "other"), str(path)]) == 0
    assert path.read_bytes() == before
    (cell,) = nbformat.read(tmp_path / "other" / path.name, as_version=4).cells
    assert (cell.source, cell.execution_count) == ("x = 1", 1)


NOT_NOTEBOOKS = {
    "book/code/transfr.ipynb": "is not there; expected a notebook, such as "
    "book/code/transfer.ipynb",
    "book/code": "is a folder; expected a notebook, such as book/",
    "README.md": "is something else; expected a notebook of format 4",
    "list.ipynb": "is something else; expected a notebook of format 4",
    "old.ipynb": "is something else; expected a notebook of format 4",
    "bytes.ipynb": "is something else; expected a notebook of format 4",
}


@pytest.mark.parametrize("option", [(), ("--check",), ("--format-only",)])
@pytest.mark.parametrize("name", NOT_NOTEBOOKS)
def test_what_is_no_notebook_is_refused_before_anything_runs(
    name: str,
    option: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that names the path and says what was expected."""
    (tmp_path / "list.ipynb").write_text("[]", encoding="utf-8")
    old = '{"nbformat": 3, "cells": []}'
    (tmp_path / "old.ipynb").write_text(old, encoding="utf-8")
    (tmp_path / "bytes.ipynb").write_bytes(b"\xff\xfe")
    good = save(tmp_path, "good.ipynb", "x = 1\n")
    before = good.read_bytes()
    path = name if "/" in name or name == "README.md" else str(tmp_path / name)
    monkeypatch.chdir(pages.ROOT)
    assert tool.main([*option, str(good), path]) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith(f"{path}: {NOT_NOTEBOOKS[name]}")
    assert printed.out == "" and good.read_bytes() == before


def test_check_executes_and_stores_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = save(tmp_path, "good.ipynb", "1 / 0\n")
    before = good.read_bytes()
    assert tool.main(["--check", str(good)]) == 0
    assert tool.main(["--check"]) == 0  # all pages of the book
    assert capsys.readouterr() == ("", "")
    assert good.read_bytes() == before


def test_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(tool)
    assert results.attempted > 0 and results.failed == 0


def test_figures_are_stored_in_few_colours() -> None:
    """Smaller, of the same size and look; a second time nothing changes."""
    figure, ax = plt.subplots(figsize=(3, 2), dpi=100, layout="none")
    ax.imshow(np.arange(400).reshape(20, 20), cmap="RdBu")
    ax.plot([0, 19], [3, 12], color="#009E73")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    plt.close(figure)
    small = tool.small_png(base64.b64encode(drawn.getvalue()).decode())
    stored = base64.b64decode(small)
    assert len(stored) < 0.6 * len(drawn.getvalue())
    before, after = (
        plt.imread(io.BytesIO(png))[..., :3] for png in (drawn.getvalue(), stored)
    )
    assert before.shape == after.shape == (200, 300, 3)
    assert np.abs(before - after).mean() < 0.01
    assert (after[0, 0] > 250 / 255).all()  # the ground is still white
    assert tool.small_png(small) == small
