"""Fill the holes of labels, as TPTBox does with fill_voids."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spineps_rt.kernels import _runs
from spineps_rt.kernels.arrays import label_array
from spineps_rt.kernels.boxes import Box
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.statistics import nonzero_box, region_statistics


def fill_holes(labels: np.ndarray, ids: Iterable[int] | None = None) -> np.ndarray:
    """Give background voxels that a label encloses in 3-D to that label.

    Equals TPTBox ``NII.fill_holes_`` without a slice-wise direction: label by label, everything that cannot
    be reached over voxel faces from outside the label's box is enclosed; only background is overwritten, so
    the first label that encloses a voxel takes it, and labels inside a hole stay.

    Args:
        labels: Label map, 3-D, bool or any integers.
        ids: Labels to fill, in this order; None fills all, ascending. Absent ones do nothing.

    Returns:
        A new array of the same shape and type.

    Raises:
        ContractError: If the array is no 3-D label map.
    """
    clean = label_array(labels)
    result = labels.copy(order="C")
    boxes = _boxes(clean, is_mask=labels.dtype == np.bool_)
    for value in boxes if ids is None else ids:
        if value in boxes:
            box = boxes[value]
            _fill(clean[box] != value, result[box], value)
    return result


def _boxes(labels: np.ndarray, *, is_mask: bool) -> dict[int, Box]:
    """Find the box of every label; a mask's is found without looking at every voxel."""
    if is_mask:
        box = nonzero_box(labels)
        return {1: box} if box else {}
    regions = region_statistics(labels)
    return {value: regions.box(value) for value in regions.present}


def _fill(others: np.ndarray, crop: np.ndarray, value: int) -> None:
    """Fill one label's holes in place; others marks what is not the label, crop the labels of its box."""
    runs = _runs.find(others.view(np.uint8), merged=True)
    numbers, n = _runs.join(runs, 6)
    enclosed = np.ones(n + 1, np.bool_)
    _open(runs.table, runs.first, numbers, others.shape, enclosed)
    if enclosed[1:].any():
        _claim_runs(runs.table, runs.first, enclosed[numbers], crop, value)


@njit
def _open(
    table: np.ndarray,
    first: np.ndarray,
    numbers: np.ndarray,
    shape: tuple[int, int, int],
    enclosed: np.ndarray,
) -> None:
    """Note which components reach the border of the box."""
    slices, rows, length = shape
    for i in range(slices):
        base = i * (rows + 1) * (length + 1)
        for run in range(first[i], first[i + 1]):
            start, stop = table[run, 0] - base, table[run, 1] - base
            j = start // (length + 1)
            rim = i == 0 or j == 0 or i == slices - 1 or j == rows - 1
            if rim or start == j * (length + 1) or stop == (j + 1) * (length + 1) - 1:
                enclosed[numbers[run]] = False


@njit
def _claim_runs(
    table: np.ndarray, first: np.ndarray, enclosed: np.ndarray, crop: np.ndarray, value: int
) -> None:
    """Give the background of enclosed runs to a label."""
    row_length = crop.shape[2] + 1
    for i in range(crop.shape[0]):
        base = i * (crop.shape[1] + 1) * row_length
        for run in range(first[i], first[i + 1]):
            if enclosed[run]:
                start, stop = table[run, 0] - base, table[run, 1] - base
                j = start // row_length
                for k in range(start - j * row_length, stop - j * row_length):
                    if crop[i, j, k] == 0:
                        crop[i, j, k] = value
