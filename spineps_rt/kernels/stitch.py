"""Weighted sums of overlapping tiles in a ring buffer, and the class of what leaves it."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels._jit import njit


@njit
def accumulate(
    total: np.ndarray, logits: np.ndarray, weights: np.ndarray, start: tuple[int, int, int]
) -> None:
    """Add one tile's weighted logits.

    Args:
        total: float32 (classes, n0, n1, n2), changed in place. Axes 0 and 1 of a voxel wrap around, so that
            either may be a ring.
        logits: float32 (classes, p0, p1, p2).
        weights: float32 (p0, p1, p2).
        start: The tile's first voxel in the whole volume.
    """
    classes, size0, size1, size2 = logits.shape
    for c in range(classes):
        for x in range(size0):
            at0 = (start[0] + x) % total.shape[1]
            for y in range(size1):
                at1 = (start[1] + y) % total.shape[2]
                for z in range(size2):
                    total[c, at0, at1, start[2] + z] += weights[x, y, z] * logits[c, x, y, z]


@njit
def finalise(
    total: np.ndarray, classes: np.ndarray, low: tuple[int, int, int], high: tuple[int, int, int]
) -> None:
    """Give every voxel of a box its class and clear its sums.

    Args:
        total: float32 (classes, n0, n1, n2), zeroed in place where read; axes 0 and 1 wrap around.
        classes: uint8 (N0, N1, N2), written in place; of equal sums the first class wins.
        low: First voxel of the box in ``classes``.
        high: First voxel behind it.
    """
    best = np.empty(total.shape[3], np.float32)
    for x in range(low[0], high[0]):
        at0 = x % total.shape[1]
        for y in range(low[1], high[1]):
            at1 = y % total.shape[2]
            for z in range(low[2], high[2]):
                best[z] = total[0, at0, at1, z]
                total[0, at0, at1, z] = 0
                classes[x, y, z] = 0
            for c in range(1, total.shape[0]):
                for z in range(low[2], high[2]):
                    value = total[c, at0, at1, z]
                    total[c, at0, at1, z] = 0
                    if value > best[z]:
                        best[z] = value
                        classes[x, y, z] = c
