"""Second moments of all labels in one pass: how far a region reaches along any direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels.arrays import label_array
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each, slabs


@dataclass(frozen=True, eq=False)
class Moments:
    """Size, centre and spread of the labels 0 to n."""

    sizes: np.ndarray
    """int64 (n + 1): voxels."""
    centres: np.ndarray
    """float64 (n + 1, 3): mean voxel index; NaN where the label is absent."""
    spreads: np.ndarray
    """float64 (n + 1, 3, 3): covariance of the voxel indices; NaN where the label is absent."""


def moments(ids: np.ndarray, n: int) -> Moments:
    """Measure every label of a label map.

    Args:
        ids: Label map, 3-D, any integers.
        n: Highest label that may occur.

    Returns:
        Sizes, centres and covariances of the labels 0 to n; of 0 nothing is counted.

    Raises:
        ContractError: If the array is no 3-D label map or holds a label above n.
    """
    ids = label_array(ids, name="ids")
    if int(ids.max(initial=0)) > n:
        raise ContractError(f"The label map holds label {ids.max()}, above n = {n}. Pass the highest label.")
    spans = slabs(ids.shape[0], ids.size)
    tables = np.zeros((len(spans), n + 1, 10), np.int64)
    each(_add, [(ids, table, span) for table, span in zip(tables, spans)])
    sums = tables.sum(axis=0).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        centres = sums[:, 1:4] / sums[:, :1]
        squares = sums[:, 4:] / sums[:, :1]
    spreads = squares[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    spreads -= centres[:, :, None] * centres[:, None, :]
    return Moments(sums[:, 0].astype(np.int64), centres, spreads)


@njit
def _add(ids: np.ndarray, table: np.ndarray, span: tuple[int, int]) -> None:
    """Add the voxels of the slices of span: count, i, j, k, ii, ij, ik, jj, jk, kk."""
    for i in range(span[0], span[1]):
        for j in range(ids.shape[1]):
            row = ids[i, j]
            for k in range(row.size):
                if row[k]:
                    entry = table[row[k]]
                    entry[0] += 1
                    entry[1] += i
                    entry[2] += j
                    entry[3] += k
                    entry[4] += i * i
                    entry[5] += i * j
                    entry[6] += i * k
                    entry[7] += j * j
                    entry[8] += j * k
                    entry[9] += k * k
