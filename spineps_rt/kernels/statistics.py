"""Sizes, boxes, centroids and co-occurrence of all labels, each in one pass over the volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels.arrays import label_array, same_shape
from spineps_rt.kernels.boxes import Box
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each, slabs

LARGEST_TABLE = 1 << 27
"""Entries that a table may have (1 GiB)."""


@dataclass(frozen=True)
class RegionStatistics:
    """What one pass says about every label 0 to n."""

    sizes: np.ndarray
    """int64 (n + 1): voxels."""
    boxes: np.ndarray
    """int32 (n + 1, 3, 2): first index and one past the last; zeros where the label is absent."""
    centroids: np.ndarray
    """float64 (n + 1, 3): mean voxel index; NaN where the label is absent."""

    @property
    def present(self) -> list[int]:
        """Labels other than 0 that occur, ascending."""
        return [int(i) for i in np.flatnonzero(self.sizes) if i]

    def box(self, label: int, *, margin: int = 0) -> Box:
        """Slices around a label.

        Args:
            label: A label that occurs.
            margin: Voxels to add on every side; the start is kept at 0 or above, and slicing bounds the stop.

        Returns:
            One slice an axis.
        """
        return tuple(slice(max(int(a) - margin, 0), int(b) + margin) for a, b in self.boxes[label])


@njit
def _accumulate(ids: np.ndarray, table: np.ndarray, span: tuple[int, int]) -> int:
    """Add the slices of span, run by run; return the highest label met, which is not added if too high.

    A row of the table, int64 (labels, 10), holds voxels, their three sums of indices, and the first and last
    index on each axis.
    """
    highest = 0
    length = ids.shape[2]
    for i in range(span[0], span[1]):
        for j in range(ids.shape[1]):
            row = ids[i, j]
            k = 0
            while k < length:
                value = row[k]
                start = k
                k += 1
                while k < length and row[k] == value:
                    k += 1
                highest = max(highest, value)
                if value >= len(table):
                    continue
                entry = table[value]
                count = k - start
                if entry[0] == 0:
                    entry[4] = i
                entry[0] += count
                entry[1] += count * i
                entry[2] += count * j
                entry[3] += (count * (start + k - 1)) >> 1
                entry[5] = i
                entry[6], entry[7] = min(entry[6], j), max(entry[7], j)
                entry[8], entry[9] = min(entry[8], start), max(entry[9], k - 1)
    return highest


def region_statistics(ids: np.ndarray, n: int | None = None) -> RegionStatistics:
    """Measure every label of a label map.

    Equals ``cc3d.statistics``, on which TPTBox's ``np_volume``, ``np_center_of_mass`` and
    ``np_bounding_boxes`` stand.

    Args:
        ids: Label map, 3-D, bool or any integers.
        n: Highest label; None takes the highest that occurs.

    Returns:
        Sizes, boxes and centroids of the labels 0 to n.

    Raises:
        ContractError: If the array is no 3-D label map, holds a label above n, or the tables would be huge.
    """
    ids = label_array(ids, name="ids")
    if n is None:
        n = int(ids.max(initial=0))
    if n >= LARGEST_TABLE // 8:
        raise ContractError(f"Labels up to {n} need a huge table. Renumber them.")
    # many small components: one table is cheaper than one a thread
    pieces = slabs(ids.shape[0], ids.size) if n < 1 << 16 else [(0, ids.shape[0])]
    tables = np.zeros((len(pieces), n + 1, 10), np.int64)
    tables[:, :, 4::2] = np.iinfo(np.int32).max
    tables[:, :, 5::2] = -1
    highest = max(each(_accumulate, [(ids, t, span) for t, span in zip(tables, pieces)]), default=0)
    if highest > n:
        raise ContractError(
            f"The label map holds label {highest}, above n = {n}. Pass the highest label as n."
        )
    sums = tables[:, :, :4].sum(axis=0)
    sizes = sums[:, 0].copy()
    boxes = np.zeros((n + 1, 3, 2), np.int32)
    if pieces:
        boxes[:, :, 0] = tables[:, :, 4::2].min(axis=0)
        boxes[:, :, 1] = tables[:, :, 5::2].max(axis=0) + 1
    boxes[sizes == 0] = 0
    centroids = np.full((n + 1, 3), np.nan)
    np.divide(sums[:, 1:], sizes[:, None], out=centroids, where=sizes[:, None] > 0)
    return RegionStatistics(sizes, boxes, centroids)


@njit
def _nonzero_box(array: np.ndarray, box: np.ndarray, span: tuple[int, int]) -> None:
    """Widen the box int64 (3, 2) to the nonzero voxels of the slices of span."""
    length = array.shape[2]
    for i in range(span[0], span[1]):
        for j in range(array.shape[1]):
            row = array[i, j]
            k = 0
            while k < length and row[k] == 0:
                k += 1
            if k == length:
                continue
            last = length - 1
            while row[last] == 0:
                last -= 1
            box[0, 0], box[0, 1] = min(box[0, 0], i), max(box[0, 1], i + 1)
            box[1, 0], box[1, 1] = min(box[1, 0], j), max(box[1, 1], j + 1)
            box[2, 0], box[2, 1] = min(box[2, 0], k), max(box[2, 1], last + 1)


def nonzero_box(labels: np.ndarray, *, margin: int = 0) -> Box | None:
    """Find the tight box of the nonzero voxels.

    Args:
        labels: Label map, 3-D, bool or any integers.
        margin: Voxels to add on every side, within the volume.

    Returns:
        One slice an axis; None if every voxel is zero.

    Raises:
        ContractError: If the array is no 3-D label map.
    """
    labels = label_array(labels)
    spans = slabs(labels.shape[0], labels.size)
    boxes = np.tile(np.array([2**31, 0], np.int64), (len(spans), 3, 1))
    each(_nonzero_box, [(labels, box, span) for box, span in zip(boxes, spans)])
    low, high = boxes[:, :, 0].min(axis=0, initial=2**31), boxes[:, :, 1].max(axis=0, initial=0)
    if high[0] == 0:
        return None
    return tuple(
        slice(max(int(a) - margin, 0), min(int(b) + margin, size))
        for a, b, size in zip(low, high, labels.shape)
    )


@njit
def _count_pairs(first: np.ndarray, second: np.ndarray, table: np.ndarray) -> None:
    """Add one to table[a, b] for every voxel; equal neighbours are added at once."""
    length = first.size
    k = 0
    while k < length:
        a, b = first[k], second[k]
        start = k
        k += 1
        while k < length and first[k] == a and second[k] == b:
            k += 1
        table[a, b] += k - start


def joint_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Count for every pair of labels the voxels that carry both.

    Args:
        a: Label map, 3-D, bool or any integers.
        b: Label map of the same shape.

    Returns:
        int64 (highest of a + 1, highest of b + 1); entry [x, y] counts the voxels with a == x and b == y.

    Raises:
        ContractError: If the shapes differ, an array is no 3-D label map, or the table would be huge.
    """
    a, b = label_array(a, name="a"), label_array(b, name="b")
    same_shape(a, b)
    shape = (int(a.max()) + 1, int(b.max()) + 1) if a.size else (1, 1)
    if shape[0] * shape[1] > LARGEST_TABLE:
        raise ContractError(
            f"Labels up to {shape[0] - 1} and {shape[1] - 1} need a huge table. Renumber them."
        )
    spans = slabs(a.shape[0], a.size) if shape[0] * shape[1] < 1 << 18 else [(0, a.shape[0])]
    tables = np.zeros((len(spans), *shape), np.int64)
    each(_count_pairs, [(a[s:e].ravel(), b[s:e].ravel(), t) for (s, e), t in zip(spans, tables)])
    return tables.sum(axis=0)
