"""Which labels touch, and over how many voxel faces."""

from __future__ import annotations

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels._arrays import label_array, row_reaches
from spineps_rt.kernels._jit import njit
from spineps_rt.kernels._threads import each, slabs
from spineps_rt.kernels.statistics import nonzero_box, region_statistics

MANY = 8192
"""Labels between which contacts are counted at most: the table is square."""


@njit
def _meet(a: np.ndarray, b: np.ndarray, face: int, place: np.ndarray, table: np.ndarray) -> None:
    """Count the voxels where two rows of equal length carry different labels other than 0."""
    meetings = 0
    for k in range(a.size):
        meetings += (a[k] != b[k]) & (a[k] != 0) & (b[k] != 0)
    if meetings == 0:  # the common case, found with vector instructions
        return
    for k in range(a.size):
        if a[k] != b[k] and a[k] != 0 and b[k] != 0:
            low, high = place[min(a[k], b[k])], place[max(a[k], b[k])]
            table[low, high] = max(table[low, high], 0) + face


@njit
def _count_contacts(
    labels: np.ndarray, reaches: np.ndarray, place: np.ndarray, table: np.ndarray, span: tuple[int, int]
) -> None:
    """Count the contacts of the slices of span with themselves and the next slice.

    table[low, high] counts faces; a pair that only edges or corners join rises from -1 to 0.
    """
    slices, rows, length = labels.shape
    for i in range(span[0], span[1]):
        for j in range(rows):
            here = labels[i, j]
            _meet(here[: length - 1], here[1:], 1, place, table)
            for di in range(2):
                for dj in range(1 - 2 * di, 2):
                    reach = reaches[di + 1, dj + 1]
                    if reach < 0 or i + di >= slices or j + dj < 0 or j + dj >= rows:
                        continue
                    other = labels[i + di, j + dj]
                    _meet(here, other, abs(di) + abs(dj) == 1, place, table)
                    if reach == 1:
                        _meet(here[: length - 1], other[1:], 0, place, table)
                        _meet(here[1:], other[: length - 1], 0, place, table)


def contacts(labels: np.ndarray, *, connectivity: int = 26) -> dict[tuple[int, int], int]:
    """Count the voxel faces between every two labels that touch.

    Equals TPTBox ``np_contacts``, which calls ``cc3d.contacts`` with its default, the surface area: edges and
    corners make two labels touch but have no area, so such a pair is listed with 0.

    Args:
        labels: Label map, 3-D, bool or any integers.
        connectivity: 6, 18 or 26: what counts as touching.

    Returns:
        {(lower label, higher label): faces}, without the background, in ascending order.

    Raises:
        ContractError: If the array is no 3-D label map, the connectivity is unknown, or labels are too many.
    """
    labels = label_array(labels)
    reaches = row_reaches(connectivity)
    box = nonzero_box(labels)
    if box is None:
        return {}
    crop = np.ascontiguousarray(labels[box])
    present = np.array(region_statistics(crop).present)
    place = np.zeros(int(present[-1]) + 1, np.int64)
    place[present] = np.arange(len(present))
    shape = (len(present), len(present))
    if len(present) > MANY:
        raise ContractError(f"Got {len(present)} labels; contacts are counted between at most {MANY}.")
    spans = slabs(crop.shape[0], crop.size) if len(present) < MANY // 8 else [(0, crop.shape[0])]
    parts = [(crop, reaches, place, np.full(shape, -1, np.int64), span) for span in spans]
    each(_count_contacts, parts)
    touched = np.any([part[3] >= 0 for part in parts], axis=0)
    table = np.where(touched, sum(np.maximum(part[3], 0) for part in parts), -1)
    return {(int(present[a]), int(present[b])): int(table[a, b]) for a, b in np.argwhere(table >= 0)}
