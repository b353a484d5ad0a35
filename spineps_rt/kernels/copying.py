"""Copies between arrays that lie differently in memory, in blocks that stay in the cache."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels.threads import each

_BLOCK = 32
"""Planes of the middle axis that are copied at a time."""


def copy_into(target: np.ndarray, source: np.ndarray) -> None:
    """Copy an array into another of any memory order; values are converted as numpy converts them.

    Where one array's fastest axis is the other's slowest, as between a file and a stage, a block's cache
    lines are still there when their next voxel is wanted.

    Args:
        target: 3-D, overwritten.
        source: The same shape, any dtype that casts to the target's.
    """

    def copy(start: int) -> None:
        block = slice(start, start + _BLOCK)
        target[:, block] = source[:, block]

    each(copy, [(start,) for start in range(0, source.shape[1], _BLOCK)])


def contiguous(array: np.ndarray) -> np.ndarray:
    """As ``numpy.ascontiguousarray`` for a 3-D array: the array itself, or a C-contiguous copy."""
    if array.flags.c_contiguous:
        return array
    answer = np.empty(array.shape, array.dtype)
    copy_into(answer, array)
    return answer
