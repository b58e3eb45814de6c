"""The book's images: where they come from and how they are split and checked.

Every loader returns an `ImageData`: images of 28 x 28 pixels, float32 in
[0, 1], white ink on black as in MNIST, in fixed, disjoint parts. Arrays are
checked by the SHA-256 of their bytes and nothing is ever unpickled. `corrupt`
makes shifted domains of them: noise, blur and more, in five severities.

One module a domain: `mnist`, `uci`, `glyphs`, `corruptions`; `splits` has what
they share, label budgets among it. Use the names from here::

    from helpers import data

    few = data.draw(data.load_digits().train, per_class=5, seed=0)
"""

from helpers.data.corruptions import CORRUPTIONS, corrupt
from helpers.data.glyphs import load_glyphs
from helpers.data.mnist import MNIST_SHA256, load_mnist
from helpers.data.splits import (
    IMAGE_SIZE,
    DataError,
    ImageData,
    Split,
    count_shared,
    draw,
    halved,
    label_budget,
    select_labels,
    sha256,
)
from helpers.data.uci import load_digits

__all__ = [
    "CORRUPTIONS",
    "IMAGE_SIZE",
    "MNIST_SHA256",
    "DataError",
    "ImageData",
    "Split",
    "corrupt",
    "count_shared",
    "draw",
    "halved",
    "label_budget",
    "load_digits",
    "load_glyphs",
    "load_mnist",
    "select_labels",
    "sha256",
]
