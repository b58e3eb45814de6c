"""The UCI digits, brought to MNIST's form."""

from itertools import pairwise

import numpy as np

from helpers.data.splits import DIGIT_NAMES, ImageData, Split, centred, check_packaged

_SHA256 = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"

# The images come form after form: 14 forms, filled in one after another, each with
# the same 130 digits to copy, of which a few were lost. `test_uci.py` finds the
# forms again from the labels.
_VALIDATION_START = 906  # the first image of form 8
_TEST_START = 1157  # the first image of form 10


def load_digits() -> ImageData:
    """Load the UCI digits: other writers, other paper, brought to MNIST's form.

    The 1,797 images of 8 x 8 come form after form, so they are split by
    position and never at random: forms 1-7 for training, 8-9 for validation,
    10-14 for test. No form is in two parts; the
    documentation counts 13 writers, so somebody may have filled in two forms.

    As MNIST's were, the images are enlarged to 20 x 20 pixels, here by bilinear
    interpolation, and moved to their centre of mass.

    Returns:
        906 / 251 / 640 images for training, validation and test; at least 90
        training images of each digit. The tier is always "full".

    Raises:
        DataError: scikit-learn ships other images than the book expects.

    Source:
        Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits,
        UCI Machine Learning Repository; scikit-learn's copy of its test part.

    Example:
        >>> load_digits().train.x.shape
        (906, 28, 28)
    """
    from scipy import ndimage
    from sklearn import datasets

    bunch = datasets.load_digits()
    images = bunch.images.astype(np.uint8)  # (1797, 8, 8), 0 to 16
    check_packaged("scikit-learn's digits", images, _SHA256)
    # Grid mode: pixels are squares, and an image ends at the edges of its pixels.
    boxes = ndimage.zoom(
        images / 16, (1, 2.5, 2.5), order=1, mode="nearest", grid_mode=True
    )
    x, y = centred(boxes), bunch.target.astype(np.int64)
    bounds = (0, _VALIDATION_START, _TEST_START, len(y))
    train, validation, test = (
        Split(x[start:stop], y[start:stop]) for start, stop in pairwise(bounds)
    )
    return ImageData("UCI digits", train, validation, test, DIGIT_NAMES, "full")
