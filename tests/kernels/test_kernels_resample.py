"""Resampling against ``scipy.ndimage.affine_transform``."""

import numpy as np
import pytest
from scipy import ndimage

from spineps_rt.errors import ContractError
from spineps_rt.kernels import resample

FLIP = np.diag([-0.7, 1.3, 0.5])
GRIDS = {
    "identity": (np.eye(3), [0, 0, 0]),
    "zoom in": (np.diag([0.4, 0.7, 0.9]), [0.1, 0, -0.4]),
    "zoom out": (np.diag([1.9, 1.2, 2.5]), [0, -0.3, 0.2]),
    "shift": (np.eye(3), [0.25, -2, 1]),
    "flipped": (FLIP, [4, 0, 0]),
    "permuted": (FLIP[[2, 0, 1]], [0, 5, 0]),
    "oblique": (FLIP + 0.07, [4, 0.1, -0.5]),
    "far outside": (np.eye(3), [40, -40, 2]),
    "swapped and singular": (np.array([[0, 0, 1.0], [0, 0, 0.5], [1, 0, 0]]), [0, 0, 0]),
}
SHAPES = {
    "plain": ((6, 5, 4), (4, 5, 6)),
    "one slice": ((1, 5, 4), (3, 3, 1)),
    "one voxel": ((1, 1, 1), (2, 2, 2)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("grid", GRIDS)
def test_cubic_equals_scipy(grid, shape):
    (source, target), (matrix, offset) = SHAPES[shape], GRIDS[grid]
    image = np.random.default_rng(1).normal(size=source).astype(np.float32)
    found = resample.affine_cubic(image, matrix, offset, target)
    expected = ndimage.affine_transform(image, matrix, offset, target, order=3, mode="nearest")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("grid", GRIDS)
def test_nearest_equals_scipy_exactly(grid, dtype):
    matrix, offset = GRIDS[grid]
    labels = np.random.default_rng(2).integers(0, 250, (6, 5, 4)).astype(dtype)
    found = resample.affine_nearest(labels, matrix, offset, (4, 5, 6))
    expected = ndimage.affine_transform(labels, matrix, offset, (4, 5, 6), order=0, mode="nearest")
    assert found.dtype == dtype
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


def test_halves_round_as_scipy_rounds_them():
    labels = np.arange(5, dtype=np.uint8).reshape(5, 1, 1)
    found = resample.affine_nearest(labels, np.diag([0.5, 1, 1]), [0, 0, 0], (9, 1, 1))
    np.testing.assert_array_equal(found[:, 0, 0], [0, 1, 1, 2, 2, 3, 3, 4, 4])


@pytest.mark.parametrize("matrix", [np.diag([1.0, 0.97, 1.03]), np.diag([1.0, 1.2, 0.9]) + 0.01])
def test_long_axes_of_great_range(matrix):
    image = np.random.default_rng(4).integers(0, 4000, (2, 90, 3)).astype(np.int16)
    found = resample.affine_cubic(image, matrix, [0, 0.3, 0], (2, 88, 3))
    expected = ndimage.affine_transform(
        image.astype(np.float64), matrix, [0, 0.3, 0], (2, 88, 3), order=3, mode="nearest"
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=4000 * 2e-6)


def test_an_axis_that_drifts_by_rounding_alone_is_parallel():
    image = np.random.default_rng(6).normal(size=(4, 5, 6)).astype(np.float32)
    exact = resample.affine_cubic(image, FLIP, [3, 0, 0], (4, 4, 4))
    np.testing.assert_array_equal(resample.affine_cubic(image, FLIP + 1e-17, [3, 0, 0], (4, 4, 4)), exact)


@pytest.mark.parametrize("function", [resample.affine_cubic, resample.affine_nearest])
@pytest.mark.parametrize(
    ("shape", "offset", "complaint"),
    [
        ((4, 4), [0, 0, 0], "shape .4, 4."),
        ((0, 4, 4), [0, 0, 0], "nothing to interpolate"),
        ((4, 4, 4), [0, 0], "offset of .2,."),
    ],
)
def test_bad_input_is_named(function, shape, offset, complaint):
    with pytest.raises(ContractError, match=complaint):
        function(np.zeros(shape, np.float32), np.eye(3), offset, (2, 2, 2))
