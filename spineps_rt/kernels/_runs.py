"""Runs along axis 2 and the union-find that joins them: the heart of components and hole filling.

A run is a stretch of equal nonzero voxels in one row (axes 0 and 1 fixed). Runs are numbered in the order
of their first voxel in C order, and a tree's root is its lowest run, so that numbering roots in order
numbers components by their first voxel.
"""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels._jit import njit


@njit
def count_runs(labels: np.ndarray, merged: bool, counts: np.ndarray, low: int, high: int) -> None:
    """Count the runs of every row of the slices low to high; counts is (slices, rows)."""
    for i in range(low, high):
        for j in range(labels.shape[1]):
            row = labels[i, j]
            total = 0
            if row.size > 0 and row[0] != 0:
                total = 1
            if merged:
                for k in range(1, row.size):
                    total += (row[k] != 0) & (row[k - 1] == 0)
            else:
                for k in range(1, row.size):
                    total += (row[k] != 0) & (row[k] != row[k - 1])
            counts[i, j] = total


@njit
def find_runs(
    labels: np.ndarray, merged: bool, first: np.ndarray, runs: np.ndarray, low: int, high: int
) -> None:
    """Write start, stop and value of every run; first is (slices * rows + 1), runs int32 (total, 3)."""
    rows, length = labels.shape[1], labels.shape[2]
    for i in range(low, high):
        for j in range(rows):
            at, end = first[i * rows + j], first[i * rows + j + 1]
            row = labels[i, j]
            k = 0
            while at < end:
                while row[k] == 0:
                    k += 1
                value = row[k]
                runs[at, 0] = k
                runs[at, 2] = 1 if merged else value
                k += 1
                while k < length and (row[k] == value or (merged and row[k] != 0)):
                    k += 1
                runs[at, 1] = k
                at += 1


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
        root = root_of(parents, run)
        other = left
        while other < left_end and runs[other, 0] < stop:
            if runs[other, 2] == value:
                met = root_of(parents, other)
                if met < root:
                    parents[root] = met
                    root = met
                elif met > root:
                    parents[met] = root
            other += 1
        parents[run] = root


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
                if reaches[0, dj + 1] >= 0 and 0 <= j + dj < rows:
                    row = (i - 1) * rows + j + dj
                    join_rows(runs, parents, (first[row], first[row + 1], here, end), reaches[0, dj + 1])


@njit
def number_roots(parents: np.ndarray) -> int:
    """Replace every run's parent by its component's number, 1 to n in order of the first run; return n."""
    total = 0
    for run in range(parents.size):
        if parents[run] == run:
            total += 1
            parents[run] = -total
        else:
            parents[run] = parents[parents[run]]
    for run in range(parents.size):
        parents[run] = -parents[run]
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
                for k in range(runs[run, 0], runs[run, 1]):
                    row[k] = values[run]
