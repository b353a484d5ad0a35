"""Which labels touch, and over how many voxel faces."""

from __future__ import annotations

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels._runs import find
from spineps_rt.kernels.arrays import label_array
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each

MANY = 8192
"""Labels between which contacts are counted at most: the table is square."""
HIGHEST = 1 << 26
"""Highest label: a look-up table runs up to it."""


@njit
def _meet(
    runs: np.ndarray, rows: np.ndarray, place: np.ndarray, table: np.ndarray, span: tuple[int, int, int]
) -> None:
    """Add the contacts of the runs span[1] to span[2] with those before them, from span[0] on.

    table[a, b] grows by two a face between a run's label b and an earlier one's, a; once they touch it is
    odd. The sweeps are those that join components.
    """
    one = np.uint64(1)
    for run in range(max(span[1], 1), span[2]):
        if runs[run - 1, 1] == runs[run, 0]:
            a, b = place[runs[run - 1, 2]], place[runs[run, 2]]
            table[a, b] = (table[a, b] + 2) | 1
    for row in range(len(rows)):
        back, reach, face = rows[row]
        other, run, end = np.uint64(span[0]), np.uint64(span[1]), np.uint64(span[2])
        while run < end:
            start, stop = runs[run, 0] - back, runs[run, 1] - back
            while runs[other, 1] <= start - reach:
                other += one
            at = other
            while runs[at, 0] < stop + reach:
                if runs[at, 2] != runs[run, 2]:
                    a, b = place[runs[at, 2]], place[runs[run, 2]]
                    shared = max(min(runs[at, 1], stop) - max(runs[at, 0], start), 0)
                    table[a, b] = (table[a, b] + 2 * face * shared) | 1
                at += one
            run += one


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
    runs = find(label_array(labels), merged=False)
    rows, owners = runs.earlier_rows(connectivity), runs.table[:, 2]
    if owners.max(initial=0) > HIGHEST:
        raise ContractError(f"Contacts are counted between labels up to {HIGHEST}. Renumber them.")
    present = np.flatnonzero(np.bincount(owners))
    if len(present) > MANY:
        raise ContractError(f"Got {len(present)} labels; contacts are counted between at most {MANY}.")
    place = np.zeros(int(present.max(initial=0)) + 1, np.int64)
    place[present] = np.arange(len(present))
    spans = runs.spans() if len(present) < MANY // 8 else [(0, labels.shape[0])]
    tables = np.zeros((len(spans), len(present), len(present)), np.int64)
    first = runs.first
    reach = [(first[max(a - 1, 0)], first[a], first[b]) for a, b in spans]
    each(_meet, [(runs.table, rows, place, table, span) for table, span in zip(tables, reach)])
    faces, touching = (tables >> 1).sum(axis=0), tables.any(axis=0)
    faces, touching = faces + faces.T, np.triu(touching | touching.T)
    return {(int(present[a]), int(present[b])): int(faces[a, b]) for a, b in np.argwhere(touching)}
