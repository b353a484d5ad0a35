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
FARTHEST_MM = 55.0
"""A body's centre lies nearer to the canal than this."""
NEXT_MM = 90.0
"""From a body's centre to the next one's, a missing one between them allowed for."""
PIECE = 0.2
"""Pieces of a body or a canal below this share of its largest one are crumbs."""
RIVAL = 0.3
"""A body is only taken for false beside one of at least this share of its size."""
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
    bodies = _Bodies(semantic, instances, spacing)
    false = bodies.false()
    gone = np.isin(bodies.ids, false)
    if lost := bodies.lost(false):
        gone |= np.isin(instances, lost) & (semantic != 0)
    true = bodies.true(false)
    gone |= bodies.tube_ahead(true)
    gone |= _loose(np.where(gone, np.uint8(0), semantic), np.isin(bodies.ids, true), spacing)
    centres = [bodies.found.centroids[k] * spacing for k in true]
    gone |= _high_sacrum(semantic, gone, centres, spacing)
    if not gone.any():
        return semantic, instances, ()
    told = _removed(np.where(gone, semantic, 0), np.array(centres).reshape(-1, 3), spacing)
    return np.where(gone, np.uint8(0), semantic), np.where(gone, np.uint16(0), instances), told


def remove_crumbs(
    semantic: np.ndarray, instances: np.ndarray, *, spacing: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
    """Take away pieces that neither hold a vertebra's body nor lie near one that does, in any orientation.

    For masks whose false vertebrae went after :func:`remove_apart`: what lay near these lies apart now.

    Args:
        semantic: uint8, 3-D.
        instances: uint16, same shape, vertebrae by their ids.
        spacing: mm, an axis each.

    Returns:
        Both masks, new where something was removed, and millilitres of each structure that was.
    """
    bodies = np.isin(semantic, _BODY) & np.isin(instances, list(L.VERTEBRAE))
    gone = _loose(semantic, bodies, spacing)
    if not gone.any():
        return semantic, instances, {}
    sizes = np.bincount(semantic[gone])
    voxel_ml = float(np.prod(spacing)) / 1000
    lost = {int(k): float(sizes[k]) * voxel_ml for k in np.flatnonzero(sizes)}
    return np.where(gone, np.uint8(0), semantic), np.where(gone, np.uint16(0), instances), lost


class _Bodies:
    """The pieces of all instances' bodies."""

    def __init__(self, semantic: np.ndarray, instances: np.ndarray, spacing: tuple[float, ...]) -> None:
        bodies = instances * np.isin(semantic, _BODY)
        self.ids, n = components.label(bodies)
        self.found = statistics.region_statistics(self.ids, n)
        self._spacing = spacing
        self._owners = np.zeros(n + 1, np.int64)
        self._owners[self.ids.ravel()] = bodies.ravel()
        sizes = self.found.sizes
        largest = {v: sizes[self._owners == v].max() for v in np.unique(self._owners[1:])}
        self._large = [k for k in self.found.present if sizes[k] >= PIECE * largest[self._owners[k]]]
        self._tube, self._crumbs = _largest_tube(semantic)
        self._away = {k: self._from(self._tube, k) for k in self._large}
        self._large = [k for k in self._large if self._away[k] >= 0]

    def false(self) -> list[int]:
        """Pieces too far from the canal or the others, or standing apart beside one that is nearer."""
        false = [k for k in self._large if FARTHEST_MM < self._away[k] < np.inf]
        worse = {k: (self._away[k], -int(self.found.sizes[k])) for k in self._large}
        for k in sorted(self._large, key=worse.__getitem__, reverse=True):
            others = [u for u in self._large if u not in (*false, k) and worse[u] < worse[k]]
            others = [u for u in others if self.found.sizes[u] >= RIVAL * self.found.sizes[k]]
            if k not in false and any(self._stand_apart(k, u) for u in others):
                false.append(k)
        return false + self._beyond([k for k in self._large if k not in false])

    def _beyond(self, true: list[int]) -> list[int]:
        """Pieces that a long way without a body parts from the most of them."""
        down = sorted(true, key=lambda k: self.found.centroids[k, 1])
        groups: list[list[int]] = [down[:1]]
        for k in down[1:]:
            way = (self.found.centroids[k] - self.found.centroids[groups[-1][-1]]) * self._spacing
            if np.linalg.norm(way) > NEXT_MM:
                groups.append([])
            groups[-1].append(k)
        column = max(groups, key=lambda group: int(self.found.sizes[group].sum()))
        return [k for k in down if k not in column]

    def lost(self, false: list[int]) -> list[int]:
        """Instances of which no large piece is true."""
        kept = {int(self._owners[k]) for k in self.true(false)}
        return sorted({int(self._owners[k]) for k in false} - kept)

    def true(self, false: list[int]) -> list[int]:
        """Large pieces that are not false."""
        return [k for k in self._large if k not in false]

    def tube_ahead(self, true: list[int]) -> np.ndarray:
        """Voxels of canal and cord that lie in front of the bodies at their height."""
        pieces, n = components.label(self._crumbs)
        found = statistics.region_statistics(pieces, n)
        centres = self.found.centroids[true]
        ahead = [
            k
            for k in found.present
            if len(true) and found.centroids[k, 0] < centres[_nearest(centres, found.centroids[k]), 0]
        ]
        return np.isin(pieces, ahead) if ahead else np.zeros(pieces.shape, np.bool_)

    def _rows(self, k: int) -> tuple[int, int]:
        low, high = self.found.boxes[k, 1]
        return int(low), int(high)

    def _from(self, tube: np.ndarray, k: int) -> float:
        """Distance in mm from a piece's centre to the canal at its height; infinite where there is none.

        Negative for a piece behind the canal: a process that is called a body.
        """
        low, high = self._rows(k)
        places = np.argwhere(tube[:, low:high])
        if not len(places):
            return float("inf")
        ways = (places + np.array([0, low, 0]) - self.found.centroids[k]) * self._spacing
        away = np.hypot(ways[:, 0], ways[:, 2])
        nearest = int(away.argmin())
        return float(away[nearest]) if ways[nearest, 0] >= 0 else -1.0

    def _stand_apart(self, k: int, u: int) -> bool:
        """Whether two pieces share many rows, and in these a gap from front to back or side to side."""
        low, high = (f(a, b) for f, a, b in zip((max, min), self._rows(k), self._rows(u)))
        if high - low <= BESIDE * min(b - a for a, b in (self._rows(k), self._rows(u))):
            return False
        part = statistics.region_statistics(np.ascontiguousarray(self.ids[:, low:high]), len(self._owners))
        gaps = [
            (max(part.boxes[[k, u], axis, 0]) - min(part.boxes[[k, u], axis, 1])) * self._spacing[axis]
            for axis in (0, 2)
        ]
        return max(gaps) > GAP_MM


def _nearest(centres: np.ndarray, centre: np.ndarray) -> int:
    """The one at the nearest height."""
    return int(np.argmin(np.abs(centres[:, 1] - centre[1])))


def _largest_tube(semantic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The canal with its cord, and the crumbs elsewhere.

    Its largest piece, and others of a fifth of it or more at heights that larger ones do not reach.
    """
    pieces, n = components.label(np.isin(semantic, (L.CANAL, L.CORD)).astype(np.uint8))
    found = statistics.region_statistics(pieces, n)
    large, reached = np.zeros(n + 1, np.bool_), np.zeros(semantic.shape[1], np.bool_)
    for k in sorted(found.present, key=lambda k: -int(found.sizes[k])):
        rows = slice(*found.boxes[k, 1])
        if found.sizes[k] >= PIECE * found.sizes[1:].max() and reached[rows].mean() < BESIDE:
            large[k] = reached[rows] = True
    return large[pieces], ~large[pieces] & (pieces > 0)


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
            if known[box].any() and (known[box] & _widened(pieces[box] == piece, reach)).any():
                own = regions.box(piece)
                known[own] |= pieces[own] == piece
                waiting.remove(piece)
                changed = True
    return np.isin(pieces, waiting) if waiting else np.zeros(semantic.shape, np.bool_)


def _widened(mask: np.ndarray, reach: list[int]) -> np.ndarray:
    """A mask grown by so many voxels along each axis."""
    for axis, steps in enumerate(reach):
        wide = mask.copy()
        for step in range(1, steps + 1):
            ahead, back = (np.moveaxis(one, axis, 0) for one in (wide, mask))
            ahead[step:] |= back[:-step]
            ahead[:-step] |= back[step:]
        mask = wide
    return mask


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
        way = centre - column[_nearest(column, centre)]
        axis = int(np.argmax(np.abs(way)))
        side = (("behind", "in front of"), ("below", "above"), ("beside", "beside"))[axis][int(way[axis] < 0)]
        told.append(Removed(label, ml, float(np.linalg.norm(way)), side))
    return tuple(told)
