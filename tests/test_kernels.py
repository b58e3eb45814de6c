"""What a notebook shows does not depend on the settings of the machine it runs on."""

import doctest
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode, v4

from helpers.paths import ROOT
from tools import kernels, notebooks

CELLS = {
    "imports": "import os, sys\nfrom importlib.util import find_spec\n"
    "import matplotlib.pyplot as plt\nimport numpy as np",
    "two-values": "1\n2",
    "variables": "print(sys.flags.utf8_mode, sys.flags.optimize, sys.warnoptions)\n"
    "print('of_the_reader' in globals(), find_spec('module_of_the_reader'))\n"
    "print([os.environ.get(name) for name in ('KERAS_BACKEND', 'XLA_FLAGS')])",
    "figure": "plt.imshow(np.tri(3))\nplt.show()",
}
FILES = {  # in the reader's home folder
    ".ipython/profile_default/ipython_config.py": "c = get_config()\n"
    "c.InlineBackend.figure_format = 'svg'\n"
    "c.InlineBackend.figure_formats = {'retina', 'jpeg'}\n"
    "c.InlineBackend.print_figure_kwargs = {'facecolor': 'black'}\n"
    "c.InlineBackend.rc = {'image.cmap': 'jet'}\n"
    "c.InteractiveShell.ast_node_interactivity = 'all'\n"
    "c.InteractiveShellApp.exec_lines = ['print(1)']",
    ".ipython/profile_default/startup/00.py": "of_the_reader = 1",
    ".config/matplotlib/matplotlibrc": "image.origin: lower\nfigure.dpi: 300\n"
    "no.such.key: 1",
    ".keras/keras.json": '{"backend": "jax"}',
    "jupyter/kernels/python3/kernel.json": '{"argv": ["false"], '
    '"display_name": "Python 3", "language": "python"}',
    "packages/module_of_the_reader.py": "",
    "start.py": "of_the_reader = 1\nprint('started')",
}
SETTINGS = {
    "KERAS_BACKEND": "jax",
    "MPLBACKEND": "Agg",
    "PYTHONSAFEPATH": "1",
    "PYTHONWARNINGS": "error::FutureWarning",
    "XLA_FLAGS": "--no_such_flag",
}
EMPTY = [
    "BOOK_DATA_DIR",
    "HOME",
    "IPYTHONDIR",
    "JUPYTER_PATH",
    "KERAS_HOME",
    "MATPLOTLIBRC",
    "MPLCONFIGDIR",
    "TF_CPP_MIN_LOG_LEVEL",
    "XDG_CONFIG_HOME",
    "XLA_FLAGS",
    *SETTINGS,
]
NO_HOME = {"HOME": "/proc/nowhere", "LC_ALL": "C", "PYTHONUTF8": "0"}
READERS = ["with settings of their own", "with empty variables", "without a home"]


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The environment variables of three readers' machines."""
    home = tmp_path_factory.mktemp("home")
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    own = SETTINGS | {
        "HOME": str(home),
        "JUPYTER_PATH": str(home / "jupyter"),
        "PYTHONPATH": str(home / "packages"),
        "PYTHONSTARTUP": str(home / "start.py"),
    }
    settings = [own, dict.fromkeys(EMPTY, ""), NO_HOME]
    plain = {k: v for k, v in os.environ.items() if not k.startswith(kernels.FOREIGN)}
    plain.pop("MPLCONFIGDIR", None)
    return {r: plain | new for r, new in zip(READERS, settings, strict=True)}


def new_notebook() -> NotebookNode:
    """Return the notebook, never executed."""
    cells = [v4.new_code_cell(source, id=name) for name, source in CELLS.items()]
    return v4.new_notebook(cells=cells)


def run_tool(path: Path, environ: dict[str, str]) -> bytes:
    """Return the bytes that the tool stores when it is run with an environment."""
    nbformat.write(new_notebook(), path)
    done = subprocess.run(
        [sys.executable, notebooks.__file__, path],
        env=environ,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return path.read_bytes()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with this one's settings and the notebook, stored on this machine."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / "tools", folder / "tools")
    (folder / "book").mkdir()
    run_tool(folder / "book" / "page.ipynb", dict(os.environ))
    return folder


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_stores_the_same_bytes(
    reader: str, readers: dict[str, dict[str, str]], project: Path, tmp_path: Path
) -> None:
    """And the tool is silent: no notice reaches a cell or the terminal."""
    expected = (project / "book" / "page.ipynb").read_bytes()
    assert run_tool(tmp_path / "page.ipynb", readers[reader]) == expected
    cells = nbformat.reads(expected.decode(), as_version=4).cells
    assert [len(cell.outputs) for cell in cells] == [0, 1, 1, 1]
    assert cells[1].outputs[0].data == {"text/plain": "2"}
    assert cells[2].outputs[0].text == "1 0 []\nFalse None\n['tensorflow', None]\n"


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_sees_nbval_agree(
    reader: str, readers: dict[str, dict[str, str]], project: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "book"],
        cwd=project,
        env=readers[reader],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CELLS)} passed" in done.stdout


def test_a_kernel_of_the_readers_own_shows_the_same(
    readers: dict[str, dict[str, str]],
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As JupyterLab starts it: the file installed in this environment must do."""
    monkeypatch.setattr(notebooks, "kernel_environment", dict)
    notebook = new_notebook()
    notebooks.execute(notebook, tmp_path, readers[READERS[0]])
    notebooks.canonical(notebook)
    expected = nbformat.read(project / "book" / "page.ipynb", as_version=4)
    shown = [cell.outputs for cell in notebook.cells]
    assert "True" in shown[2][0].text  # the reader's own startup files do run
    assert "['tensorflow', None]" in shown[2][0].text
    assert [shown[1], shown[3]] == [expected.cells[n].outputs for n in (1, 3)]


def test_the_installed_configuration_is_this_one() -> None:
    """Else: make test, or pip install --no-deps --no-build-isolation -e ."""
    name = "ipython_kernel_config.py"
    installed = Path(sys.prefix, "etc", "ipython", name).read_bytes()
    assert installed == (ROOT / "tools" / name).read_bytes()


def test_what_says_where_files_are_is_kept() -> None:
    kept = {
        "BOOK_SEED": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "HOME": "/home/a",
        "KERAS_HOME": "/data/keras",
        "MPLCONFIGDIR": "/data/matplotlib",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_XLA_FLAGS": "--a_flag",
    }
    found = kernels.kernel_environment(kept | SETTINGS | {"OMP_NUM_THREADS": ""})
    assert kept.items() <= found.items()
    assert not {"MPLBACKEND", "PYTHONSAFEPATH", "OMP_NUM_THREADS"} & found.keys()
    folder = Path(found["IPYTHONDIR"])
    assert folder.is_dir() and not folder.is_relative_to(ROOT)


def test_notices_of_a_new_machine_reach_no_cell_and_others_do(tmp_path: Path) -> None:
    """The words are those of the installed packages, which may change them."""
    notices = {
        "matplotlib": "Matplotlib created a temporary cache directory at %s",
        "matplotlib.font_manager": "Matplotlib is building the font cache; this may",
    }
    import matplotlib.font_manager

    sources = [Path(matplotlib.__file__), Path(matplotlib.font_manager.__file__)]
    code = "import logging\n"
    for source, (name, notice) in zip(sources, notices.items(), strict=True):
        assert notice in source.read_text(encoding="utf-8")
        code += f"logging.getLogger({name!r}).warning({notice!r})\n"
        code += f"logging.getLogger({name!r}).warning('{name} is wrong')\n"
    notebook = v4.new_notebook(cells=[v4.new_code_cell(code)])
    notebooks.execute(notebook, tmp_path, os.environ)
    notebooks.canonical(notebook)
    ((output,),) = (cell.outputs for cell in notebook.cells)
    assert output.text == "".join(f"{name} is wrong\n" for name in notices)


def test_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(kernels)
    assert results.attempted > 0 and results.failed == 0
