"""Convolution of one-hot labels against its slow twin."""

import numpy as np
import pytest

import reference
from spineps_rt.errors import ContractError
from spineps_rt.kernels.one_hot import convolve, prepare


def layer(kernel, channels=4, features=3):
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(features, channels, *kernel)).astype(np.float32)
    return weights, rng.normal(size=features).astype(np.float32)


@pytest.mark.parametrize("kernel", [(7, 7, 7), (1, 3, 5), (1, 1, 1)])
@pytest.mark.parametrize("shape", [(9, 8, 10), (2, 3, 1), (1, 1, 1)])
def test_answer_equals_the_twin(kernel, shape):
    weights, bias = layer(kernel)
    labels = np.random.default_rng(6).integers(0, 6, shape, dtype=np.uint8)  # 4 and 5 count as background
    labels[: shape[0] // 2] = 0
    found = convolve(labels, prepare(weights, bias, shape))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference.convolve_one_hot(labels, weights, bias), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("label", [0, 3])
def test_a_map_of_one_label_and_any_memory_order(label):
    weights, bias = layer((3, 3, 3))
    labels = np.full((4, 5, 6), label, np.uint8).transpose(2, 0, 1)
    found = convolve(labels, prepare(weights, bias, labels.shape))
    np.testing.assert_allclose(found, reference.convolve_one_hot(labels, weights, bias), rtol=1e-5, atol=1e-4)


def test_threads_share_the_rows_without_a_seam():
    shape = (32, 256, 64)  # enough voxels for several slabs
    weights, bias = layer((3, 3, 3))
    labels = np.zeros(shape, np.uint8)
    labels[15:17, 100:103, 20:23] = np.random.default_rng(7).integers(0, 4, (2, 3, 3))
    part = slice(12, 20), slice(95, 108), slice(15, 28)
    found = convolve(labels, prepare(weights, bias, shape))[part]
    expected = reference.convolve_one_hot(labels[part], weights, bias)
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(found[inner], expected[inner], rtol=1e-5, atol=1e-4)


def test_what_does_not_fit_is_refused():
    weights, bias = layer((3, 3, 3))
    with pytest.raises(ContractError, match="odd kernel"):
        prepare(weights[..., :2], bias, (4, 4, 4))
    prepared = prepare(weights, bias, (4, 4, 4))
    with pytest.raises(ContractError, match=r"uint8 \(4, 4, 5\) came; expected uint8 \(4, 4, 4\)"):
        convolve(np.zeros((4, 4, 5), np.uint8), prepared)
    with pytest.raises(ContractError, match="Labels int64"):
        convolve(np.zeros((4, 4, 4), np.int64), prepared)
