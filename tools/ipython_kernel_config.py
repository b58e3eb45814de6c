# Settings of every kernel that runs from this environment, installed with the
# package `helpers` (pyproject.toml).
import logging
import os

# What a page shows must not depend on its reader's own settings. These stand
# above a profile's `ipython_config.py`, a `matplotlibrc` and a `keras.json`.
# (tools/kernels.py does the same for what takes effect before this file.)
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["MATPLOTLIBRC"] = os.devnull  # an empty file: Matplotlib's own defaults
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
os.environ.pop("XLA_FLAGS", None)  # a flag of another version ends TensorFlow
c.InlineBackend.figure_format = "png"  # noqa: F821 (IPython defines c)
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight"}  # noqa: F821
c.InlineBackend.rc = {}  # noqa: F821
c.InteractiveShell.ast_node_interactivity = "last_expr"  # noqa: F821

# The matrices of the NumPy chapters are small: a second thread only waits, and
# where two notebooks share two cores the waiting takes ten times the work's time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# TensorFlow's notices about the machine go to the terminal and never into a
# notebook, whoever runs it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
c.IPKernelApp.capture_fd_output = False  # noqa: F821

# So do others that come once on a new machine, in whichever cell is running:
# Keras traces anew for the shorter last call of an epoch, and TensorFlow counts
# these; Matplotlib looks for fonts, and for a folder to remember them in.
NOTICES = (
    "tf.function retracing",
    "building the font cache",
    "Could not save font_manager cache",
    "mkdir -p failed",
    "is not a writable directory",
    "created a temporary cache directory",
)
for name in ("tensorflow", "matplotlib", "matplotlib.font_manager"):
    logging.getLogger(name).addFilter(
        lambda record: not any(notice in str(record.msg) for notice in NOTICES)
    )
