"""What every run of pytest needs, wherever in the project it is started."""

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Find nbval's file of what is not compared from any folder."""
    named = config.getoption("nbval_sanitize_with", None)
    if named and not Path(named).is_file():
        config.option.nbval_sanitize_with = str(config.rootpath / named)
