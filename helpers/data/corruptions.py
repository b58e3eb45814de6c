"""Corrupted copies of images: shifted domains, in five severities."""

from collections.abc import Callable

import numpy as np

from helpers.data.splits import IMAGE_SIZE, DataError, check_shape

# What the five severities of each corruption mean, from mild to strong.
CORRUPTIONS = {
    "noise": (0.1, 0.2, 0.3, 0.4, 0.5),  # standard deviation of Gaussian noise
    "blur": (0.5, 1.0, 1.5, 2.0, 2.5),  # standard deviation of the filter, pixels
    "shift": (1, 2, 3, 4, 5),  # pixels along a side, or along both (diagonal)
    "rotation": (10, 20, 30, 40, 50),  # degrees, to the left or to the right
    "contrast": (0.75, 0.6, 0.45, 0.3, 0.15),  # factor of all pixels
    "occlusion": (4, 6, 8, 10, 12),  # side of a black square somewhere, pixels
}


def corrupt(images: np.ndarray, kind: str, severity: int, seed: int) -> np.ndarray:
    """Return corrupted copies of images, in the manner of MNIST-C.

    Args:
        images: (n, 28, 28) in [0, 1].
        kind: one of `CORRUPTIONS`.
        severity: 1 (mild) to 5 (strong).
        seed: names the noise, the directions and the places; each image has
            its own.

    Returns:
        (n, 28, 28) float32 in [0, 1]; what a shift or a rotation uncovers is
        black.

    Raises:
        DataError: the kind or the severity is unknown, or the images have
            another shape.

    Source:
        Mu and Gilmer (2019), MNIST-C; Hendrycks and Dietterich (2019). The
        parameters are this book's own.

    Example:
        >>> corrupt(load_digits().test.x, "blur", severity=3, seed=0).shape
        (640, 28, 28)
    """
    if kind not in CORRUPTIONS or severity not in range(1, 6):
        raise DataError(
            f"Received the corruption {kind!r} of severity {severity!r}; expected "
            f"one of {', '.join(CORRUPTIONS)}, and a severity from 1 to 5."
        )
    check_shape(images)
    amount = CORRUPTIONS[kind][severity - 1]
    changed = _CHANGES[kind](images, amount, np.random.default_rng(seed))
    return np.clip(changed, 0, 1).astype(np.float32)


def _noise(images: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    return images + rng.normal(0, spread, images.shape)


def _blur(images: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    from scipy import ndimage

    return ndimage.gaussian_filter(images, (0, width, width))


def _shift(images: np.ndarray, pixels: int, rng: np.random.Generator) -> np.ndarray:
    from scipy import ndimage

    compass = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    ways = pixels * np.array(compass)[rng.integers(0, 8, len(images))]
    pairs = zip(images, ways, strict=True)
    return np.stack([ndimage.shift(image, way, order=0) for image, way in pairs])


def _rotation(images: np.ndarray, degrees: int, rng: np.random.Generator) -> np.ndarray:
    from scipy import ndimage

    angles = degrees * rng.choice([-1, 1], len(images))
    return np.stack(
        [
            ndimage.rotate(image, angle, reshape=False, order=1)
            for image, angle in zip(images, angles, strict=True)
        ]
    )


def _contrast(
    images: np.ndarray, factor: float, rng: np.random.Generator
) -> np.ndarray:
    return images * factor


def _occlusion(images: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    rows, columns = rng.integers(0, IMAGE_SIZE - side + 1, (2, len(images), 1))
    place = np.arange(IMAGE_SIZE)
    down = (place >= rows) & (place < rows + side)  # (n, 28)
    right = (place >= columns) & (place < columns + side)
    return images * ~(down[:, :, None] & right[:, None, :])


_CHANGES: dict[str, Callable[..., np.ndarray]] = {
    "noise": _noise,
    "blur": _blur,
    "shift": _shift,
    "rotation": _rotation,
    "contrast": _contrast,
    "occlusion": _occlusion,
}
