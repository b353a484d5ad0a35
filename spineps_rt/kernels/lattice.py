"""Uniform cubic B-splines on a lattice of nodes: their values on a grid of voxels, and the way back.

A grid's weights are products of one factor an axis, so that each direction is three passes, one an axis, with
four taps a voxel: what a scattered-data fit (Lee et al. 1997, doi:10.1109/2945.620490) does point by point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels._splines import weigh
from spineps_rt.kernels.jit import njit

ORDER = 3
"""Degree of the splines; an axis of ``spans`` spans has ``spans + ORDER`` nodes."""


class Taps(NamedTuple):
    """Four nodes and weights for every sample of an axis."""

    start: np.ndarray
    """int64 (samples,): first of the four nodes."""
    weights: np.ndarray
    """float32 (samples, 4)."""
    nodes: int
    """Nodes of the axis."""


def taps(positions: np.ndarray, spans: int) -> Taps:
    """Weigh the nodes around samples.

    Args:
        positions: (samples,), in spans from the lattice's edge; beyond 0..spans the edge counts.
        spans: Spans of the axis.

    Raises:
        ContractError: If there is no span.
    """
    if spans < 1:
        raise ContractError(f"A lattice has at least one span an axis; got {spans}.")
    inside = np.clip(np.asarray(positions, np.float64), 0, spans)
    start = np.minimum(inside.astype(np.int64), spans - 1)
    weights = np.empty((len(inside), ORDER + 1), np.float32)
    for fraction, row in zip(inside - start, weights):
        weigh(fraction, row)
    return Taps(start, weights, spans + ORDER)


def evaluate(lattice: np.ndarray, axes: Sequence[Taps]) -> np.ndarray:
    """Give the spline's values on a grid.

    Args:
        lattice: float32, nodes of the axes from the first on; further axes are carried along.
        axes: Taps of one axis or more.

    Returns:
        float32, samples of those axes, then what was carried along.

    Raises:
        ContractError: If the lattice's shape is not that of the taps.
    """
    _check(lattice, [axis.nodes for axis in axes], "lattice")
    result = np.ascontiguousarray(lattice, np.float32)
    for number in reversed(range(len(axes))):
        result = _pass(_blend, result, axes[number], number)
    return result


def project(values: np.ndarray, axes: Sequence[Taps]) -> np.ndarray:
    """Sum values on a grid into the nodes around them: the transpose of :func:`evaluate`.

    Args:
        values: float32, samples of the axes from the first on; further axes are carried along.
        axes: Taps of one axis or more; their weights may be any.

    Returns:
        float32, nodes of those axes, then what was carried along.

    Raises:
        ContractError: If the values' shape is not that of the taps.
    """
    _check(values, [len(axis.start) for axis in axes], "grid of values")
    result = np.ascontiguousarray(values, np.float32)
    for number, axis in enumerate(axes):
        result = _pass(_spread, result, axis, number)
    return result


def refine(lattice: np.ndarray) -> np.ndarray:
    """Halve the spans of every axis without changing the spline.

    Args:
        lattice: float32, each axis ``spans + 3`` nodes.

    Returns:
        float32, each axis ``2 * spans + 3`` nodes.
    """
    for axis in range(lattice.ndim):
        old = np.moveaxis(lattice, axis, 0)
        new = np.empty((2 * len(old) - ORDER, *old.shape[1:]), np.float32)
        new[0::2] = (old[:-1] + old[1:]) / 2
        new[1::2] = (old[:-2] + 6 * old[1:-1] + old[2:]) / 8
        lattice = np.moveaxis(new, 0, axis)
    return np.ascontiguousarray(lattice)


def _check(array: np.ndarray, expected: Sequence[int], name: str) -> None:
    if list(array.shape[: len(expected)]) != list(expected):
        raise ContractError(f"The {name} has shape {array.shape}; the taps are made for {tuple(expected)}.")


def _pass(kernel: Any, array: np.ndarray, axis: Taps, number: int) -> np.ndarray:
    """Run a kernel along one axis, the axes before and after it taken together."""
    shape = list(array.shape)
    before, after = int(np.prod(shape[:number])), int(np.prod(shape[number + 1 :]))
    shape[number] = len(axis.start) if kernel is _blend else axis.nodes
    result = np.zeros((before, shape[number], after), np.float32)
    kernel(array.reshape(before, array.shape[number], after), axis.start, axis.weights, result)
    return result.reshape(shape)


@njit
def _blend(lattice: np.ndarray, start: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Mix four neighbouring rows of nodes into each row of samples."""
    for block in range(out.shape[0]):
        for sample in range(out.shape[1]):
            first = start[sample]
            w0, w1, w2, w3 = weights[sample]
            for i in range(out.shape[2]):
                out[block, sample, i] = (
                    w0 * lattice[block, first, i]
                    + w1 * lattice[block, first + 1, i]
                    + w2 * lattice[block, first + 2, i]
                    + w3 * lattice[block, first + 3, i]
                )


@njit
def _spread(values: np.ndarray, start: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Add each row of samples to four neighbouring rows of nodes."""
    for block in range(values.shape[0]):
        for sample in range(values.shape[1]):
            first = start[sample]
            w0, w1, w2, w3 = weights[sample]
            for i in range(values.shape[2]):
                value = values[block, sample, i]
                out[block, first, i] += w0 * value
                out[block, first + 1, i] += w1 * value
                out[block, first + 2, i] += w2 * value
                out[block, first + 3, i] += w3 * value
