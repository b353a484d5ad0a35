"""Runs along axis 2 and the union-find that joins them: the heart of components and hole filling.

A run is a stretch of equal nonzero voxels in one row (axes 0 and 1 fixed). Runs are numbered in the order
of their first voxel in C order, and a tree's root is its lowest run, so that numbering roots in order
numbers components by their first voxel.
"""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels._jit import njit


@njit
def _skip_zeros(flat: np.ndarray, words: np.ndarray, p: int, shift: int) -> int:
    """Find the first voxel from p on that is not zero, whole words of zeros at once."""
    while p < flat.size and flat[p] == 0:
        word = p >> shift
        if word < words.size and words[word] == 0:
            word += 1
            while word < words.size and words[word] == 0:
                word += 1
            p = word << shift
        else:
            p += 1
    return p


@njit
def find_runs(
    flat: np.ndarray,
    words: np.ndarray,
    merged: bool,
    first: np.ndarray,
    runs: np.ndarray,
    row: tuple[int, int],
) -> int:
    """List the runs of a slab and tell how many they are, or -1 if there is no room for all.

    Args:
        flat: The slab's voxels, 1-D.
        words: The same voxels, eight bytes at a time, without those that fill no word.
        merged: Take all nonzero labels for one.
        first: int64 (rows), the place of each row's first run, written.
        runs: int32 (most, 3), start, stop and label, written.
        row: Voxels a row, and the binary logarithm of the voxels a word.
    """
    length, shift = row
    p, at, line, stop = 0, 0, 0, 0
    first[0] = 0
    while True:
        p = _skip_zeros(flat, words, p, shift)
        if p >= flat.size:
            break
        if at == len(runs):
            return -1
        if p >= stop:
            here = p // length
            for skipped in range(line + 1, here + 1):
                first[skipped] = at
            line, stop = here, (here + 1) * length
        value = flat[p]
        runs[at, 0] = p - (stop - length)
        runs[at, 2] = 1 if merged else value
        p += 1
        while p < stop and (flat[p] == value or (merged and flat[p] != 0)):
            p += 1
        runs[at, 1] = p - (stop - length)
        at += 1
    for skipped in range(line + 1, len(first)):
        first[skipped] = at
    return at


@njit
def root_of(parents: np.ndarray, run: int) -> int:
    """Find a run's root, halving the path on the way."""
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@njit
def join_rows(runs: np.ndarray, parents: np.ndarray, rows: tuple[int, int, int, int], reach: int) -> None:
    """Join the runs of two rows that touch and are of one value; rows holds both ranges of runs."""
    left, left_end, here, here_end = rows
    for run in range(here, here_end):
        start, stop, value = runs[run, 0] - reach, runs[run, 1] + reach, runs[run, 2]
        while left < left_end and runs[left, 1] <= start:
            left += 1
        other = left
        while other < left_end and runs[other, 0] < stop:
            if runs[other, 2] == value and parents[run] != parents[other]:
                a, b = root_of(parents, parents[run]), root_of(parents, parents[other])
                low = min(a, b)
                parents[max(a, b)] = low
                parents[run] = low
            other += 1


@njit
def join_slices(
    runs: np.ndarray,
    first: np.ndarray,
    parents: np.ndarray,
    reaches: np.ndarray,
    span: tuple[int, int, int, int],
) -> None:
    """Join every row of the slices low to high to its earlier neighbours.

    span is (rows a slice, low, high, lowest slice that may be joined to); with the last equal to low a slab
    touches only its own runs, so slabs can be joined side by side and their seams afterwards.
    """
    rows, low, high, lowest = span
    for i in range(low, high):
        for j in range(rows):
            here = first[i * rows + j]
            end = first[i * rows + j + 1]
            if here == end:
                continue
            if j > 0 and lowest <= i and low == lowest:
                row = i * rows + j - 1
                join_rows(runs, parents, (first[row], first[row + 1], here, end), reaches[1, 0])
            if i - 1 < lowest:
                continue
            for dj in range(-1, 2):
                row = (i - 1) * rows + j + dj
                if reaches[0, dj + 1] >= 0 and 0 <= j + dj < rows and first[row] < first[row + 1]:
                    join_rows(runs, parents, (first[row], first[row + 1], here, end), reaches[0, dj + 1])


@njit
def number_roots(parents: np.ndarray, low: int, high: int, total: int) -> int:
    """Replace parents by their component's number, counting on from total, and return the last number.

    Every parent is lower than its child or a root, so that it has its number when the child comes.
    """
    for run in range(low, high):
        if parents[run] == run:
            total += 1
            parents[run] = total
        else:
            parents[run] = parents[parents[run]]
    return total


@njit
def paint_runs(
    runs: np.ndarray, first: np.ndarray, values: np.ndarray, out: np.ndarray, low: int, high: int
) -> None:
    """Write each run's value into the zeroed output, slices low to high."""
    rows = out.shape[1]
    for i in range(low, high):
        for j in range(rows):
            row = out[i, j]
            for run in range(first[i * rows + j], first[i * rows + j + 1]):
                value = values[run]
                if value != 0:
                    for k in range(runs[run, 0], runs[run, 1]):
                        row[k] = value
