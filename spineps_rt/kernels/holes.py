"""Fill the holes of labels, as TPTBox does with fill_voids."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spineps_rt.kernels import components
from spineps_rt.kernels._arrays import label_array
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
        outside, n = components.label(clean[box] != value, connectivity=6)
        reached = np.zeros(n + 1, np.bool_)
        for axis in range(3):
            for end in (0, -1):
                reached[np.take(outside, end, axis=axis)] = True
        reached[0] = True
        crop = result[box]
        crop[~reached[outside] & (crop == 0)] = value
    return result
