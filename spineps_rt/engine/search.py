"""Which tiles of a sliding window are run: those that a structure reaches, found by following it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from spineps_rt.engine.tiling import TilePlan

STRIDE = 4
"""Every so-manieth voxel of a tile along each axis is looked at."""
RIM = 3 / 8
"""This part of what a tile shares with its neighbour does not count: it weighs less than a fifth there."""
Tile = tuple[int, ...]


class Search:
    """Chooses the tiles of a plan, row by row along its long axis, from what the tiles before them showed.

    A row begins with the tile nearest to what was found last, at first with the volume's centre. Then every
    tile is run that the structure reaches, in this row or from the one before. A row in which not every kind
    of class was seen is run whole: the structure may be cut off there, short, or somewhere else. So a voxel
    of a structure that hangs together has every tile that weighs much in it, and the class of a full run.
    """

    def __init__(self, plan: TilePlan, kinds: np.ndarray, shares: Sequence[float]) -> None:
        """Begin.

        Args:
            plan: Where the tiles lie.
            kinds: uint8 (classes,): 0 background, 1 part of the structure, 2 and up: kinds of parts that must
                all be seen in a row.
            shares: How much of a patch must be seen of kind 2, 3, ... before a row is believed.
        """
        self.plan = plan
        self.tiles_run = 0
        self.found = False
        """Whether a row showed every kind."""
        self._kinds = kinds
        self._rows = [
            list(row) for _, row in itertools.groupby(plan.tiles, key=lambda tile: tile[plan.long_axis])
        ]
        self._map = np.zeros([math.ceil(size / STRIDE) + 1 for size in plan.padded], bool)
        self._focus = np.array(plan.padded) / 2
        self._seen = np.zeros(2 + len(shares), np.int64)
        self._least = np.array(shares) * math.prod(plan.patch) / STRIDE**3

    def take(self, count: int) -> list[Tile]:
        """Choose the next tiles; each must be shown (:meth:`see`) before the next call.

        Args:
            count: At most so many.

        Returns:
            First voxels of tiles of one row, in the padded volume; none when the search is over.
        """
        while self._rows:
            row = self._rows[0]
            chosen = [tile for tile in row if self._reaches(tile)]
            if not chosen and not self._settled():
                chosen = sorted(row, key=self._distance)
                count = 1
            if chosen:
                for tile in chosen[:count]:
                    row.remove(tile)
                self.tiles_run += len(chosen[:count])
                return chosen[:count]
            self.found |= self._settled()
            self._seen[:] = 0
            del self._rows[0]
        return []

    def see(self, tile: Tile, classes: np.ndarray) -> None:
        """Note what a tile shows.

        Args:
            tile: Its first voxel.
            classes: Integer (p0, p1, p2), its class at every :data:`STRIDE`-th voxel.
        """
        kinds = self._kinds[classes]
        self._seen += np.bincount(kinds.ravel(), minlength=len(self._seen))
        where = np.argwhere(kinds)
        if len(where):
            first = np.array(tile) // STRIDE
            self._map[tuple((where + first).T)] = True
            self._focus = (where.mean(axis=0) + first) * STRIDE

    def _settled(self) -> bool:
        return bool((self._seen[2:] >= self._least).all())

    def _reaches(self, tile: Tile) -> bool:
        """Tell whether what was found lies in a tile, but for its rim."""
        core = []
        for start, size, starts in zip(tile, self.plan.patch, self.plan.starts):
            place = starts.index(start)
            before = max(starts[place - 1] + size - start, 0) if place else 0
            behind = max(start + size - starts[place + 1], 0) if start < starts[-1] else 0
            first, stop = start + int(RIM * before), start + size - int(RIM * behind)
            core.append(slice(first // STRIDE, -(-stop // STRIDE)))
        return bool(self._map[tuple(core)].any())

    def _distance(self, tile: Tile) -> float:
        return float(
            np.linalg.norm((np.array(tile) + np.array(self.plan.patch) / 2 - self._focus) / self.plan.patch)
        )


def walk(plan: TilePlan, search: Search | None, count: int) -> Iterator[list[Tile]]:
    """Walk over the tiles of a plan, ascending along its long axis.

    Args:
        plan: Where the tiles lie.
        search: Chooses among them; None takes all.
        count: At most so many at a time.

    Yields:
        First voxels of the tiles to be run next; with a search each must be shown to it before the next.
    """
    if search is None:
        yield from (plan.tiles[first : first + count] for first in range(0, len(plan.tiles), count))
        return
    while some := search.take(count):
        yield some
