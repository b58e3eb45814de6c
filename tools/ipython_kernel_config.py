# Settings of every kernel that runs from this environment, installed with the
# package `helpers` (pyproject.toml).
import logging
import os

# The matrices of the NumPy chapters are small: a second thread only waits, and
# where two notebooks share two cores the waiting takes ten times the work's time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# TensorFlow's notices about the machine go to the terminal and never into a
# notebook, whoever runs it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
c.IPKernelApp.capture_fd_output = False  # noqa: F821 (IPython defines c)

# Keras traces anew for the shorter last call of an epoch; TensorFlow counts
# these, and prints a notice about them in whichever cell is running.
logging.getLogger("tensorflow").addFilter(
    lambda record: "tf.function retracing" not in record.getMessage()
)
