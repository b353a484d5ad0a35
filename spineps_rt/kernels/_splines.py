"""Cubic B-splines as matrices: scipy's prefilter in closed form, its mode "nearest" and its interpolation."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels.jit import njit

POLE = np.sqrt(3.0) - 2.0
REACH = 30
"""Voxels after which the prefilter's answer to an impulse, POLE ** distance, is below 1e-17."""
PADDING = 12
"""Voxels that scipy repeats beyond each edge before it filters."""
BLOCK = 64
"""Output rows multiplied at once."""
NEGLIGIBLE = 1e-12
"""Weights below this are left out of the products."""


@njit
def weigh(fraction: float, out: np.ndarray) -> None:
    """Write the four cubic B-spline weights of a position between its second and third node."""
    before = 1.0 - fraction
    out[0] = before * before * before / 6.0
    out[1] = (fraction * fraction * (fraction - 2.0) * 3.0 + 4.0) / 6.0
    out[2] = (before * before * (before - 2.0) * 3.0 + 4.0) / 6.0
    out[3] = fraction * fraction * fraction / 6.0


def prefilter(size: int) -> np.ndarray:
    """Matrix from samples to spline coefficients, with the coefficients beyond the edges that taps may read.

    Args:
        size: Samples of the axis.

    Returns:
        float64 (size + 2 * PADDING + 3, size); row 0 is the coefficient one before the padding.
    """
    padded = size + 2 * PADDING
    filtered = _filter_matrix(padded)
    samples = np.zeros((padded, size))
    for column, edge in enumerate((np.arange(padded) - PADDING).clip(0, size - 1)):
        samples[:, edge] += filtered[:, column]
    return samples[_fold(np.arange(-1, padded + 2), padded)]


def matrix(at: np.ndarray, size: int) -> np.ndarray | None:
    """Matrix from samples to the values at the given coordinates, prefilter included.

    Args:
        at: float64 (out,), coordinates in input voxels.
        size: Samples of the axis.

    Returns:
        float64 (out, size); None if it would change nothing.
    """
    if len(at) == size and np.abs(at - np.arange(size)).max(initial=0) < NEGLIGIBLE:
        return None
    place = np.clip(at + PADDING, 0, size - 1 + 2 * PADDING)
    start = np.floor(place).astype(np.int64)
    weights = np.empty((4, len(at)))
    weigh.py_func(place - start, weights) if hasattr(weigh, "py_func") else weigh(place - start, weights)
    taps = prefilter(size)
    result = np.zeros((len(at), size))
    for tap in range(4):
        result += weights[tap][:, None] * taps[start + tap]
    return result


def apply(image: np.ndarray, weights: np.ndarray | None, axis: int) -> np.ndarray:
    """Multiply along one axis, leaving out the weights far from the diagonal.

    Args:
        image: float32, 3-D.
        weights: (out, in) as :func:`matrix` makes it; None leaves the image alone.
        axis: Axis of length in.

    Returns:
        float32 array, C-contiguous, the axis now of length out.
    """
    if weights is None:
        return image
    shape = list(image.shape)
    shape[axis] = len(weights)
    result = np.empty(shape, np.float32)
    for low in range(0, len(weights), BLOCK):
        block = weights[low : low + BLOCK]
        columns = np.flatnonzero((np.abs(block) > NEGLIGIBLE).any(axis=0))
        first, last = columns[0], columns[-1] + 1
        part, factor = block[:, first:last].astype(np.float32), slice(low, low + len(block))
        if axis == 2:
            np.matmul(image[:, :, first:last], part.T, out=result[:, :, factor])
        elif axis == 1:
            np.matmul(part, image[:, first:last], out=result[:, factor])
        else:
            flat = image.reshape(image.shape[0], -1)
            np.matmul(part, flat[first:last], out=result.reshape(len(weights), -1)[factor])
    return result


def _fold(index: np.ndarray, size: int) -> np.ndarray:
    """Bring indices back into an axis, reflected about the edge of its first and its last voxel."""
    index = index % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)


def _filter_matrix(size: int) -> np.ndarray:
    """Prefilter of one axis: each sample's impulse answer sqrt(3) * POLE ** distance, folded at the edges."""
    result = np.zeros((size, size))
    rows = np.arange(size)
    for distance in range(-REACH, REACH + 1):
        result[rows, _fold(rows + distance, size)] += POLE ** abs(distance)
    return np.sqrt(3.0) * result
