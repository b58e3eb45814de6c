"""The package that every notebook of the book imports.

One module, one noun: `data` (images, splits, label budgets), `models` (the
architectures), `checkpoints` (trained source models), `training` (seeds and
loops), `sweeps` (many trainings, strategies and choices), `measures` (accuracy,
distances), `claims` (findings, evidence and checks), `plots` and `pages`.
Import the modules and keep the calls qualified::

    from helpers import claims, data, plots

Importing `helpers` or any of its modules does not import TensorFlow: the
functions that need it import it when they are called.
"""

from helpers.keras_settings import check_settings

check_settings()
