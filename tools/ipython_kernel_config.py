# Settings of every kernel that runs from this environment, installed with the
# package `helpers` (pyproject.toml). TensorFlow's notices about the machine go
# to the terminal and never into a notebook, whoever runs it.
import logging
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
c.IPKernelApp.capture_fd_output = False  # noqa: F821 (IPython defines c)

# Keras traces anew for the shorter last call of an epoch; TensorFlow counts
# these, and prints a notice about them in whichever cell is running.
logging.getLogger("tensorflow").addFilter(
    lambda record: "tf.function retracing" not in record.getMessage()
)
