"""Weighted sums of overlapping tiles in a ring buffer, and the class of what leaves it."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import _rules
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each, slabs

CHUNK = 2048
"""Voxels whose best sums and classes stay in the fastest cache."""
_added, _beats, _margin = njit(_rules.added), njit(_rules.beats), njit(_rules.margin)


def accumulate(total: np.ndarray, logits: np.ndarray, weights: np.ndarray, start: tuple[int, ...]) -> None:
    """Add one tile's weighted logits.

    Args:
        total: float32 (classes, n0, n1, n2), C-contiguous, changed in place. Axes 0 and 1 of a voxel wrap
            around, so that either may be a ring.
        logits: float32, float16 or uint8 (classes, p0, p1, p2); summed as float32.
        weights: float32 (p0, p1, p2).
        start: The tile's first voxel in the whole volume.
    """
    weights = np.ascontiguousarray(weights)
    spans = slabs(logits.shape[1], logits.size)
    each(_accumulate_part, [(total, logits, weights, start, span) for span in spans])


def _accumulate_part(
    total: np.ndarray,
    logits: np.ndarray,
    weights: np.ndarray,
    start: tuple[int, ...],
    span: tuple[int, int],
) -> None:
    """Add the rows of span, class by class; half floats are widened a class at a time."""
    low, high = span
    for sums, values in zip(total, logits):
        part = values[low:high]
        part = np.ascontiguousarray(part, np.float32 if part.dtype == np.float16 else None)
        _accumulate(sums, part, weights[low:high], (start[0] + low, start[1], start[2]))


@njit
def _accumulate(total: np.ndarray, logits: np.ndarray, weights: np.ndarray, start: tuple[int, ...]) -> None:
    """Add one class of one tile; where rows of the tile are rows of the sums, many rows go at once."""
    size0, size1, size2 = logits.shape
    length = total.shape[2]
    whole = size2 == length
    for x in range(size0):
        sums = total[(start[0] + x) % total.shape[0]].reshape(-1)
        values, factors = logits[x].reshape(-1), weights[x].reshape(-1)
        y = 0
        while y < size1:
            at = (start[1] + y) % total.shape[1]
            rows = min(size1 - y, total.shape[1] - at) if whole else 1
            target = sums[at * length + start[2] : at * length + start[2] + rows * size2]
            value = values[y * size2 : (y + rows) * size2]
            factor = factors[y * size2 : (y + rows) * size2]
            for k in range(target.size):
                target[k] = _added(target[k], factor[k], value[k])
            y += rows


def finalise(
    total: np.ndarray,
    classes: np.ndarray,
    low: tuple[int, ...],
    high: tuple[int, ...],
    margins: np.ndarray,
    axis: int,
) -> None:
    """Give every voxel of a box its class, clear its sums, and add up by how much the classes won.

    Args:
        total: float32 (classes, n0, n1, n2), C-contiguous, zeroed in place where read; axes 0 and 1 wrap
            around.
        classes: uint8 (N0, N1, N2), C-contiguous, written in place; of equal sums the first class wins.
        low: First voxel of the box in ``classes``.
        high: First voxel behind it.
        margins: float64 (classes, N of ``axis``, 2), changed in place: voxels of a class in a row, and the
            sum of their margins (``_rules.margin``); class 0 is left out.
        axis: 0 or 1; along it lie the rows.
    """
    voxels = total.shape[0] * (high[0] - low[0]) * (high[1] - low[1]) * (high[2] - low[2])
    spans = [(a + low[0], b + low[0]) for a, b in slabs(high[0] - low[0], voxels)]
    tables = np.zeros((len(spans), *margins.shape))
    box = (low[1], high[1]), (low[2], high[2])
    each(_finalise, [(total, classes, box, span, table, axis) for span, table in zip(spans, tables)])
    margins += tables.sum(axis=0)


@njit
def _finalise(
    total: np.ndarray,
    classes: np.ndarray,
    box: tuple[tuple[int, int], tuple[int, int]],
    span: tuple[int, int],
    margins: np.ndarray,
    axis: int,
) -> None:
    """Classify the slices of span; where whole rows leave, many go at once."""
    rows, columns = box
    length, size = total.shape[3], columns[1] - columns[0]
    whole = size == length and classes.shape[2] == length
    room = max(CHUNK, size)
    best, chosen = np.empty((3, room), np.float32), np.empty(room, np.uint8)
    for x in range(span[0], span[1]):
        here, line = x % total.shape[1], classes[x].reshape(-1)
        y = rows[0]
        while y < rows[1]:
            at = y % total.shape[2]
            some = min(rows[1] - y, total.shape[2] - at, max(CHUNK // length, 1)) if whole else 1
            _best(total, here, at * length + columns[0], best[:, : some * size], chosen[: some * size])
            for n in range(some):
                part = slice(n * size, (n + 1) * size)
                row = y + n if axis == 1 else x
                _add_margins(best[:, part], chosen[part], total.shape[0], margins[:, row])
            place = y * classes.shape[2] + columns[0]
            line[place : place + some * size] = chosen[: some * size]
            y += some


@njit
def _best(total: np.ndarray, x: int, start: int, best: np.ndarray, chosen: np.ndarray) -> None:
    """Write highest, second and summed sums of voxels in one row, and the highest's class; clear the sums."""
    highest, second, together = best
    for c in range(total.shape[0]):
        sums = total[c, x].reshape(-1)[start : start + highest.size]
        if c == 0:
            highest[:] = sums
            second[:] = -np.inf
            together[:] = sums
            chosen[:] = 0
        else:
            for k in range(highest.size):
                better = _beats(sums[k], highest[k])
                second[k] = highest[k] if better else max(second[k], sums[k])
                highest[k] = sums[k] if better else highest[k]
                chosen[k] = np.uint8(c) if better else chosen[k]
                together[k] += sums[k]
        sums[:] = 0


@njit
def _add_margins(best: np.ndarray, chosen: np.ndarray, n: int, margins: np.ndarray) -> None:
    """Add a row's voxels and margins to its classes."""
    for k in range(chosen.size):
        if chosen[k]:
            entry = margins[chosen[k]]
            entry[0] += 1
            entry[1] += _margin(best[0, k], best[1, k], best[2, k] / np.float32(n))
