"""Connected components of label maps, as cc3d numbers them."""

from __future__ import annotations

from typing import cast

import numpy as np

from spineps_rt.kernels import _runs, _voxels
from spineps_rt.kernels._arrays import as_words, label_array, row_reaches
from spineps_rt.kernels._threads import each, slabs
from spineps_rt.kernels.relabel import look_up

SHORT = 8
"""Mean length in voxels, background included, below which runs cost more than voxels one by one."""


def label(labels: np.ndarray, *, connectivity: int = 26, merged: bool = False) -> tuple[np.ndarray, int]:
    """Number the connected components of a label map.

    Two neighbouring voxels belong together if they carry the same nonzero label. Components are numbered in
    the order of their first voxel in C order: this is the order of ``cc3d.connected_components`` for a
    C-ordered array, on which SPINEPS 2.1.3 depends where it breaks ties between components. (cc3d numbers a
    Fortran-ordered array in Fortran order; TPTBox hands it the C-ordered copies of ``get_seg_array``.)
    TPTBox's connectivity 1, 2, 3 is 6, 18, 26 here.

    Args:
        labels: Label map, 3-D, bool or any integers.
        connectivity: 6 (faces), 18 (and edges) or 26 (and corners).
        merged: Take all nonzero labels for one.

    Returns:
        uint32 array of the same shape, 0 where the label is 0, and the number of components n.

    Raises:
        ContractError: If the array is no 3-D label map or the connectivity is unknown.
    """
    labels = label_array(labels)
    reaches = row_reaches(connectivity)
    found = find_long_runs(labels, merged=merged)
    if found is None and labels.size <= _voxels.MOST_VOXELS:
        return _voxels.label(labels, connectivity=connectivity, merged=merged)
    runs, first = found or find_runs(labels, merged=merged)
    numbers, total = join_runs(runs, first, labels.shape, reaches)
    return _paint(runs, first, numbers.astype(np.uint32), labels.shape), total


def find_runs(labels: np.ndarray, *, merged: bool) -> tuple[np.ndarray, np.ndarray]:
    """List the runs of equal nonzero voxels along axis 2.

    Args:
        labels: uint8, uint16 or uint32, C-contiguous, 3-D.
        merged: Take all nonzero labels for one.

    Returns:
        int32 (runs, 3) with start, stop and label (which wraps above 2147483647), and int64 (rows + 1) with
        each row's first run.
    """
    found = find_long_runs(labels, merged=merged)
    if found is None:
        found = _find_runs(labels, merged, room=1)
    return cast("tuple[np.ndarray, np.ndarray]", found)  # there is room for a run a voxel


def find_long_runs(labels: np.ndarray, *, merged: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """As :func:`find_runs`, but None if runs are short, so that voxels one by one are the faster way."""
    return _find_runs(labels, merged, room=SHORT)


def _find_runs(labels: np.ndarray, merged: bool, *, room: int) -> tuple[np.ndarray, np.ndarray] | None:
    """List the runs if there are not more than one in so many voxels of any slab."""
    if labels.dtype == np.uint32:
        labels = labels.view(np.int32)  # a run holds its label as int32; only equality matters
    slices, rows, length = labels.shape
    first = np.zeros(slices * rows + 1, np.int64)
    pieces = []
    for low, high in slabs(slices, labels.size, each_thread=4) if labels.size else []:
        flat = labels[low:high].reshape(-1)
        runs = np.empty((flat.size // room + 1, 3), np.int32)  # pages that stay empty cost nothing
        at = first[low * rows : high * rows]
        pieces.append((flat, as_words(flat), merged, at, runs, (length, 3 - int(np.log2(labels.itemsize)))))
    counts = each(_runs.find_runs, pieces)
    if -1 in counts:
        return None
    ends = np.cumsum([0, *counts])
    for piece, offset in zip(pieces, ends):
        piece[3][:] += offset
    first[-1] = ends[-1]
    empty = np.empty((0, 3), np.int32)
    return np.concatenate([empty, *(piece[4][:n] for piece, n in zip(pieces, counts))]), first


def join_runs(
    runs: np.ndarray, first: np.ndarray, shape: tuple[int, ...], reaches: np.ndarray
) -> tuple[np.ndarray, int]:
    """Number the components that runs form.

    Args:
        runs: As :func:`find_runs` lists them.
        first: Each row's first run.
        shape: Shape of the volume.
        reaches: The neighbourhood, from :func:`~spineps_rt.kernels._arrays.row_reaches`.

    Returns:
        Each run's component, 1 to n in order of the first run, and n.
    """
    rows, pieces = shape[1], slabs(shape[0], shape[0] * shape[1] * shape[2], each_thread=4)
    numbers = np.arange(len(runs), dtype=np.int32 if len(runs) < 2**31 else np.int64)
    each(_runs.join_slices, [(runs, first, numbers, reaches, (rows, a, b, a)) for a, b in pieces])
    for low, _ in pieces[1:]:
        _runs.join_slices(runs, first, numbers, reaches, (rows, low, low + 1, low - 1))
    return numbers, int(_runs.number_roots(numbers, 0, len(numbers), 0))


def rank(
    labels: np.ndarray,
    *,
    keep: int | None = None,
    minimum: int = 0,
    connectivity: int = 26,
    per_label: bool = True,
) -> tuple[np.ndarray, int]:
    """Number the connected components by decreasing size, as TPTBox ``np_filter_connected_components`` does.

    Of components of one size the earlier in C order comes first.

    Args:
        labels: Label map, 3-D, bool or any integers.
        keep: How many of the largest to keep; None keeps all.
        minimum: Components of fewer voxels are dropped.
        connectivity: 6, 18 or 26.
        per_label: Keep so many of each label; else so many in all.

    Returns:
        uint32 array of the same shape, 0 where nothing was kept, and the number of components kept.

    Raises:
        ContractError: If the array is no 3-D label map or the connectivity is unknown.
    """
    found = _Components(label_array(labels), connectivity)
    table, kept = found.ranks(keep=keep, minimum=minimum, per_label=per_label)
    return found.paint(table), kept


def keep_largest(
    labels: np.ndarray, k: int = 1, *, connectivity: int = 26, per_label: bool = True
) -> np.ndarray:
    """Zero everything but the k largest components of each label.

    Args:
        labels: Label map, 3-D, bool or any integers.
        k: How many components to keep.
        connectivity: 6, 18 or 26.
        per_label: Keep k of each label; else k in all.

    Returns:
        A new array of the same type.

    Raises:
        ContractError: If the array is no 3-D label map or the connectivity is unknown.
    """
    found = _Components(label_array(labels), connectivity)
    table, _ = found.ranks(keep=k, minimum=0, per_label=per_label)
    return found.select(table != 0, labels.dtype)


def dust(labels: np.ndarray, minimum: int, *, connectivity: int = 26) -> np.ndarray:
    """Zero the components of fewer voxels than a threshold.

    Equals ``cc3d.dust`` and TPTBox ``np_filter_connected_components(min_volume=...)``.

    Args:
        labels: Label map, 3-D, bool or any integers.
        minimum: Components of fewer voxels than this go.
        connectivity: 6, 18 or 26.

    Returns:
        A new array of the same type.

    Raises:
        ContractError: If the array is no 3-D label map or the connectivity is unknown.
    """
    found = _Components(label_array(labels), connectivity)
    return found.select(found.sizes >= minimum, labels.dtype)


class _Components:
    """The components of a label map, as runs where these are long, else as a map, with sizes and labels."""

    def __init__(self, labels: np.ndarray, connectivity: int) -> None:
        self.labels = labels
        reaches = row_reaches(connectivity)
        self.runs = find_long_runs(labels, merged=False)
        if self.runs is None and labels.size > _voxels.MOST_VOXELS:
            self.runs = find_runs(labels, merged=False)
        if self.runs is not None:
            runs, first = self.runs
            self.numbers, n = join_runs(runs, first, labels.shape, reaches)
            self.sizes, self.owners = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.uint32)
            np.add.at(self.sizes, self.numbers, runs[:, 1] - runs[:, 0])
            self.owners[self.numbers] = runs[:, 2].view(np.uint32)
        else:
            self.numbers, n = _voxels.label(labels, connectivity=connectivity, merged=False)
            self.sizes, self.owners = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.uint32)
            _voxels.measure(self.numbers.reshape(-1), labels.reshape(-1), self.sizes, self.owners)
        self.sizes[0] = 0

    def ranks(self, *, keep: int | None, minimum: int, per_label: bool) -> tuple[np.ndarray, int]:
        """Rank of each component, 1 for the largest, 0 where it is not kept; and how many are."""
        order = 1 + np.argsort(-self.sizes[1:], kind="stable")
        order = order[self.sizes[order] >= minimum]
        if keep is not None and per_label:
            by_label = np.argsort(self.owners[order], kind="stable")
            values = self.owners[order][by_label]
            place = np.empty(len(order), np.int64)
            place[by_label] = np.arange(len(order)) - np.searchsorted(values, values)
            order = order[place < keep]
        elif keep is not None:
            order = order[:keep]
        table = np.zeros(len(self.sizes), np.uint32)
        table[order] = np.arange(1, len(order) + 1)
        return table, len(order)

    def paint(self, table: np.ndarray) -> np.ndarray:
        """Map of table[component]."""
        if self.runs is None:
            return look_up(self.numbers, table)
        return _paint(*self.runs, table[self.numbers], self.labels.shape)

    def select(self, kept: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Map of the labels of the components that are kept."""
        if self.runs is None:
            out = np.empty(self.labels.shape, dtype)
            parts = [a.reshape(len(a), -1) for a in (self.numbers, self.labels, out)]
            spans = slabs(len(out), out.size)
            each(_voxels.select, [(*(p[a:b].reshape(-1) for p in parts), kept) for a, b in spans])
            return out
        values = self.runs[0][:, 2].view(np.uint32) * kept[self.numbers]
        return _paint(*self.runs, values.astype(dtype), self.labels.shape)


def _paint(runs: np.ndarray, first: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Map of each run's value; background that no run touches costs nothing."""
    out = np.zeros(shape, values.dtype)
    spans = slabs(len(out), out.size, each_thread=4)
    each(_runs.paint_runs, [(runs, first, values, out, a, b) for a, b in spans])
    return out
