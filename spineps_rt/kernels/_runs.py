"""Runs along axis 2 and the union-find that joins them: the heart of components, contacts and hole filling.

A run is a stretch of equal nonzero voxels in one row (axes 0 and 1 fixed). Its ends are places in a flat
volume whose rows end with one voxel of padding and whose slices end with one padded row: two runs are
neighbours if they meet once one of them has moved by a fixed distance, because nothing meets across a
border. Runs are numbered in the order of their first voxel in C order, and a tree's root is its lowest run,
so that numbering roots in order numbers components by their first voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spineps_rt.kernels.arrays import row_reaches
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each, slabs

RUN_COST = 32
"""Voxels that cost as much as a run: few runs are not worth a second thread."""


@dataclass(frozen=True)
class Runs:
    """The runs of a label map."""

    table: np.ndarray
    """int64 (runs, 3): start, stop and label."""
    first: np.ndarray
    """int64 (slices + 1): each slice's first run."""
    shape: tuple[int, ...]
    """Shape of the label map."""

    def spans(self) -> list[tuple[int, int]]:
        """Cut the slices into one piece a thread, each with about as many runs."""
        n = len(self.table)
        cuts = {int(np.searchsorted(self.first, low)) for low, _ in slabs(n, n * RUN_COST)}
        return list(pairwise(sorted({0, self.shape[0]} | cuts)))

    def earlier_rows(self, connectivity: int) -> np.ndarray:
        """List the rows around a voxel that come before its own.

        Args:
            connectivity: 6, 18 or 26.

        Returns:
            int64 (rows, 3): how far back the row lies, how far beyond the voxel straight across neighbours
            reach, and whether that voxel shares a face.
        """
        reaches = row_reaches(connectivity)
        row = self.shape[2] + 1
        plane = row * (self.shape[1] + 1)
        steps = [(0, -1), (-1, -1), (-1, 0), (-1, 1)]
        return np.array(
            [
                (-i * plane - j * row, reaches[i + 1, j + 1], i * j == 0)
                for i, j in steps
                if reaches[i + 1, j + 1] >= 0
            ],
            np.int64,
        )


def find(labels: np.ndarray, *, merged: bool) -> Runs:
    """List the runs of equal nonzero voxels along axis 2.

    Args:
        labels: uint8, uint16 or uint32, C-contiguous, 3-D.
        merged: Take all nonzero labels for one.
    """
    top = _top(labels, merged)
    first = np.zeros(len(labels) + 1, np.int64)
    if labels.size:
        each(_count, [(labels, top, first[1:], span) for span in slabs(len(labels), labels.size)])
    np.cumsum(first, out=first)
    runs = Runs(np.empty((first[-1], 3), np.int64), first, labels.shape)
    each(_find, [(labels, top, runs.table, first, span) for span in runs.spans()])
    return runs


def _top(labels: np.ndarray, merged: bool) -> np.unsignedinteger:
    """Highest label that is told from those above."""
    return labels.dtype.type(1 if merged else np.iinfo(labels.dtype).max)


def join(runs: Runs, connectivity: int) -> tuple[np.ndarray, int]:
    """Number the components that runs form.

    Args:
        runs: The runs.
        connectivity: 6, 18 or 26.

    Returns:
        Each run's component, 1 to n in order of the first run, uint32 where that suffices; and n.
    """
    rows, first, spans = runs.earlier_rows(connectivity), runs.first, runs.spans()
    numbers = np.arange(len(runs.table), dtype=np.uint32 if len(runs.table) < 2**32 else np.uint64)
    each(_join, [(runs.table, numbers, rows, (first[a], first[a], first[b])) for a, b in spans])
    for a, _ in spans[1:]:
        _join(runs.table, numbers, rows, (first[a - 1], first[a], first[a + 1]))
    return numbers, int(number_roots(numbers, 0, len(numbers), 0))


def paint(runs: Runs, values: np.ndarray) -> np.ndarray:
    """Map of each run's value; background that no run touches costs nothing."""
    out = np.zeros(runs.shape, values.dtype)
    each(_paint, [(runs.table, runs.first, values, out, span) for span in runs.spans()])
    return out


@njit
def _count(labels: np.ndarray, top: int, counts: np.ndarray, span: tuple[int, int]) -> None:
    """Count the runs of the slices of span, labels above top being top."""
    length = labels.shape[2]
    for i in range(span[0], span[1]):
        flat = labels[i].reshape(-1)
        after = flat[1:]
        count = 1 if flat[0] != 0 else 0
        for k in range(after.size):
            count += (min(after[k], top) != min(flat[k], top)) & (after[k] != 0)
        for k in range(length - 1, after.size, length):  # a row's first voxel starts a run in any case
            count += (min(after[k], top) == min(flat[k], top)) & (after[k] != 0)
        counts[i] = count


@njit
def _mark(flat: np.ndarray, top: int, length: int, marks: np.ndarray) -> None:
    """Mark the voxels of a slice at which a run starts or has stopped."""
    after, marked = flat[1:], marks[1:]
    marks[0] = flat[0] != 0
    for k in range(after.size):
        marked[k] = min(after[k], top) != min(flat[k], top)
    for k in range(length - 1, after.size, length):
        marked[k] = (after[k] != 0) | (flat[k] != 0)


@njit
def _list_marks(marks: np.ndarray, words: np.ndarray, places: np.ndarray) -> int:
    """List where marks are 1 and return how many are; words are the marks eight at a time.

    Without a branch but for the words, since where runs end cannot be foreseen.
    """
    count, eight = np.uint64(0), np.uint64(8)
    for word in range(np.uint64(words.size)):
        if words[word] != 0:
            start = np.uint64(word) * eight
            for k in range(start, start + eight):
                places[count] = k
                count += np.uint64(marks[k])
    return count


@njit
def _find(labels: np.ndarray, top: int, table: np.ndarray, first: np.ndarray, span: tuple[int, int]) -> None:
    """Write the runs of the slices of span, labels above top being top."""
    rows, length = labels.shape[1], labels.shape[2]
    marks = np.zeros((rows * length + 7) // 8 * 8, np.uint8)
    places = np.empty(marks.size + 1, np.int64)
    words = marks.view(np.uint64)
    for i in range(span[0], span[1]):
        run = first[i]
        if run == first[i + 1]:
            continue
        flat = labels[i].reshape(-1)
        _mark(flat, top, length, marks)
        stop, shift = 0, 0
        value = flat.dtype.type(0)
        for mark in range(_list_marks(marks, words, places)):
            k = places[mark]
            if value != 0:
                table[run, 1] = k + shift
                run += 1
            value = min(flat[k], top)
            if value != 0:
                if k >= stop:
                    row = k // length
                    stop = (row + 1) * length
                    shift = i * (rows + 1) * (length + 1) + row
                table[run, 0] = k + shift
                table[run, 2] = value
        if value != 0:
            table[run, 1] = flat.size + shift


@njit
def root_of(parents: np.ndarray, run: int) -> int:
    """Find a run's root, halving the path on the way."""
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@njit
def _join(table: np.ndarray, parents: np.ndarray, rows: np.ndarray, span: tuple[int, int, int]) -> None:
    """Join runs of one label that are neighbours, each of span[1] to span[2] to those from span[0] on.

    Both lists are in order, so one sweep a row of neighbours finds them all; no sweep overtakes itself, as
    earlier rows lie a row's length back at least. Indices are unsigned, which spares the check for negative
    ones.
    """
    one = np.uint64(1)
    for row in range(len(rows)):
        back, reach = rows[row, 0], rows[row, 1]
        other, run, end = np.uint64(span[0]), np.uint64(span[1]), np.uint64(span[2])
        while run < end:
            start, stop = table[run, 0] - back - reach, table[run, 1] - back + reach
            while table[other, 1] <= start:
                other += one
            at = other
            while table[at, 0] < stop:
                if (table[at, 2] == table[run, 2]) & (parents[at] != parents[run]):
                    a, b = root_of(parents, at), root_of(parents, run)
                    parents[max(a, b)] = min(a, b)
                    parents[run] = min(a, b)
                at += one
            run += one


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
def _paint(
    table: np.ndarray, first: np.ndarray, values: np.ndarray, out: np.ndarray, span: tuple[int, int]
) -> None:
    """Write each run's value into the zeroed slices of span."""
    row_length = out.shape[2] + 1
    for i in range(span[0], span[1]):
        flat = out[i].reshape(-1)
        base = i * (out.shape[1] + 1) * row_length
        stop, shift = 0, 0
        for run in range(first[i], first[i + 1]):
            if table[run, 0] >= stop:
                row = (table[run, 0] - base) // row_length
                stop, shift = base + (row + 1) * row_length, base + row
            value = values[run]
            if value != 0:
                for k in range(table[run, 0] - shift, table[run, 1] - shift):
                    flat[k] = value
