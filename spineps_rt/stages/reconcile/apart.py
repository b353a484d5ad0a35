"""What lies apart from the one column with its canal is no spine: it is taken away and told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spineps_rt import labels as L
from spineps_rt.kernels import components, statistics

FAR_MM = 8.0
"""A piece apart is this far, along each axis, from everything that belongs to the column."""
BESIDE = 0.5
"""Two bodies that share this part of the lower one's rows cannot both be in one column."""
GAP_MM = 4.0
"""One of them is false where they lie this far apart there; pieces of one body do not."""
SACRUM_ML = 2.0
"""A sacrum smaller than this that lies above the lowest body is none."""
REPORTED_ML = 0.05
"""Of less nothing is said."""
_BODY = (L.CORPUS, L.CORPUS_INNER)


@dataclass(frozen=True)
class Removed:
    """Something that was taken away."""

    structure: int
    """Semantic label."""
    ml: float
    """Millilitres."""
    mm: float
    """How far its centre lies from the middle of the column at its height."""
    side: str
    """Where: ``in front of``, ``behind``, ``above``, ``below`` or ``beside``."""

    def __str__(self) -> str:
        name = L.structure_name(self.structure)
        return f"{self.ml:.2f} ml of {name} {self.mm:.0f} mm {self.side} the column were removed"


def remove_apart(
    semantic: np.ndarray, instances: np.ndarray, *, spacing: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, tuple[Removed, ...]]:
    """Take away what lies apart from the column.

    First whole vertebrae: of two bodies at one height with a gap between them the one farther from the canal
    goes (without a canal the smaller one), with its processes. Then every piece that neither holds a body nor
    lies near one that does: discs and endplates of what went, crumbs in the belly.

    Args:
        semantic: uint8 (P, I, R).
        instances: uint16 (P, I, R), vertebrae in any numbering.
        spacing: mm, (P, I, R).

    Returns:
        Both masks, new where something was removed, and what that was.
    """
    bodies = instances * np.isin(semantic, _BODY)
    found = statistics.region_statistics(bodies)
    false = _false_bodies(semantic, bodies, found, spacing)
    gone = np.isin(instances, false) & (semantic != 0) if false else np.zeros(semantic.shape, np.bool_)
    kept = np.where(gone, np.uint8(0), semantic)
    true = [v for v in found.present if v not in false]
    gone |= _loose(kept, np.isin(instances, true) & np.isin(kept, _BODY), spacing)
    centres = [found.centroids[v] * spacing for v in true]
    gone |= _high_sacrum(semantic, gone, centres, spacing)
    if not gone.any():
        return semantic, instances, ()
    told = _removed(np.where(gone, semantic, 0), np.array(centres).reshape(-1, 3), spacing)
    return np.where(gone, np.uint8(0), semantic), np.where(gone, np.uint16(0), instances), told


def _false_bodies(
    semantic: np.ndarray,
    bodies: np.ndarray,
    found: statistics.RegionStatistics,
    spacing: tuple[float, ...],
) -> list[int]:
    """Instances whose body stands apart beside another one and farther from the canal."""
    rows = {v: tuple(found.boxes[v, 1]) for v in found.present}
    away = {v: _from_canal(semantic, found.centroids[v], rows[v], spacing) for v in found.present}
    worse = {v: (away[v], -int(found.sizes[v])) for v in found.present}
    false: list[int] = []
    for v in sorted(found.present, key=worse.__getitem__, reverse=True):
        others = [u for u in found.present if u not in (*false, v) and worse[u] < worse[v]]
        if any(_stand_apart(bodies, v, u, (rows[v], rows[u]), spacing) for u in others):
            false.append(v)
    return false


def _stand_apart(
    bodies: np.ndarray, v: int, u: int, rows: tuple[tuple[int, ...], ...], spacing: tuple[float, ...]
) -> bool:
    """Whether two bodies share many rows, and in these a gap from front to back or side to side."""
    low, high = max(rows[0][0], rows[1][0]), min(rows[0][1], rows[1][1])
    if high - low <= BESIDE * min(stop - start for start, stop in rows):
        return False
    boxes = statistics.region_statistics(np.ascontiguousarray(bodies[:, low:high]), int(bodies.max())).boxes
    gaps = [
        (max(boxes[v, axis, 0], boxes[u, axis, 0]) - min(boxes[v, axis, 1], boxes[u, axis, 1]))
        * spacing[axis]
        for axis in (0, 2)
    ]
    return max(gaps) > GAP_MM


def _from_canal(
    semantic: np.ndarray, centre: np.ndarray, rows: tuple[int, ...], spacing: tuple[float, ...]
) -> float:
    """Distance in mm from a body's centre to the canal at its height; infinite where there is none."""
    part = semantic[:, rows[0] : rows[1]]
    places = np.argwhere((part == L.CANAL) | (part == L.CORD))
    if not len(places):
        return float("inf")
    ways = (places + np.array([0, rows[0], 0]) - centre) * spacing
    return float(np.hypot(ways[:, 0], ways[:, 2]).min())


def _loose(semantic: np.ndarray, bodies: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Voxels of the pieces that neither hold a body nor lie near the ones that do."""
    pieces, n = components.label(np.where(semantic == L.METAL, np.uint8(0), semantic), merged=True)
    regions = statistics.region_statistics(pieces, n)
    holding = set(np.unique(pieces[bodies]).tolist()) - {0}
    tube = np.isin(semantic, (L.CANAL, L.CORD))
    sizes = np.bincount(pieces[tube], minlength=n + 1)
    if tube.any() and not holding:
        holding = {int(sizes.argmax())}
    known = np.isin(pieces, list(holding))
    reach = [max(round(FAR_MM / mm), 1) for mm in spacing]
    waiting = [piece for piece in regions.present if piece not in holding]
    changed = True
    while changed:  # what lies near a piece that stays, stays
        changed = False
        for piece in list(waiting):
            box = tuple(slice(max(a - r, 0), b + r) for (a, b), r in zip(regions.boxes[piece], reach))
            if known[box].any():
                own = regions.box(piece)
                known[own] |= pieces[own] == piece
                waiting.remove(piece)
                changed = True
    return np.isin(pieces, waiting) if waiting else np.zeros(semantic.shape, np.bool_)


def _high_sacrum(
    semantic: np.ndarray, gone: np.ndarray, centres: list[np.ndarray], spacing: tuple[float, ...]
) -> np.ndarray:
    """Crumbs of a sacrum above the lowest body."""
    sacrum = (semantic == L.SACRUM) & ~gone
    voxel_ml = float(np.prod(spacing)) / 1000
    if not centres or not sacrum.any():
        return np.zeros(semantic.shape, np.bool_)
    ids, n = components.label(sacrum)
    regions = statistics.region_statistics(ids, n)
    lowest = max(centre[1] for centre in centres)
    crumbs = [
        k
        for k in regions.present
        if regions.sizes[k] * voxel_ml < SACRUM_ML and regions.centroids[k, 1] * spacing[1] < lowest
    ]
    return np.isin(ids, crumbs)


def _removed(lost: np.ndarray, column: np.ndarray, spacing: tuple[float, ...]) -> tuple[Removed, ...]:
    """Sum up what went, structure by structure."""
    regions = statistics.region_statistics(lost)
    voxel_ml = float(np.prod(spacing)) / 1000
    told = []
    for label in regions.present:
        ml = float(regions.sizes[label]) * voxel_ml
        if ml < REPORTED_ML or not len(column):
            continue
        centre = regions.centroids[label] * spacing
        way = centre - column[np.argmin(np.abs(column[:, 1] - centre[1]))]
        axis = int(np.argmax(np.abs(way)))
        side = (("behind", "in front of"), ("below", "above"), ("beside", "beside"))[axis][int(way[axis] < 0)]
        told.append(Removed(label, ml, float(np.linalg.norm(way)), side))
    return tuple(told)
