"""Every domain of the book, loaded once for all tests of a run."""

import os

import pytest

from helpers import data

DOMAINS = ("mnist", "sample", "digits", "typed_digits", "typed_letters")


@pytest.fixture(scope="session")
def mnist() -> data.ImageData:
    """All of MNIST, through the loader that readers use."""
    if not os.environ.get("BOOK_DATA_DIR"):
        pytest.skip("needs all of MNIST: BOOK_DATA_DIR is not set")
    return data.load_mnist("full")


@pytest.fixture(scope="session")
def sample() -> data.ImageData:
    """The offline sample of MNIST."""
    return data.load_mnist("sample")


@pytest.fixture(scope="session")
def digits() -> data.ImageData:
    """The UCI digits."""
    return data.load_digits()


@pytest.fixture(scope="session")
def typed_digits() -> data.ImageData:
    """Typed 0 to 9."""
    return data.load_glyphs("digits")


@pytest.fixture(scope="session")
def typed_letters() -> data.ImageData:
    """Typed A to J."""
    return data.load_glyphs("letters")


@pytest.fixture(params=DOMAINS)
def domain(request: pytest.FixtureRequest) -> data.ImageData:
    """Every domain and tier in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["typed_digits", "typed_letters"])
def typed(request: pytest.FixtureRequest) -> data.ImageData:
    """Typed digits, then typed letters."""
    return request.getfixturevalue(request.param)
