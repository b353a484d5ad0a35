"""Which labels touch, and over how many voxel faces."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels._arrays import label_array, row_reaches
from spineps_rt.kernels._jit import njit
from spineps_rt.kernels.statistics import nonzero_box


@njit
def _count_contacts(labels: np.ndarray, reaches: np.ndarray, place: np.ndarray, table: np.ndarray) -> None:
    """Count faces between different labels in table[low, high]; a pair without faces rises from -1 to 0."""
    slices, rows, length = labels.shape
    for i in range(slices):
        for j in range(rows):
            for k in range(length):
                value = labels[i, j, k]
                if value == 0:
                    continue
                for di in range(2):
                    for dj in range(-di, 2):
                        reach = reaches[di + 1, dj + 1]
                        if reach < 0 or i + di >= slices or j + dj < 0 or j + dj >= rows:
                            continue
                        lowest = 1 if di == 0 and dj == 0 else -reach
                        for dk in range(lowest, reach + 1):
                            if k + dk < 0 or k + dk >= length:
                                continue
                            other = labels[i + di, j + dj, k + dk]
                            if other != 0 and other != value:
                                a, b = place[min(value, other)], place[max(value, other)]
                                face = abs(di) + abs(dj) + abs(dk) == 1
                                table[a, b] = max(table[a, b], 0) + face


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
        ContractError: If the array is no 3-D label map or the connectivity is unknown.
    """
    labels = label_array(labels)
    reaches = row_reaches(connectivity)
    box = nonzero_box(labels)
    if box is None:
        return {}
    crop = np.ascontiguousarray(labels[box])
    present = np.unique(crop)
    place = np.zeros(int(present[-1]) + 1, np.int64)
    place[present] = np.arange(len(present))
    table = np.full((len(present), len(present)), -1, np.int64)
    _count_contacts(crop, reaches, place, table)
    return {(int(present[a]), int(present[b])): int(table[a, b]) for a, b in np.argwhere(table >= 0)}
