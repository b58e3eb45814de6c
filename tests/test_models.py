"""The networks compute what their formulas say, as NumPy does."""

import numpy as np
import pytest

from helpers import models


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_parameters_are_as_many_as_the_formula_says(classes: int) -> None:
    """A dense layer has (inputs + 1) outputs, a 3 x 3 convolution (9 in + 1) out."""
    dense = 785 * 256 + 257 * 128 + 129 * classes
    convolutional = 10 * 32 + (9 * 32 + 1) * 64 + (5 * 5 * 64 + 1) * 64 + 65 * classes
    normalised = convolutional - 32 - 64 + 4 * 32 + 4 * 64
    classic = 10 * 32 + (9 * 32 + 1) * 32 + (12 * 12 * 32 + 1) * 128 + 129 * classes
    assert models.dense_network(classes).count_params() == dense
    assert models.normalised_network(classes).count_params() == normalised
    assert models.classic_network(classes).count_params() == classic
    assert models.convolutional_network(classes).count_params() == convolutional


def test_docstrings_name_the_number_of_parameters() -> None:
    for build in (
        models.dense_network,
        models.convolutional_network,
        models.normalised_network,
        models.classic_network,
    ):
        assert f"{build().count_params():,} parameters" in build.__doc__


def convolve(
    images: np.ndarray, kernel: np.ndarray, bias: np.ndarray | float, relu: bool = True
) -> np.ndarray:
    patches = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
    maps = np.einsum("nijcab,abcd->nijd", patches, kernel) + bias
    return np.maximum(maps, 0) if relu else maps


def normalise(images: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    scale, shift, mean, variance = weights
    return np.maximum(scale * (images - mean) / np.sqrt(variance + 1e-3) + shift, 0)


def pool(images: np.ndarray) -> np.ndarray:
    n, height, width, channels = images.shape
    even = images[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


@pytest.mark.parametrize("name", ["dense_network", "convolutional_network"])
def test_networks_compute_logits_as_numpy_does(name: str) -> None:
    rng = np.random.default_rng(0)
    model = getattr(models, name)(4)
    model.set_weights([rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
    x = rng.random((3, 28, 28), np.float32)
    weights = [w.astype(float) for w in model.get_weights()]
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    values = x.astype(float)
    while len(layers[0][0].shape) == 4:
        values = pool(convolve(values.reshape(*values.shape[:3], -1), *layers.pop(0)))
    values = values.reshape(3, -1)
    for kernel, bias in layers[:-1]:
        values = np.maximum(values @ kernel + bias, 0)
    expected = values @ layers[-1][0] + layers[-1][1]
    found = model.predict(x, verbose=0)
    assert found.shape == (3, 4)
    assert np.allclose(found, expected, atol=1e-4)
    assert np.ptp(found.sum(axis=1)) > 1e-3  # logits: they do not sum to one


def test_the_normalised_network_uses_its_moving_statistics() -> None:
    """Outside of training the images beside an image do not change its logits."""
    rng = np.random.default_rng(0)
    model = models.normalised_network(4)
    model.set_weights([rng.uniform(0.05, 0.2, w.shape) for w in model.get_weights()])
    x = rng.random((3, 28, 28), np.float32)
    w = [array.astype(float) for array in model.get_weights()]
    first = normalise(convolve(x[..., None], w[0], 0.0, relu=False), w[1:5])
    second = normalise(convolve(pool(first), w[5], 0.0, relu=False), w[6:10])
    hidden = np.maximum(pool(second).reshape(3, -1) @ w[10] + w[11], 0)
    found = model.predict(x, verbose=0)
    assert np.allclose(found, hidden @ w[12] + w[13], rtol=1e-4)
    assert np.allclose(model.predict(x[:1], verbose=0), found[:1], rtol=1e-4)


def test_the_classic_network_computes_logits_as_numpy_does() -> None:
    """Outside of training dropout lets everything pass."""
    rng = np.random.default_rng(0)
    model = models.classic_network()
    model.set_weights([rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
    x = rng.random((2, 28, 28), np.float32)
    w = [array.astype(float) for array in model.get_weights()]
    maps = pool(convolve(convolve(x[..., None], w[0], w[1]), w[2], w[3]))
    hidden = np.maximum(maps.reshape(2, -1) @ w[4] + w[5], 0)
    found = model.predict(x, verbose=0)
    assert np.allclose(found, hidden @ w[6] + w[7], atol=1e-4)
