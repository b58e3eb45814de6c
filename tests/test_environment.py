"""The environment of the Makefile: when it is made, and what it leaves alone.

A project of one package and a lock of one wheel stand in for the book and its two
gigabytes, so nothing is fetched.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from helpers.paths import ROOT
from tools import environment

# Builds the project without a package from outside: in the way of hatchling, a link
# to the project's folder.
BACKEND = """
import pathlib, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "helpers-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        wheel.writestr("_helpers.pth", str(pathlib.Path.cwd()))
        about = "Metadata-Version: 2.1\\nName: helpers\\nVersion: 1\\n"
        wheel.writestr("helpers-1.dist-info/METADATA", about)
        wheel.writestr("helpers-1.dist-info/WHEEL", "Wheel-Version: 1.0\\n")
        wheel.writestr("helpers-1.dist-info/RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "helpers"
version = "1"
"""


def write_wheel(folder: Path, name: str) -> str:
    """Write the wheel of a package that holds one empty module; return its pin."""
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
        wheel.writestr(f"{name}-1.dist-info/METADATA", about)
        wheel.writestr(f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        wheel.writestr(f"{name}-1.dist-info/RECORD", "")
    code = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}==1 \\\n    --hash=sha256:{code}\n"


def make_project(top: Path) -> Path:
    """Return the folder of a tiny project, with a space and an umlaut in its name."""
    root = top / "Köln Buch"
    for folder in ("tools", "helpers", "wheels"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "environment.py", root / "tools")
    (root / "helpers" / "__init__.py").touch()
    (root / "backend.py").write_text(BACKEND, encoding="utf-8")
    (root / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    pins = write_wheel(root / "wheels", "tiny") + write_wheel(root / "wheels", "small")
    (root / "requirements.lock").write_text(pins, encoding="utf-8")
    return root


def environ(root: Path) -> dict[str, str]:
    """Return environment variables that send pip to the wheels and nowhere else."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
    wheels = (root / "wheels").as_uri()  # pip takes a space for the end of a path
    return {**kept, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels}


def start(root: Path, **variables: str) -> subprocess.Popen[str]:
    """Start a set-up of the project's environment."""
    return subprocess.Popen(
        [sys.executable, str(root / "tools" / "environment.py")],
        env={**environ(root), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(root: Path, **variables: str) -> str:
    """Set up the project's environment; return what was printed."""
    process = start(root, **variables)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return printed


def state(root: Path) -> str:
    """Return "ready", or what is to be installed: "the project" or "all"."""
    venv = root / ".venv"
    wanted, stamp = environment.recipe(root, venv, False), environment.stamp_of(venv)
    if stamp == wanted:
        return "ready"
    return "the project" if (stamp or {}) == {**wanted, "project": ""} else "all"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose environment was made in spite of foreign settings.

    They are variables of Python and of pip and a file of pip's settings; each of
    them alone would stop a plain `pip install`, or lead it elsewhere.
    """
    top = tmp_path_factory.mktemp("environment")
    root = make_project(top)
    astray = top / "astray"
    (astray / "pip").mkdir(parents=True)
    (astray / "pip" / "__init__.py").write_text("raise SystemExit('not this pip')")
    settings = f"[install]\ntarget = {astray}\nrequire-hashes = true\n"
    (top / ".config" / "pip").mkdir(parents=True)
    (top / ".config" / "pip" / "pip.conf").write_text(settings, encoding="utf-8")
    run(
        root,
        PIP_USER="1",
        PIP_PREFIX=str(astray),
        PIP_CONSTRAINT=str(top / "nowhere.txt"),
        PIP_REQUIRE_VIRTUALENV="1",
        HOME=str(top),
        XDG_CONFIG_HOME=str(top / ".config"),
        PYTHONPATH=str(astray),
    )
    assert sorted(path.name for path in astray.iterdir()) == ["pip"]
    return root


def test_foreign_settings_do_not_lead_an_installation_astray(made: Path) -> None:
    """Both packages of the lock and the project are where they belong."""
    python = made / ".venv" / "bin" / "python"
    code = "import helpers, small, tiny; print(small.__file__)"
    done = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(made / ".venv")
    assert state(made) == "ready"


def test_the_environment_starts_in_a_locale_that_does_not_know_its_path(
    made: Path,
) -> None:
    """The link to the project holds no absolute path."""
    (link,) = made.glob(".venv/lib/python*/site-packages/_helpers.pth")
    assert link.read_bytes() == b"../../../..\n"
    done = subprocess.run(
        [made / ".venv" / "bin" / "python", "-c", "import helpers; print('works')"],
        env={"LC_ALL": "C"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("works\n", "")


def test_only_contents_make_an_environment_out_of_date(made: Path) -> None:
    """Not times, another spelling of the path, nor settings of other tools."""
    stranger = made / ".venv" / "stranger"  # a set-up would remove it
    stranger.touch()
    link = made.parent / "link"
    link.symlink_to(made)
    for name in ("pyproject.toml", "requirements.lock", "tools/environment.py"):
        os.utime(made / name)
    with (made / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("[tool.ruff]\nline-length = 88\n")
    assert state(made) == state(link) == "ready"
    assert run(made) == run(link) == ""
    assert stranger.exists()


def test_a_change_of_the_project_installs_the_project_alone(made: Path) -> None:
    """Two gigabytes stay where they are."""
    stranger = made / ".venv" / "stranger"
    stranger.touch()
    settings = (made / "pyproject.toml").read_text(encoding="utf-8")
    settings = settings.replace('version = "1"', 'version = "1.0"')
    (made / "pyproject.toml").write_text(settings, encoding="utf-8")
    assert state(made) != "ready"
    assert run(made) == ""
    assert state(made) == "ready"
    assert stranger.exists()


def test_what_an_environment_was_made_from_decides(tmp_path: Path) -> None:
    """A new lock, another place or another Python makes it anew."""
    root = make_project(tmp_path)
    venv = root / ".venv"
    venv.mkdir()
    made_from = environment.recipe(root, venv, False)
    assert set(made_from) == {"python", "place", "packages", "project"}
    environment.write_stamp(venv, made_from)
    assert state(root) == "ready"
    for key in ("python", "place", "packages"):
        environment.write_stamp(venv, {**made_from, key: "another"})
        assert state(root) == "all", key
    environment.write_stamp(venv, {**made_from, "project": ""})
    assert state(root) == "the project"
    environment.write_stamp(venv, made_from)
    copy = root.rename(tmp_path / "moved")
    assert state(copy) == "all"


@pytest.mark.parametrize("cut", ["", "{", '{"python": "3.1', "[]", "null"])
def test_a_stamp_that_was_cut_is_no_stamp(tmp_path: Path, cut: str) -> None:
    """A machine that stops while it is written leaves such a one."""
    (tmp_path / environment.STAMP).write_text(cut, encoding="utf-8")
    assert environment.stamp_of(tmp_path) == {}


def test_a_killed_set_up_is_begun_again_and_two_at_once_do_no_harm(
    tmp_path: Path,
) -> None:
    """Killed while pip works: pip goes on for a while, and the next run waits."""
    root = make_project(tmp_path)
    with start(root) as first:
        while not (root / ".venv" / "bin" / "python").exists():
            assert first.poll() is None, first.communicate()
            time.sleep(0.01)
        first.kill()
    assert environment.stamp_of(root / ".venv") == {}
    both = [start(root), start(root)]
    printed = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    assert sorted(map(len, printed))[0] == 0, "one of them found it ready"
    assert state(root) == "ready"
    assert (root / "requirements.lock").read_text(encoding="utf-8") == (
        root / ".venv" / "requirements.lock"
    ).read_text(encoding="utf-8")


def test_a_failed_installation_is_not_taken_for_a_finished_one(tmp_path: Path) -> None:
    """A lock without hashes is refused: nobody could tell what was installed."""
    root = make_project(tmp_path)
    (root / "requirements.lock").write_text("tiny==1\nsmall==1\n", encoding="utf-8")
    process = start(root)
    printed, _ = process.communicate()
    assert process.returncode == 1
    assert "Hashes are required" in printed
    assert printed.endswith("is not finished; the next run begins it again.\n")
    assert environment.stamp_of(root / ".venv") == {}


@pytest.mark.parametrize("kind", ["a venv", "a folder", "a file", "a dead link"])
def test_what_somebody_else_made_is_left_alone(tmp_path: Path, kind: str) -> None:
    """One error says what was found and what to do."""
    root = make_project(tmp_path)
    venv = root / ".venv"
    if kind in ("a venv", "a folder"):
        venv.mkdir()
        name = "pyvenv.cfg" if kind == "a venv" else "thesis.txt"
        (venv / name).write_text("mine", encoding="utf-8")
    elif kind == "a file":
        venv.write_text("mine", encoding="utf-8")
    else:
        venv.symlink_to(tmp_path / "nowhere")
    before = sorted(root.rglob("*"))
    process = start(root)
    printed, _ = process.communicate()
    assert process.returncode == 1
    assert len(printed.splitlines()) == 1
    for part in (str(venv), "did not make", "VENV="):
        assert part in printed
    assert sorted(root.rglob("*")) == before


def test_an_environment_that_is_a_link_is_filled_and_stays_a_link(
    tmp_path: Path,
) -> None:
    """Emptied is what the link points to; other links in it are not followed."""
    place, kept = tmp_path / "place", tmp_path / "kept"
    for folder in (place, kept):
        folder.mkdir()
    (kept / "thesis.txt").touch()
    (place / "link").symlink_to(kept)
    (place / "folder").mkdir()
    venv = tmp_path / ".venv"
    venv.symlink_to(place)
    environment.clear(venv)
    assert venv.is_symlink()
    assert [path.name for path in place.iterdir()] == [environment.STAMP]
    assert (kept / "thesis.txt").exists()


def test_a_python_without_tensorflow_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message says which ones there are, as `pyproject.toml` allows them."""
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    with pytest.raises(environment.SetUpError, match=r"3\.14 was found.*PYTHON="):
        environment.check_python()
    needed = environment.project(ROOT)["project"]["requires-python"]
    first, last = environment.PYTHONS[0], environment.PYTHONS[-1]
    assert needed == f">={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}"


def test_lint_installs_what_it_needs_from_the_same_lock() -> None:
    """Each part with its hashes, and no TensorFlow."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    part = environment.packages(lock, environment.LINT)
    pins = [line for line in part.splitlines() if "==" in line]
    assert sorted(pin.split("==")[0] for pin in pins) == sorted(environment.LINT)
    assert part.count("--hash=sha256:") >= len(pins)
    assert all(line in lock.splitlines() for line in part.splitlines())
    assert environment.packages(lock, []) == lock
    with pytest.raises(environment.SetUpError, match="does not hold black"):
        environment.packages(lock, ["black", "ruff"])


def test_compiled_code_is_dropped_on_another_processor(tmp_path: Path) -> None:
    """On the same one it stays."""
    compiled = tmp_path / "xla" / "part.pb"
    environment.check_compiled(tmp_path)
    compiled.touch()
    environment.check_compiled(tmp_path)
    assert compiled.exists()
    (tmp_path / "xla" / "processor.txt").write_text("another", encoding="utf-8")
    environment.check_compiled(tmp_path)
    assert not compiled.exists()


def test_binder_installs_what_readers_need_and_no_more() -> None:
    """By the very command of `binder/postBuild`, from the one list of pins."""
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK)
    (command,) = re.findall(r"^sed .*(?= \|$)", script.read_text("utf-8"), re.M)
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    pins = re.findall(r"^([\w-]+)==", done.stdout, re.MULTILINE)
    assert {"keras", "numpy", "matplotlib", "jupyterlab", "hatchling"} <= set(pins)
    assert not {"playwright", "pytest", "ruff", "jupyter-book"} & set(pins)
    everything = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "\nplaywright==" in everything


# --- What git does to the project's files -----------------------------------------


def git(folder: Path, *arguments: str) -> bytes:
    """Run git, with nothing of the reader's own settings but `folder/config`."""
    settings = {"GIT_CONFIG_GLOBAL": str(folder / "config"), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        check=True,
    )
    return done.stdout


def test_git_stores_notebooks_whole_and_text_with_one_kind_of_line_end(
    tmp_path: Path,
) -> None:
    """Under a filter that drops outputs, and where Windows' line ends are asked for."""
    (tmp_path / "config").write_text(
        f'[core]\nautocrlf = true\nattributesFile = "{tmp_path}/all"\n'
        '[filter "strip"]\nclean = sed /output/d\nsmudge = cat\n',
        encoding="utf-8",
    )
    (tmp_path / "all").write_text("*.ipynb filter=strip\n", encoding="utf-8")
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    notebook = json.dumps({"cells": [{"output": "seen"}]}, indent=1) + "\n"
    files = {
        "page.ipynb": notebook.encode(),
        "run": b"#!/usr/bin/env bash\n",
        "weights.npz": b"PK\r\n\x00\n",
    }
    git(tmp_path, "init", "-q")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        git(tmp_path, "add", name)
        assert git(tmp_path, "show", f":{name}") == content, name
        (tmp_path / name).unlink()
    git(tmp_path, "checkout", "--", *files)
    for name, content in files.items():
        assert (tmp_path / name).read_bytes() == content, name


@pytest.mark.parametrize("name", [".venv", ".venv-lint", ".venv-book"])
def test_git_ignores_an_environment_and_a_link_to_one(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "config").touch()
    git(tmp_path, "init", "-q")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    seen = git(tmp_path, "status", "--porcelain", "--untracked-files=all").decode()
    assert name not in seen
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    (tmp_path / name / "pyvenv.cfg").touch()
    seen = git(tmp_path, "status", "--porcelain", "--untracked-files=all").decode()
    assert name not in seen
