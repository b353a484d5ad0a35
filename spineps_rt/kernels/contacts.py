"""Which labels touch, and over how many voxel faces."""

from __future__ import annotations

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels._arrays import label_array, row_reaches
from spineps_rt.kernels._jit import njit
from spineps_rt.kernels._threads import each, slabs
from spineps_rt.kernels.components import find_runs

MANY = 8192
"""Labels between which contacts are counted at most: the table is square."""
HIGHEST = 1 << 26
"""Highest label: a look-up table runs up to it."""


@njit
def _meet(
    runs: np.ndarray,
    rows: tuple[int, int, int, int],
    reach: int,
    face: bool,
    place: np.ndarray,
    table: np.ndarray,
) -> None:
    """Add the contacts between the runs of two rows; face tells whether the rows share faces."""
    left, left_end, here, here_end = rows
    for run in range(here, here_end):
        start, stop, value = runs[run]
        while left < left_end and runs[left, 1] <= start - reach:
            left += 1
        other = left
        while other < left_end and runs[other, 0] < stop + reach:
            if runs[other, 2] != value:
                low, high = place[min(runs[other, 2], value)], place[max(runs[other, 2], value)]
                shared = min(runs[other, 1], stop) - max(runs[other, 0], start)
                table[low, high] = max(table[low, high], 0) + (max(shared, 0) if face else 0)
            other += 1


@njit
def _count_contacts(
    runs: np.ndarray,
    first: np.ndarray,
    reaches: np.ndarray,
    place: np.ndarray,
    table: np.ndarray,
    span: tuple[int, int, int],
) -> None:
    """Add the contacts of every row of some slices with its earlier neighbours; span is (rows, low, high).

    table[low, high] counts faces; a pair that only edges or corners join rises from -1 to 0.
    """
    rows, slice_low, slice_high = span
    for i in range(slice_low, slice_high):
        for j in range(rows):
            here, end = first[i * rows + j], first[i * rows + j + 1]
            for run in range(here + 1, end):
                if runs[run - 1, 1] == runs[run, 0]:
                    a, b = place[runs[run - 1, 2]], place[runs[run, 2]]
                    table[min(a, b), max(a, b)] = max(table[min(a, b), max(a, b)], 0) + 1
            for di in range(-1, 1):
                for dj in range(-1, -di * 2):
                    reach = reaches[di + 1, dj + 1]
                    if reach >= 0 and i + di >= 0 and 0 <= j + dj < rows:
                        row = (i + di) * rows + j + dj
                        _meet(
                            runs, (first[row], first[row + 1], here, end), reach, di * dj == 0, place, table
                        )


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
        ContractError: If the array is no 3-D label map, the connectivity unknown, or labels too many or high.
    """
    labels = label_array(labels)
    reaches = row_reaches(connectivity)
    runs, first = find_runs(labels, merged=False)
    if runs[:, 2].min(initial=0) < 0 or runs[:, 2].max(initial=0) > HIGHEST:
        raise ContractError(f"Contacts are counted between labels up to {HIGHEST}. Renumber them.")
    present = np.flatnonzero(np.bincount(runs[:, 2]))
    if len(present) > MANY:
        raise ContractError(f"Got {len(present)} labels; contacts are counted between at most {MANY}.")
    place = np.zeros(int(present.max(initial=0)) + 1, np.int64)
    place[present] = np.arange(len(present))
    spans = slabs(labels.shape[0], labels.size) if len(present) < MANY // 8 else [(0, labels.shape[0])]
    tables = np.full((max(len(spans), 1), len(present), len(present)), -1, np.int64)
    rows = labels.shape[1]
    each(_count_contacts, [(runs, first, reaches, place, t, (rows, *span)) for t, span in zip(tables, spans)])
    total = np.where((tables >= 0).any(axis=0), np.maximum(tables, 0).sum(axis=0), -1)
    return {(int(present[a]), int(present[b])): int(total[a, b]) for a, b in np.argwhere(total >= 0)}
