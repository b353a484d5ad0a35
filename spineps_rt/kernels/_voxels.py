"""Connected components voxel by voxel: for label maps whose runs are short, as in noise.

A voxel has 13 neighbours before it in C order. Which of them carry its label is one number of 13 bits, which
the processor finds for many voxels at once; a table then tells which neighbours the voxel must be joined to.
These are few, because neighbours that touch one another have been joined before.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from spineps_rt.kernels._runs import number_roots, root_of
from spineps_rt.kernels.arrays import MAXIMAL_DISTANCE, number_type
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each, slabs

STEPS = np.array([(i, j, k) for i in (-1, 0) for j in (-1, 0, 1) for k in (-1, 0, 1)][:13])
"""The neighbours before a voxel in C order; a neighbour's place here is its bit."""
NEW = 15
"""In the table: the voxel starts a component of its own."""
MOST_VOXELS = (1 << 32) - 2
"""Every voxel may need a label of 32 bits."""


def label(labels: np.ndarray, *, connectivity: int, merged: bool) -> tuple[np.ndarray, int]:
    """Number the connected components, as :func:`~spineps_rt.kernels.components.label` does.

    Args:
        labels: uint8, uint16 or uint32, C-contiguous, 3-D, of at most MOST_VOXELS voxels.
        connectivity: 6, 18 or 26.
        merged: Take all nonzero labels for one.

    Returns:
        Array of the same shape, 0 where the label is 0, and the number of components.
    """
    ids = np.zeros(labels.shape, np.uint32)
    plane = labels.shape[1] * labels.shape[2]
    parents = np.empty(labels.size + 2, np.uint32)  # pages that stay empty cost nothing
    parents[0] = 0
    table = joins(connectivity)
    back = np.zeros(16, np.uint64)
    back[1:14] = -STEPS @ (plane, labels.shape[2], 1)
    plan = (table, back)
    spans = slabs(len(labels), labels.size)
    # a slab's provisional labels start at the number of its first voxel, so that no two slabs share any
    each_slab = [(labels, merged, plan, ids, parents, span) for span in spans]
    ends = each(_label_slab, each_slab)
    for low, _ in spans[1:]:
        _join_seam(labels, merged, plan, ids, parents, low)
    total = 0
    for (low, _), end in zip(spans, ends):
        total = number_roots(parents, low * plane + 1, end, total)
    out = np.empty(ids.shape, number_type(total))
    parts = (ids.reshape(len(ids), -1), out.reshape(len(out), -1))
    each(_renumber, [(*(p[low:high].reshape(-1) for p in parts), parents) for low, high in spans])
    return out, int(total)


@cache
def joins(connectivity: int) -> np.ndarray:
    """Make the table that tells from the neighbours of a voxel's label which to join it to.

    Args:
        connectivity: 6, 18 or 26.

    Returns:
        uint16 (2 ** 14): up to four neighbours, four bits each, the first in the lowest bits; a neighbour is
        its place in STEPS plus one, NEW says that there is none. The index has a bit for each neighbour that
        carries the label, and bit 13 for the voxel itself, without which there is nothing to join.
    """
    reach = MAXIMAL_DISTANCE[connectivity]
    apart = np.abs(STEPS[:, None] - STEPS[None])
    touching = (apart.max(axis=2) <= 1) & (apart.sum(axis=2) <= reach)
    masks = [sum(1 << int(b) for b in np.flatnonzero(row)) for row in touching]
    direct = [int(b) for b in np.argsort(np.abs(STEPS).sum(axis=1)) if np.abs(STEPS[b]).sum() <= reach]
    table = np.zeros(1 << 14, np.uint16)
    for present in range(1 << 13):
        code = places = reached = 0
        for bit in direct:
            if present >> bit & 1 and not reached >> bit & 1:
                code |= (bit + 1) << places
                places += 4
                reached |= _grow(1 << bit, present, masks)
        table[present | 1 << 13] = code or NEW
    return table


def _grow(seed: int, present: int, touching: list[int]) -> int:
    """Every neighbour that the seed reaches by way of neighbours of the same label."""
    while True:
        grown = seed
        for bit, mask in enumerate(touching):
            if seed >> bit & 1:
                grown |= mask & present
        if grown == seed:
            return grown
        seed = grown


@njit
def _copy_padded(plane: np.ndarray, merged: bool, out: np.ndarray) -> None:
    """Copy a slice into a zeroed one with a rim: a row above, a row below, a column that ends every row."""
    rows, length = plane.shape
    for j in range(rows):
        row, line = plane[j], out[(j + 1) * (length + 1) : (j + 2) * (length + 1)]
        if merged:
            for k in range(length):
                line[k] = 1 if row[k] != 0 else 0
        else:
            for k in range(length):
                line[k] = row[k]


@njit
def _match(flat: np.ndarray, at: int, before: int, row: int, out: np.ndarray) -> None:
    """Tell for the voxels of flat from at on which neighbours carry their label, bit 13 for the voxel.

    The slice before starts before voxels further back, which may be negative; row is the length of a row.
    """
    here, there = flat[at:], at - before
    a, b, c = flat[there - row - 1 :], flat[there - 1 :], flat[there + row - 1 :]
    d, e = flat[at - row - 1 :], flat[at - 1 :]
    a1, a2, b1, b2, c1, c2, d1, d2 = a[1:], a[2:], b[1:], b[2:], c[1:], c[2:], d[1:], d[2:]
    kind = out.dtype.type
    for k in range(out.size):
        value = here[k]
        bits = kind(1 << 13) | kind(1 if a[k] == value else 0)
        bits |= kind(2 if a1[k] == value else 0)
        bits |= kind(4 if a2[k] == value else 0)
        bits |= kind(8 if b[k] == value else 0)
        bits |= kind(16 if b1[k] == value else 0)
        bits |= kind(32 if b2[k] == value else 0)
        bits |= kind(64 if c[k] == value else 0)
        bits |= kind(128 if c1[k] == value else 0)
        bits |= kind(256 if c2[k] == value else 0)
        bits |= kind(512 if d[k] == value else 0)
        bits |= kind(1024 if d1[k] == value else 0)
        bits |= kind(2048 if d2[k] == value else 0)
        bits |= kind(4096 if e[k] == value else 0)
        out[k] = bits if value != 0 else kind(0)


@njit
def _label_row(
    near: np.ndarray,
    plan: tuple[np.ndarray, np.ndarray],
    ids: np.ndarray,
    start: int,
    parents: np.ndarray,
    count: int,
) -> int:
    """Give the voxels of one row provisional labels; return the next unused one.

    Without a branch but for joins: what a voxel needs differs too much from the next one's to be foreseen.
    The plan is the table of :func:`joins` and how far back in ids each neighbour lies.
    """
    table, back = plan
    low = np.uint64(15)
    four = np.uint64(4)
    for k in range(near.size):
        code = np.uint64(table[np.uint64(near[k])])
        p = np.uint64(start + k)
        new = np.uint64(code == low)
        parents[count] = count
        label = np.uint32(ids[p - back[code & low]] + count * new)  # a new one is still zero itself
        count += new
        ids[p] = label
        code >>= four
        while code != 0:
            other = ids[p - back[code & low]]
            if other != label:
                label = _join(parents, label, other)
            code >>= four
    return count


@njit
def _join(parents: np.ndarray, a: int, b: int) -> int:
    """Join two trees and return the root."""
    a, b = root_of(parents, a), root_of(parents, b)
    root = min(a, b)
    parents[max(a, b)] = root
    return root


@njit
def _workspace(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Room for two padded slices with a rim before and behind, and for the patterns of one."""
    rows, length = labels.shape[1], labels.shape[2]
    slices = np.zeros(2 * (rows + 2) * (length + 1) + 2 * (length + 2), labels.dtype)
    return slices, np.empty((rows, length + 1), np.uint16)


@njit
def _find_patterns(
    labels: np.ndarray, merged: bool, i: int, slices: np.ndarray, patterns: np.ndarray
) -> None:
    """Write the patterns of slice i, after those of slice i - 1: slices keeps the last two in turn."""
    rows, length = labels.shape[1], labels.shape[2]
    size, rim = (rows + 2) * (length + 1), length + 2
    half = (i % 2) * size
    _copy_padded(labels[i], merged, slices[rim + half : rim + half + size])
    _match(slices, rim + half + length + 1, 2 * half - size, length + 1, patterns.reshape(-1))


@njit
def _label_slab(
    labels: np.ndarray,
    merged: bool,
    plan: tuple[np.ndarray, np.ndarray],
    ids: np.ndarray,
    parents: np.ndarray,
    span: tuple[int, int],
) -> int:
    """Label the slices of span as if there were no others; return the next unused label."""
    rows, length = labels.shape[1], labels.shape[2]
    slices, patterns = _workspace(labels)
    flat = ids.reshape(-1)
    count = np.uint64(span[0] * rows * length + 1)
    for i in range(span[0], span[1]):
        _find_patterns(labels, merged, i, slices, patterns)
        for j in range(rows):
            start = (i * rows + j) * length
            count = _label_row(patterns[j, :length], plan, flat, start, parents, count)
    return count


@njit
def _join_seam(
    labels: np.ndarray,
    merged: bool,
    plan: tuple[np.ndarray, np.ndarray],
    ids: np.ndarray,
    parents: np.ndarray,
    i: int,
) -> None:
    """Join slice i with the one before."""
    table, back = plan
    rows, length = labels.shape[1], labels.shape[2]
    slices, patterns = _workspace(labels)
    flat = ids.reshape(-1)
    for there in (i - 1, i):
        _find_patterns(labels, merged, there, slices, patterns)
    for j in range(rows):
        for k in range(length):
            code = np.uint64(table[np.uint64(patterns[j, k])])
            p = np.uint64((i * rows + j) * length + k)
            while code != 0:
                other = flat[p - back[code & np.uint64(15)]]
                if other != flat[p]:
                    _join(parents, flat[p], other)
                code >>= np.uint64(4)


@njit
def _renumber(ids: np.ndarray, out: np.ndarray, numbers: np.ndarray) -> None:
    """Look up the component's number of each provisional label."""
    for k in range(ids.size):
        out[k] = numbers[ids[k]]


@njit
def measure(ids: np.ndarray, labels: np.ndarray, sizes: np.ndarray, owners: np.ndarray) -> None:
    """Count each component's voxels and note its label; all voxels in one row.

    sizes has four rows, which voxels take in turn, so that none waits for its neighbour's count.
    """
    for k in range(ids.size):
        sizes[k & 3, ids[k]] += 1
        owners[ids[k]] = labels[k]


@njit
def select(ids: np.ndarray, labels: np.ndarray, out: np.ndarray, kept: np.ndarray) -> None:
    """Copy the labels of the components that are kept, zero the others; all voxels in one row."""
    for k in range(ids.size):
        out[k] = labels[k] * kept[ids[k]]  # no branch: noise could not be foreseen
