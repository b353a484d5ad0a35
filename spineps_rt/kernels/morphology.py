"""Dilation and erosion of all labels at once, as TPTBox grows and shrinks masks."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels.arrays import label_array, row_reaches, same_shape
from spineps_rt.kernels.holes import fill_holes
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.statistics import nonzero_box

__all__ = ["dilate", "erode", "fill_holes"]


@njit
def _row_minimum(labels: np.ndarray, out: np.ndarray) -> None:
    """Lowest of each voxel and its two neighbours in the row; both arrays hold label - 1, 0 wrapped."""
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            row, low = labels[i, j], out[i, j]
            for k in range(1, row.size - 1):
                low[k] = min(row[k], row[k - 1], row[k + 1])


@njit
def _dilate_step(
    labels: np.ndarray, straight: np.ndarray, wide: np.ndarray, reaches: np.ndarray, out: np.ndarray
) -> None:
    """Give each zero voxel of the padded labels its lowest neighbour.

    straight holds label - 1 (so that background is the highest), wide its minimum along rows.
    """
    background = straight[0, 0, 0]
    for i in range(1, labels.shape[0] - 1):
        for j in range(1, labels.shape[1] - 1):
            grown = out[i, j]
            grown[:] = straight[i, j]
            for di in range(-1, 2):
                for dj in range(-1, 2):
                    reach = reaches[di + 1, dj + 1]
                    if reach >= 0:
                        other = wide[i + di, j + dj] if reach else straight[i + di, j + dj]
                        for k in range(grown.size):
                            grown[k] = min(grown[k], other[k])
            here = labels[i, j]
            for k in range(grown.size):
                if here[k]:
                    grown[k] = here[k]
                elif grown[k] == background:
                    grown[k] = 0
                else:
                    grown[k] += 1


@njit
def _erode_step(labels: np.ndarray, wide: np.ndarray, reaches: np.ndarray, out: np.ndarray) -> None:
    """Keep each voxel of the padded labels whose neighbours all carry its label; wide is scratch."""
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            row, same = labels[i, j], wide[i, j]
            for k in range(1, row.size - 1):
                same[k] = row[k] if (row[k] == row[k - 1]) & (row[k] == row[k + 1]) else row.dtype.type(0)
    for i in range(1, labels.shape[0] - 1):
        for j in range(1, labels.shape[1] - 1):
            here, kept = labels[i, j], out[i, j]
            kept[:] = here
            for di in range(-1, 2):
                for dj in range(-1, 2):
                    reach = reaches[di + 1, dj + 1]
                    if reach >= 0:
                        other = wide[i + di, j + dj] if reach else labels[i + di, j + dj]
                        for k in range(kept.size):
                            kept[k] = kept[k] if other[k] == here[k] else here.dtype.type(0)


def dilate(
    labels: np.ndarray, *, iterations: int = 1, connectivity: int = 6, mask: np.ndarray | None = None
) -> np.ndarray:
    """Grow every label into the background.

    Equals TPTBox ``np_dilate_msk(..., use_crop=False)``: in each iteration every label grows by one voxel,
    and where several meet the lowest wins. With a mask, whatever lies outside it is zeroed once the first
    label has grown: voxels outside the mask are seeds for the lowest label, in the first iteration only.

    Args:
        labels: Mask or label map, 3-D, bool or any integers.
        iterations: Voxels to grow by.
        connectivity: 6, 18 or 26; TPTBox's connectivity 1, 2, 3.
        mask: Where labels may be, nonzero; same shape.

    Returns:
        A new array of the same shape and type.

    Raises:
        ContractError: If an array is no 3-D label map, shapes differ, or the connectivity is unknown.
    """
    clean, reaches = label_array(labels), row_reaches(connectivity)
    allowed = None if mask is None else label_array(mask, name="mask") != 0
    if allowed is not None:
        same_shape(clean, allowed)
    result = labels.copy(order="C")
    box = nonzero_box(clean, margin=iterations)
    if box is None or iterations < 1:
        return result
    padded = np.pad(clean[box], 1)
    inside = (slice(1, -1),) * 3
    for round_ in range(iterations):
        if allowed is not None and round_ == 0:
            lowest = (padded - padded.dtype.type(1)).min() + padded.dtype.type(1)
            padded[inside] *= allowed[box] | (padded[inside] == lowest)
        straight = padded - padded.dtype.type(1)  # unsigned: background becomes the highest
        wide = straight.copy()
        _row_minimum(straight, wide)
        grown = padded.copy()
        _dilate_step(padded, straight, wide, reaches, grown)
        padded[inside] = grown[inside]
        if allowed is not None:
            padded[inside] *= allowed[box]
    result[box] = padded[inside]
    return result


def erode(labels: np.ndarray, *, iterations: int = 1, connectivity: int = 6) -> np.ndarray:
    """Shrink every label, from other labels and from the volume's border as from the background.

    Equals TPTBox ``np_erode_msk``: scipy's ``binary_erosion`` of each label with ``border_value=0``.

    Args:
        labels: Mask or label map, 3-D, bool or any integers.
        iterations: Voxels to shrink by.
        connectivity: 6, 18 or 26; TPTBox's connectivity 1, 2, 3.

    Returns:
        A new array of the same shape and type.

    Raises:
        ContractError: If the array is no 3-D label map or the connectivity is unknown.
    """
    clean, reaches = label_array(labels), row_reaches(connectivity)
    result = labels.copy(order="C")
    box = nonzero_box(clean)
    if box is None or iterations < 1:
        return result
    padded = np.pad(clean[box], 1)
    wide, kept = np.zeros_like(padded), np.zeros_like(padded)
    for _ in range(iterations):
        _erode_step(padded, wide, reaches, kept)
        padded, kept = kept, padded  # both have a rim of background, which the step leaves alone
    result[box] = padded[1:-1, 1:-1, 1:-1]
    return result
