"""Connected components of label maps, as cc3d numbers them."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import _runs
from spineps_rt.kernels._arrays import label_array, row_reaches
from spineps_rt.kernels._threads import each, slabs


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
    ids = np.zeros(labels.shape, np.uint32)  # untouched background pages cost nothing
    runs, first = find_runs(labels, merged=merged)
    numbers, total = join_runs(runs, first, labels.shape, reaches)
    each(_runs.paint_runs, [(runs, first, numbers, ids, a, b) for a, b in slabs(len(ids), ids.size)])
    return ids, total


def find_runs(labels: np.ndarray, *, merged: bool) -> tuple[np.ndarray, np.ndarray]:
    """List the runs of equal nonzero voxels along axis 2.

    Args:
        labels: uint8, uint16 or uint32, C-contiguous, 3-D.
        merged: Take all nonzero labels for one.

    Returns:
        int32 (runs, 3) with start, stop and label (which wraps above 2147483647), and int64 (rows + 1) with
        each row's first run.
    """
    if labels.dtype == np.uint32:
        labels = labels.view(np.int32)  # a run holds its label as int32; only equality matters
    pieces = slabs(labels.shape[0], labels.size)
    counts = np.zeros(labels.shape[:2], np.int64)
    each(_runs.count_runs, [(labels, merged, counts, a, b) for a, b in pieces])
    first = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts.ravel(), out=first[1:])
    runs = np.empty((int(first[-1]), 3), np.int32)
    each(_runs.find_runs, [(labels, merged, first, runs, a, b) for a, b in pieces])
    return runs, first


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
    rows, pieces = shape[1], slabs(shape[0], shape[0] * shape[1] * shape[2])
    numbers = np.arange(len(runs), dtype=np.int32 if len(runs) < 2**31 else np.int64)
    each(_runs.join_slices, [(runs, first, numbers, reaches, (rows, a, b, a)) for a, b in pieces])
    for low, _ in pieces[1:]:
        _runs.join_slices(runs, first, numbers, reaches, (rows, low, low + 1, low - 1))
    return numbers, int(_runs.number_roots(numbers))


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
    labels = label_array(labels)
    ids, total = label(labels, connectivity=connectivity)
    sizes = np.bincount(ids.ravel(), minlength=total + 1)
    order = 1 + np.argsort(-sizes[1:], kind="stable")
    order = order[sizes[order] >= minimum]
    if keep is not None and per_label:
        owner = np.zeros(total + 1, np.int64)
        owner[ids.ravel()] = labels.ravel()
        place = np.zeros(len(order), np.int64)
        for value in np.unique(owner[order]):
            members = owner[order] == value
            place[members] = np.arange(members.sum())
        order = order[place < keep]
    elif keep is not None:
        order = order[:keep]
    table = np.zeros(total + 1, np.uint32)
    table[order] = np.arange(1, len(order) + 1)
    return table[ids], len(order)


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
    kept, _ = rank(labels, keep=k, connectivity=connectivity, per_label=per_label)
    return np.where(kept != 0, labels, np.zeros((), labels.dtype))
