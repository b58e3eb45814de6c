"""Make the environment that the Makefile's targets run in, unless it is there.

    python tools/environment.py .venv             all of requirements.lock, and helpers
    python tools/environment.py --lint .venv-lint  what `make lint` needs, no more

A stamp inside the environment says what it was made from. While that is still so,
nothing happens: contents count, not times, nor how a path is spelled. An environment
with a stamp is made anew when it is out of date or was not finished; a folder without
one belongs to somebody else, and is left alone.

This runs before anything is installed, so it uses the standard library only.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STAMP = "book-environment.json"
PYTHONS = [(3, 11), (3, 12), (3, 13)]
# What `make lint` runs, what that needs, and NumPy, whose types mypy reads.
LINT = ["ruff", "mypy", "numpy"]
LINT += ["ast-serialize", "librt", "mypy-extensions", "pathspec", "typing-extensions"]
# Of a reader's settings of pip these are kept: where packages come from. Any other
# (user, target, constraint, ...) would put something else, or put it elsewhere.
PIP_SETTINGS = {
    "cache-dir",
    "cert",
    "client-cert",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "keyring-provider",
    "no-cache-dir",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
}


class SetUpError(Exception):
    """The environment cannot be made; the message says what to do."""


def digest(value: object) -> str:
    """Return the SHA-256 of a value, by its JSON."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def packages(lock: str, names: list[str]) -> str:
    """Return the parts of a lock file that pin some packages, with their hashes.

    Args:
        lock: the text of `requirements.lock`.
        names: the packages that are wanted; all, if there are none.

    Raises:
        SetUpError: a package is not in the lock.
    """
    entries = re.findall(r"^[^\s#].*\n(?:[ \t]+.*\n)*", lock, re.MULTILINE)
    pinned = [(entry.split("==")[0], entry) for entry in entries]
    if missing := sorted(set(names) - {name for name, _ in pinned}):
        raise SetUpError(
            f"requirements.lock does not hold {', '.join(missing)}. Add it to "
            "requirements.txt and run: make lock"
        )
    return "".join(entry for name, entry in pinned if not names or name in names)


def project(root: Path) -> dict[str, Any]:
    """Return what an installation of the project is made from.

    These are the tables of `pyproject.toml` that packaging reads, and the files that
    are copied into the environment.
    """
    import tomllib  # only now: an older Python gets the message of `check_python`

    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    hatch = settings.get("tool", {}).get("hatch", {})
    wheel = hatch.get("build", {}).get("targets", {}).get("wheel", {})
    return {
        "build-system": settings["build-system"],
        "project": settings["project"],
        "hatch": hatch,
        "copied": {
            name: (root / name).read_text(encoding="utf-8")
            for name in wheel.get("shared-data", {})
        },
    }


def recipe(root: Path, venv: Path, lint: bool) -> dict[str, str]:
    """Return what an environment is to be made from, as its stamp holds it.

    Args:
        root: the top folder of the project.
        venv: the environment's folder. Its own place counts: an environment does
            not survive being moved or copied.
        lint: whether it is the small one, without the project.
    """
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    return {
        "python": "{}.{}".format(*sys.version_info),
        "place": os.path.realpath(venv),
        "packages": digest(packages(lock, LINT if lint else [])),
        "project": "" if lint else digest(project(root)),
    }


def stamp_of(venv: Path) -> dict[str, str] | None:
    """Return what an environment says that it was made from.

    Returns:
        The stamp; an empty one of an environment that was not finished; None if the
        folder is not there or empty, and so may be used.

    Raises:
        SetUpError: somebody else made this.
    """
    if not os.path.lexists(venv):
        return None
    if (venv / STAMP).is_file():
        try:
            return dict(json.loads((venv / STAMP).read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            return {}
    if venv.is_dir() and not any(venv.iterdir()):
        return None
    kind = "virtual environment" if (venv / "pyvenv.cfg").exists() else "folder or file"
    raise SetUpError(
        f"{venv} is a {kind} that this project did not make (it has no {STAMP}), so it "
        "stays as it is. Remove it yourself if nobody needs it, or name another one: "
        "make VENV=.venv-book, with the target that you want."
    )


def write_stamp(venv: Path, stamp: dict[str, str]) -> None:
    """Note in an environment what it has been made from so far."""
    (venv / STAMP).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")


def clear(venv: Path) -> None:
    """Empty the folder of an environment but for its stamp, which says nothing now.

    The folder itself stays: it may be a link. The stamp stays for the next run, in
    case that this one is stopped.
    """
    venv.mkdir(parents=True, exist_ok=True)
    write_stamp(venv, {})
    for path in venv.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != STAMP:
            path.unlink()


def clean_environ() -> dict[str, str]:
    """Return the environment variables, without those that steer Python or pip."""
    foreign = ("PIP_", "PYTHON")
    return {k: v for k, v in os.environ.items() if not k.startswith(foreign)}


def pip_settings(python: Path) -> dict[str, str]:
    """Return where the reader's pip takes packages from, as environment variables.

    Args:
        python: an interpreter that has pip.
    """
    command = [str(python), "-I", "-m", "pip", "config", "list"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.*)$", done.stdout, re.M)
    kept = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for section in ("global", "install", ":env:"):  # the later one wins, as in pip
        for where, key, value in found:
            if where == section and key in PIP_SETTINGS:
                kept[f"PIP_{key.upper().replace('-', '_')}"] = ast.literal_eval(value)
    return kept


def install(venv: Path, lock: int, *arguments: str) -> None:
    """Run `pip install` in an environment.

    Args:
        venv: the environment.
        lock: the file descriptor of the lock; pip holds it too, so that a run after
            a killed one waits until pip has ended as well.
        *arguments: what to install.
    """
    python = venv / "bin" / "python"
    subprocess.run(
        [python, "-I", "-m", "pip", "install", "--quiet", *arguments],
        env=clean_environ() | pip_settings(python),
        pass_fds=[lock],
        check=True,
    )


def install_packages(venv: Path, lock: int, pinned: str) -> None:
    """Fill an empty environment with the packages of a lock file, by their hashes."""
    # Not sys.executable: that may be the Python of the environment just emptied.
    base = getattr(sys, "_base_executable", sys.executable)
    command = [base, "-I", "-m", "venv", str(venv)]
    subprocess.run(command, env=clean_environ(), pass_fds=[lock], check=True)
    (venv / "requirements.lock").write_text(pinned, encoding="utf-8")
    file = str(venv / "requirements.lock")
    install(venv, lock, "--require-hashes", "-r", file)


def install_project(root: Path, venv: Path, lock: int) -> None:
    """Install the project as it lies there, by a path relative to the environment.

    An absolute path with a letter that the reader's locale does not know would keep
    Python 3.11 and 3.12 from starting.
    """
    install(venv, lock, "--no-deps", "--no-build-isolation", "-e", str(root))
    if root in venv.parents:
        name = project(root)["project"]["name"]
        (link,) = venv.glob(f"lib/python*/site-packages/_{name}.pth")
        path = os.path.relpath(root, link.parent)
        link.write_text(f"{path}\n", encoding="utf-8")


def processor() -> str:
    """Return what tells this machine's processor from another kind."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    lines = re.findall(r"^(?:model name|flags|Features)\s*:.*$", text, re.MULTILINE)
    return "\n".join(sorted(set(lines)))


def check_compiled(venv: Path) -> None:
    """Empty the folder of what XLA has compiled, if that was on another processor.

    XLA takes what it finds there without asking, and code for another processor may
    stop with an illegal instruction. Caches of CI carry environments about.
    """
    mark = venv / "xla" / "processor.txt"
    if not mark.exists() or mark.read_text(encoding="utf-8") != processor():
        shutil.rmtree(mark.parent, ignore_errors=True)
        mark.parent.mkdir()
        mark.write_text(processor(), encoding="utf-8")


def set_up(root: Path, venv: Path, lint: bool, lock: int) -> None:
    """Bring an environment to what its recipe says, doing as little as that takes.

    Args:
        root: the top folder of the project.
        venv: the environment's folder.
        lint: whether to make the small one, without the project.
        lock: the file descriptor of the lock, for pip.

    Raises:
        SetUpError: the folder belongs to somebody else.
        subprocess.CalledProcessError: an installation failed, and has said why.
    """
    wanted, stamp = recipe(root, venv, lint), stamp_of(venv)
    if not (venv / "bin" / "python").exists():
        stamp = {}  # made by a Python that has gone since
    if stamp == wanted:
        return
    begun = wanted | {"project": ""}
    if (stamp or {}) | {"project": ""} != begun:
        print(f"Setting up {venv}, once", flush=True)
        clear(venv)
        text = (root / "requirements.lock").read_text(encoding="utf-8")
        install_packages(venv, lock, packages(text, LINT if lint else []))
    write_stamp(venv, begun)
    if not lint:
        install_project(root, venv, lock)
    write_stamp(venv, wanted)


def check_python() -> None:
    """Refuse a Python that TensorFlow has no wheels for.

    Raises:
        SetUpError: this is such a Python.
    """
    version = sys.version_info[:2]
    if version not in PYTHONS:
        raise SetUpError(
            "Python {}.{} was found; TensorFlow needs 3.11, 3.12 or 3.13. Install one "
            "and name it: make PYTHON=python3.13".format(*version)
        )


def main() -> None:
    """Make the environment that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("venv", nargs="?", type=Path, help="its folder; default: .venv")
    parser.add_argument("--lint", action="store_true", help="only what lint needs")
    arguments = parser.parse_args()
    venv = (arguments.venv or ROOT / ".venv").absolute()
    venv = venv.parent.resolve() / venv.name  # a link to an environment stays a link
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        check_python()
        fcntl.flock(lock, fcntl.LOCK_EX)  # two targets at once: one after the other
        set_up(ROOT, venv, arguments.lint, lock)
        if not arguments.lint:
            check_compiled(venv)
    except SetUpError as error:
        sys.exit(str(error))
    except (subprocess.CalledProcessError, KeyboardInterrupt):
        sys.exit(f"{venv} is not finished; the next run begins it again.")


if __name__ == "__main__":
    main()
