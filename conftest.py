"""What every run of pytest needs, wherever in the project it is started."""

import os
from pathlib import Path

import pytest

from tools.kernels import kernel_environment


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep this machine's settings out of kernels; find nbval's file from any folder.

    The file says what is not compared.
    """
    environment = kernel_environment(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    named = config.getoption("nbval_sanitize_with", None)
    if named and not Path(named).is_file():
        config.option.nbval_sanitize_with = str(config.rootpath / named)
