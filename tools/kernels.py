"""Keep the settings of this machine out of the kernels that the project starts.

What a notebook shows must not depend on who runs it. Some settings take effect
before a kernel has read `ipython_kernel_config.py`, which sees to the rest:
profiles and startup files of IPython, and variables that Python itself reads.
"""

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Mapping

FOREIGN = ("IPYTHON", "KERAS_", "MATPLOTLIB", "MPL", "PYTHON", "XLA_")
KEPT = {  # they say where files are, not what a notebook shows
    "KERAS_HOME",
    "MPLCONFIGDIR",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
}
HIDES_GPUS = "CUDA_VISIBLE_DEVICES"  # the one variable that says something if empty


def kernel_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment that a kernel is to be started with.

    It is `environ` without the variables that change what Python, IPython,
    Matplotlib, Keras or XLA do, and without those that are set to
    nothing, which many programs take for a folder of that name. To let
    kernels inherit it, put it in the place of the old environment::

        environment = kernel_environment(os.environ)
        os.environ.clear()
        os.environ.update(environment)

    Args:
        environ: the environment of this process.

    Example:
        >>> sorted(kernel_environment({"HOME": "/home/a", "MPLBACKEND": "Agg"}))
        ['HOME', 'IPYTHONDIR', 'KERAS_BACKEND', 'MATPLOTLIBRC', 'PYTHONUTF8']
    """
    kept = {
        name: value
        for name, value in environ.items()
        if (value or name == HIDES_GPUS)
        and (name in KEPT or not name.startswith(FOREIGN))
    }
    return kept | {
        "IPYTHONDIR": _empty_folder(),
        "KERAS_BACKEND": "tensorflow",
        "MATPLOTLIBRC": os.devnull,  # an empty file: Matplotlib's own defaults
        "PYTHONUTF8": "1",
    }


@functools.cache
def _empty_folder() -> str:
    """Return a folder for IPython's files that lasts as long as this process."""
    folder = tempfile.mkdtemp(prefix="book-ipython-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
