"""The small package that every notebook of the book imports.

Six modules, each with one job: `data`, `models`, `training`, `transfer`,
`plots` and `claims`. Import the modules and keep the calls qualified::

    from helpers import claims, data, plots

Importing `helpers` or any of its modules does not import TensorFlow: the
functions that need it import it when they are called.
"""
