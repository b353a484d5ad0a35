"""Fill the holes of labels, as TPTBox does with fill_voids."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spineps_rt.kernels import components
from spineps_rt.kernels._arrays import label_array, row_reaches
from spineps_rt.kernels.statistics import region_statistics


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
    regions = region_statistics(clean)
    for value in regions.present if ids is None else ids:
        if not 0 < value < len(regions.sizes) or regions.sizes[value] == 0:
            continue
        box = regions.box(value)
        _fill(clean[box] != value, result[box], value)
    return result


def _fill(others: np.ndarray, crop: np.ndarray, value: int) -> None:
    """Fill one label's holes in place; others marks what is not the label, crop the labels of its box."""
    runs, first = components.find_runs(others.view(np.uint8), merged=False)
    numbers, n = components.join_runs(runs, first, others.shape, row_reaches(6))
    slices, rows, length = others.shape
    edge = np.zeros((slices, rows), np.bool_)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    at_edge = np.repeat(edge.ravel(), np.diff(first)) | (runs[:, 0] == 0) | (runs[:, 1] == length)
    enclosed = np.ones(n + 1, np.bool_)
    enclosed[numbers[at_edge]] = False
    for run in np.flatnonzero(enclosed[numbers]):  # few: whatever is open to the outside is gone
        i, j = divmod(int(np.searchsorted(first, run, side="right")) - 1, rows)
        line = crop[i, j, runs[run, 0] : runs[run, 1]]
        line[line == 0] = value
