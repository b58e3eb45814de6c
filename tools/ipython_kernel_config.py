# Settings of every kernel that runs from this environment, installed with the
# package `helpers` (pyproject.toml). TensorFlow's notices about the machine go
# to the terminal and never into a notebook, whoever runs it.
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
c.IPKernelApp.capture_fd_output = False  # noqa: F821 (IPython defines c)
