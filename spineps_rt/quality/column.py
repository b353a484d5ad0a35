"""The column in numbers: where every body and disc lies, how high, deep and wide it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spineps_rt import labels as L
from spineps_rt.kernels import components, moments, statistics

PIECE = 0.35
"""A disc's piece smaller than this share of its largest is a crumb."""
_SIDE = np.sqrt(12.0)
"""Length of a block over the standard deviation of its voxels."""


@dataclass(frozen=True, eq=False)
class Part:
    """A vertebral body, a disc or the sacrum; lengths in mm are those of a block of the same spread."""

    label: int
    """In the vertebra mask."""
    ml: float
    """Volume."""
    centre: np.ndarray
    """float64 (3,): mm from the first voxel to posterior, inferior and right."""
    height: float
    """Along the column."""
    depth: float
    """From front to back, at right angles to the column."""
    width: float
    """From side to side."""
    cut: bool
    """Whether it reaches the scan's upper, lower, front or back edge."""
    pieces: int = 1
    """How many of a disc there are."""


@dataclass(frozen=True, eq=False)
class Column:
    """Everything along the spine, from the head downwards."""

    bodies: tuple[Part, ...]
    """Of the vertebrae with a body."""
    discs: dict[int, Part]
    """Disc below vertebra v, by v."""
    sacrum: Part | None
    """The sacrum."""
    canal: np.ndarray
    """float64 (rows, 3): centre of canal and cord in each row that shows them, mm as the parts' centres."""
    rows: np.ndarray
    """int64: voxels of canal and cord in each row of the scan (P, I, R), from the first to the last."""
    voxel: tuple[float, float, float]
    """mm, (P, I, R)."""
    sides: dict[str, float]
    """Millilitres of the processes, ``left`` and ``right``."""
    across: float = 0.0
    """Width of the scan from right to left, mm."""

    @property
    def pitches(self) -> np.ndarray:
        """Distances of neighbouring bodies' centres, mm, float64 (bodies - 1,)."""
        centres = np.array([part.centre for part in self.bodies]).reshape(-1, 3)
        return np.linalg.norm(np.diff(centres, axis=0), axis=1)


_LEFT = (L.COSTAL_LEFT, L.SUPERIOR_ARTICULAR_LEFT, L.INFERIOR_ARTICULAR_LEFT)
_RIGHT = (L.COSTAL_RIGHT, L.SUPERIOR_ARTICULAR_RIGHT, L.INFERIOR_ARTICULAR_RIGHT)


def measure_column(
    semantic: np.ndarray,
    instances: np.ndarray,
    *,
    spacing: tuple[float, float, float],
    shown: np.ndarray | None = None,
) -> Column:
    """Measure bodies, discs, sacrum and canal.

    Args:
        semantic: uint8 (P, I, R), final structures.
        instances: uint16 (P, I, R), final vertebrae, discs and endplates.
        spacing: mm, (P, I, R).
        shown: int64 (2, 2): first voxel with signal and the one behind the last, along P and along I; what
            reaches them is cut. None takes the scan's edges.

    Returns:
        The column; vertebrae without a body are left out.
    """
    box = statistics.nonzero_box(semantic)
    shape = semantic.shape
    if box is None:
        return Column((), {}, None, np.zeros((0, 3)), np.zeros(shape[1], np.int64), spacing, {})
    start = np.array([side.start for side in box])
    sem, inst = np.ascontiguousarray(semantic[box]), np.ascontiguousarray(instances[box])
    ids = _parts(sem, inst)
    found = moments.moments(ids, 2 * L.DISC_OFFSET)
    boxes = statistics.region_statistics(ids, 2 * L.DISC_OFFSET).boxes + start[:, None]
    ends = np.array([[0, n] for n in shape[:2]]) if shown is None else shown
    edges = (boxes[:, :2, 0] <= ends[:, 0]).any(axis=1) | (boxes[:, :2, 1] >= ends[:, 1]).any(axis=1)
    measured = _Measured(found, np.asarray(spacing), start, edges)
    bodies = measured.bodies([v for v in L.LEVEL_ORDER if v != L.SACRUM_INSTANCE and found.sizes[v]])
    pieces = _pieces(np.where(ids > L.DISC_OFFSET, ids, 0))
    discs = measured.discs(bodies, pieces)
    sacrum = measured.part(L.SACRUM_INSTANCE, None) if found.sizes[L.SACRUM_INSTANCE] else None
    canal, rows = _canal(sem, spacing, start, shape[1])
    voxel_ml = float(np.prod(spacing)) / 1000
    counts = np.bincount(sem.ravel(), minlength=256)
    sides = {"left": float(counts[list(_LEFT)].sum()), "right": float(counts[list(_RIGHT)].sum())}
    sides = {name: voxels * voxel_ml for name, voxels in sides.items()}
    across = shape[2] * spacing[2]
    return Column(bodies, discs, sacrum, canal, rows, spacing, sides, across)


def _parts(semantic: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Instance label where a body, a disc or the sacrum is, else 0."""
    wanted = np.zeros(256, np.uint16)
    wanted[[L.CORPUS, L.CORPUS_INNER, L.DISC, L.SACRUM]] = 1
    ids = instances * wanted[semantic]
    return np.where(ids < L.ENDPLATE_OFFSET, ids, 0)


def _pieces(discs: np.ndarray) -> dict[int, int]:
    """Disc label -> how many components of some size it has."""
    numbers, n = components.label(discs)
    sizes = statistics.region_statistics(numbers, n).sizes
    owners = np.zeros(n + 1, np.int64)
    owners[numbers.ravel()] = discs.ravel()
    return {
        int(v): int(np.count_nonzero(sizes[owners == v] >= PIECE * sizes[owners == v].max()))
        for v in np.unique(owners[1:])
    }


def _canal(
    semantic: np.ndarray, spacing: tuple[float, ...], start: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    tube = (semantic == L.CANAL) | (semantic == L.CORD)
    across, along = tube.sum(axis=2), tube.sum(axis=0)
    counts = along.sum(axis=1)
    some = counts > 0
    p = (across * np.arange(tube.shape[0])[:, None]).sum(axis=0)[some] / counts[some]
    r = (along * np.arange(tube.shape[2])).sum(axis=1)[some] / counts[some]
    centres = np.stack([p, np.flatnonzero(some), r], axis=1) + start
    rows = np.zeros(length, np.int64)
    rows[start[1] : start[1] + len(counts)] = counts
    return centres * spacing, rows


class _Measured:
    """Moments of labels turned into parts."""

    def __init__(
        self, found: moments.Moments, spacing: np.ndarray, start: np.ndarray, edges: np.ndarray
    ) -> None:
        self._found, self._spacing, self._edges = found, spacing, edges
        self._centres = (found.centres + start) * spacing
        self._spreads = found.spreads * spacing[:, None] * spacing[None, :]
        # a voxel is a block too, not a point
        self._spreads += np.diag(spacing**2 / 12)

    def part(self, label: int, along: np.ndarray | None, pieces: int = 1) -> Part:
        """Measure one; without a direction it is its own longest."""
        spread = self._spreads[label]
        if along is None:
            along = np.linalg.eigh(spread[:2, :2])[1][:, -1]
        up = np.array([along[0], along[1], 0.0])
        up /= max(float(np.linalg.norm(up)), 1e-9)
        front = np.array([up[1], -up[0], 0.0])
        right = np.array([0.0, 0.0, 1.0])
        height, depth, width = (
            _SIDE * float(np.sqrt(max(axis @ spread @ axis, 0.0))) for axis in (up, front, right)
        )
        ml = float(self._found.sizes[label] * np.prod(self._spacing) / 1000)
        cut = bool(self._edges[label])
        return Part(label, ml, self._centres[label], height, depth, width, cut, pieces)

    def bodies(self, present: list[int]) -> tuple[Part, ...]:
        """Measure bodies along the line through their neighbours' centres."""
        last = len(present) - 1
        return tuple(
            self.part(v, self._direction(present[max(n - 1, 0)], present[min(n + 1, last)]))
            for n, v in enumerate(present)
        )

    def discs(self, bodies: tuple[Part, ...], pieces: dict[int, int]) -> dict[int, Part]:
        """Measure the discs below vertebrae along the line through the bodies around."""
        order = [part.label for part in bodies]
        found = {}
        for v in L.LEVEL_ORDER:
            if (label := L.DISC_OFFSET + v) in pieces:
                near = [n for n in (v, _after(order, v)) if n in order]
                along = self._direction(near[0], near[-1]) if len(near) > 1 else np.array([0.0, 1.0])
                found[v] = self.part(label, along, pieces[label])
        return found

    def _direction(self, first: int, last: int) -> np.ndarray:
        """From one label's centre to another's in the sagittal plane; downwards where they are the same."""
        way = (self._centres[last] - self._centres[first])[:2]
        return way if np.any(way) else np.array([0.0, 1.0])


def _after(order: list[int], v: int) -> int:
    return order[order.index(v) + 1] if v in order[:-1] else -1
