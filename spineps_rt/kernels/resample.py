"""Resample volumes as ``scipy.ndimage.affine_transform`` does: cubic splines for images, nearest for labels.

SPINEPS 2.1.3 resamples with TPTBox, which hands scipy the matrix and offset that lead from output voxels to
input voxels, mode "nearest" (edges continue), order 3 for images and 0 for masks. Where the axes stay
parallel, prefilter and interpolation are one matrix an axis, which three small products apply; where the
grids are oblique, the image is prefiltered in the same way and 64 coefficients are gathered for each voxel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels import _splines
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each, slabs

PARALLEL = 1e-7
"""Voxels by which an axis may drift across the whole volume and still count as parallel."""


def affine_cubic(
    image: np.ndarray, matrix: np.ndarray, offset: np.ndarray, output_shape: Sequence[int]
) -> np.ndarray:
    """Interpolate an image with cubic B-splines, prefilter included.

    Equals ``scipy.ndimage.affine_transform(image, matrix, offset, output_shape, order=3, mode="nearest")``
    to float32 rounding, scipy's padding by 12 voxels included.

    Args:
        image: 3-D, any numbers; converted to float32.
        matrix: (3, 3), output voxel -> input voxel.
        offset: (3,), input voxel of output voxel 0, 0, 0.
        output_shape: Shape of the result.

    Returns:
        float32 array of the output shape.

    Raises:
        ContractError: If a shape is wrong or the image is empty.
    """
    image = np.asarray(image, dtype=np.float32)
    matrix, offset, shape = _checked(image, matrix, offset, output_shape)
    axes = _parallel_axes(matrix, shape, tolerance=PARALLEL)
    if axes is None:
        return _oblique_cubic(image, matrix, offset, shape)
    result = np.ascontiguousarray(image.transpose(axes))
    # the axis that shrinks most goes first, so that the others have less to do
    for axis in np.argsort([shape[a] / result.shape[a] for a in range(3)]):
        at = offset[axes[axis]] + matrix[axes[axis], axis] * np.arange(shape[axis])
        result = _splines.apply(result, _splines.matrix(at, result.shape[axis]), int(axis))
    return result


def affine_nearest(
    labels: np.ndarray, matrix: np.ndarray, offset: np.ndarray, output_shape: Sequence[int]
) -> np.ndarray:
    """Take for each output voxel the nearest input voxel.

    Equals ``scipy.ndimage.affine_transform(labels, matrix, offset, output_shape, order=0, mode="nearest")``
    exactly: coordinates are summed in scipy's order and halves are rounded up.

    Args:
        labels: 3-D, any type.
        matrix: (3, 3), output voxel -> input voxel.
        offset: (3,), input voxel of output voxel 0, 0, 0.
        output_shape: Shape of the result.

    Returns:
        Array of the output shape and the input's type.

    Raises:
        ContractError: If a shape is wrong or the input is empty.
    """
    labels = np.asarray(labels)
    matrix, offset, shape = _checked(labels, matrix, offset, output_shape)
    axes = _parallel_axes(matrix, shape, tolerance=0.0)
    if axes is None:
        result = np.empty(shape, labels.dtype)
        source = np.ascontiguousarray(labels)
        spans = slabs(shape[0], result.size)
        each(_gather_nearest, [(source, matrix, offset, result, span) for span in spans])
        return result
    result = labels.transpose(axes)
    for axis in range(3):
        at = offset[axes[axis]] + matrix[axes[axis], axis] * np.arange(shape[axis])
        index = np.floor(np.clip(at, 0, result.shape[axis] - 1) + 0.5).astype(np.int64)
        result = np.take(result, index, axis=axis)
    return np.ascontiguousarray(result)


def _checked(
    image: np.ndarray, matrix: np.ndarray, offset: np.ndarray, output_shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Matrix, offset and shape in their types, or an error."""
    matrix, offset = np.ascontiguousarray(matrix, np.float64), np.ascontiguousarray(offset, np.float64)
    if image.ndim != 3 or matrix.shape != (3, 3) or offset.shape != (3,) or len(output_shape) != 3:
        raise ContractError(
            f"Got an image of shape {image.shape}, a matrix of {matrix.shape}, an offset of {offset.shape} "
            f"and {len(output_shape)} output sizes; expected a 3-D image, (3, 3), (3,) and 3."
        )
    if image.size == 0:
        raise ContractError(f"Got an image of shape {image.shape}; there is nothing to interpolate.")
    return matrix, offset, tuple(int(size) for size in output_shape)


def _parallel_axes(matrix: np.ndarray, shape: tuple[int, ...], *, tolerance: float) -> tuple[int, ...] | None:
    """Input axis of each output axis if every axis of one grid is parallel to one of the other, else None."""
    drift = np.abs(matrix) * (np.maximum(shape, 2) - 1)
    used = drift > tolerance
    axes = tuple(int(a) for a in np.argmax(drift, axis=0))
    if used.sum() != 3 or sorted(axes) != [0, 1, 2] or not all(used[a, i] for i, a in enumerate(axes)):
        return None
    return axes


def _oblique_cubic(
    image: np.ndarray, matrix: np.ndarray, offset: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Prefilter along every axis, then gather."""
    coefficients = image
    for axis in range(3):
        coefficients = _splines.apply(coefficients, _splines.prefilter(image.shape[axis]), axis)
    result = np.empty(shape, np.float32)
    spans = slabs(shape[0], result.size * 16)
    each(_gather_cubic, [(coefficients, matrix, offset, result, span) for span in spans])
    return result


@njit
def _locate(matrix: np.ndarray, offset: np.ndarray, voxel: tuple[int, ...], out: np.ndarray) -> None:
    """Input coordinate of an output voxel, summed from left to right as scipy sums it."""
    for h in range(3):
        out[h] = ((offset[h] + voxel[0] * matrix[h, 0]) + voxel[1] * matrix[h, 1]) + voxel[2] * matrix[h, 2]


@njit
def _gather_nearest(
    labels: np.ndarray, matrix: np.ndarray, offset: np.ndarray, out: np.ndarray, span: tuple[int, int]
) -> None:
    """Fill the slices of span."""
    at, index = np.empty(3), np.empty(3, np.int64)
    for i in range(span[0], span[1]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                _locate(matrix, offset, (i, j, k), at)
                for h in range(3):
                    index[h] = int(np.floor(min(max(at[h], 0.0), labels.shape[h] - 1) + 0.5))
                out[i, j, k] = labels[index[0], index[1], index[2]]


@njit
def _gather_cubic(
    coefficients: np.ndarray, matrix: np.ndarray, offset: np.ndarray, out: np.ndarray, span: tuple[int, int]
) -> None:
    """Fill the slices of span from coefficients, of which there are three more than padded samples."""
    at, weights, start = np.empty(3), np.empty((3, 4)), np.empty(3, np.int64)
    for i in range(span[0], span[1]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                _locate(matrix, offset, (i, j, k), at)
                for h in range(3):
                    place = min(max(at[h] + _splines.PADDING, 0.0), coefficients.shape[h] - 4.0)
                    start[h] = int(np.floor(place))
                    _splines.weigh(place - start[h], weights[h])
                total = 0.0
                for a in range(4):
                    for b in range(4):
                        row = coefficients[start[0] + a, start[1] + b]
                        c = start[2]
                        line = weights[2, 0] * row[c] + weights[2, 1] * row[c + 1]
                        line += weights[2, 2] * row[c + 2] + weights[2, 3] * row[c + 3]
                        total += weights[0, a] * weights[1, b] * line
                out[i, j, k] = total
