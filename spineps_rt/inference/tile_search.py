"""Which tiles of a sliding window are run: those that a structure reaches, found by following it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from spineps_rt.inference.tiling import TilePlan
from spineps_rt.kernels.components import label
from spineps_rt.labels import CANAL, CORD, CORPUS, CORPUS_INNER, DISC
from spineps_rt.models.manifest import SemanticModel

STRIDE = 4
"""Of a tile's voxels one in so many is looked at, along each axis."""
RIM = 5 / 16
"""This part of what a tile shares with its neighbour does not count: it weighs less than a tenth there."""
THROUGH = 3 / 4
"""At so many of a row's levels must a part show every kind to be believed where it begins."""
LARGE = 1 / 4
"""So large against a row's largest part is one that counts although it is not believed."""
COLUMN = (CORPUS, CORPUS_INNER, DISC)
"""With the model's sacrum: the front of the spine."""
TUBE = (CANAL, CORD)
"""What runs behind it."""
SHARES = (1 / 16, 1 / 500)
"""Of a patch: so much column and so much tube must the spine show in a row of tiles. Lumbar scans show 1/8
and 1/40, rows of sacrum 1/8 and 1/200; the embedded network's largest error seen, at a scan's rim, 1/45 and
1/24."""
Tile = tuple[int, ...]


class Search:
    """Chooses the tiles of a plan, row by row along its long axis, from what the tiles before them showed.

    A row begins with the tiles that what was found in the one before reaches, else with the tile nearest to
    what was found last, at first with the volume's centre. What hangs together in a row is a part. A part is
    believed to be the structure if it shows enough of every kind of class, and either continues what was
    believed in the row before or shows every kind at nearly all levels. A tile is run if it is reached by a
    part that is believed or large; smaller ones are a network's errors. A row without a part that is believed
    is run whole: the structure may be cut off there, short, or somewhere else. So a voxel of a structure that
    hangs together has every tile that weighs much in it, and the class of a full run.
    """

    def __init__(self, plan: TilePlan, kinds: np.ndarray, shares: Sequence[float]) -> None:
        """Begin.

        Args:
            plan: Where the tiles lie.
            kinds: uint8 (classes,): 0 background, 1 part of the structure, 2 and up: kinds of classes that
                the structure shows all along.
            shares: How much of a patch must be seen of kind 2, 3, ... before a part is believed.
        """
        self.plan = plan
        self.tiles_run = 0
        self.found = False
        """Whether a row showed the structure."""
        self._kinds = kinds
        axis = plan.long_axis
        self._rows = [
            (first, list(row)) for first, row in itertools.groupby(plan.tiles, key=lambda tile: tile[axis])
        ]
        self._map = np.zeros([math.ceil(size / STRIDE) + 1 for size in plan.padded], np.uint8)
        self._focus = np.array(plan.padded) / 2
        self._least = np.array(shares) * math.prod(plan.patch) / STRIDE**3
        self._earlier = 2 + len(shares)
        """In the map, what was believed in the row before; what else is from there has kind 1."""

    def next_tiles(self, count: int) -> list[Tile]:
        """Choose the next tiles; each must be shown (:meth:`observe`) before the next call.

        Args:
            count: At most so many.

        Returns:
            First voxels of tiles of one row, in the padded volume; none when the search is over.
        """
        while self._rows:
            first, row = self._rows[0]
            slab = self._slab(first)
            numbers, believed, counted = self._parts(self._map[slab])
            reach = np.zeros(self._map.shape, bool)
            reach[slab] = counted[numbers]
            chosen = [tile for tile in row if reach[self._core(tile)].any()]
            if not chosen and not believed.any():
                chosen = sorted(row, key=self._distance)[:1]
            if chosen:
                for tile in chosen[:count]:
                    row.remove(tile)
                self.tiles_run += len(chosen[:count])
                return chosen[:count]
            self.found |= bool(believed.any())
            np.minimum(self._map, 1, out=self._map)
            self._map[slab][believed[numbers]] = self._earlier
            del self._rows[0]
        return []

    def observe(self, tile: Tile, classes: np.ndarray) -> None:
        """Note what a tile shows.

        Args:
            tile: Its first voxel.
            classes: Integer (p0, p1, p2), its class at every :data:`STRIDE`-th voxel.
        """
        kinds = self._kinds[classes]
        where = np.argwhere(kinds)
        if len(where):
            first = np.array(tile) // STRIDE
            self._map[tuple((where + first).T)] = kinds[kinds > 0]
            self._focus = (where.mean(axis=0) + first) * STRIDE

    def _slab(self, first: int) -> tuple[slice, ...]:
        """Where the map shows a row of tiles."""
        rows = math.ceil(self.plan.patch[self.plan.long_axis] / STRIDE)
        return (slice(None),) * self.plan.long_axis + (slice(first // STRIDE, first // STRIDE + rows),)

    def _parts(self, slab: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Number what hangs together in a row's map; tell of each part whether it is believed, and counts."""
        numbers, n = label(slab, merged=True)
        place = np.nonzero(slab)
        seen = np.zeros((n + 1, self._earlier + 1, slab.shape[self.plan.long_axis]), np.int64)
        np.add.at(seen, (numbers[place], slab[place], place[self.plan.long_axis]), 1)
        voxels, levels = seen.sum(axis=2), (seen > 0).mean(axis=2)
        enough = (voxels[:, 2:-1] >= self._least).all(axis=1)
        begins = (levels[:, 2:-1] >= THROUGH).all(axis=1)
        believed = enough & (begins | (voxels[:, -1] > 0))
        sizes = voxels.sum(axis=1)
        return numbers, believed, believed | (sizes > 0) & (sizes >= LARGE * sizes.max())

    def _core(self, tile: Tile) -> tuple[slice, ...]:
        """Where the map shows a tile, but for its rim."""
        core = []
        for start, size, starts in zip(tile, self.plan.patch, self.plan.starts):
            place = starts.index(start)
            before = max(starts[place - 1] + size - start, 0) if place else 0
            behind = max(start + size - starts[place + 1], 0) if start < starts[-1] else 0
            first, stop = start + int(RIM * before), start + size - int(RIM * behind)
            core.append(slice(first // STRIDE, math.ceil(stop / STRIDE)))
        return tuple(core)

    def _distance(self, tile: Tile) -> float:
        patch = np.array(self.plan.patch)
        return float(np.linalg.norm((tile + patch / 2 - self._focus) / patch))


def next_tiles(plan: TilePlan, search: Search | None, count: int) -> Iterator[list[Tile]]:
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
    while some := search.next_tiles(count):
        yield some


def search_for_spine(model: SemanticModel, plan: TilePlan) -> Search | None:
    """Begin a search for the spine.

    Args:
        model: A semantic model.
        plan: Where the tiles lie.

    Returns:
        The search; None where the model does not show both column and canal, or where rows of tiles follow
        one another across the spine, which could turn back into a finished row.
    """
    kinds = spine_kinds(model)
    along = model.axes[plan.long_axis] in ("I", "S")
    return Search(plan, kinds, SHARES) if along and kinds is not None else None


def spine_kinds(model: SemanticModel) -> np.ndarray | None:
    """Tell which classes the spine must show in a row of tiles before it is believed.

    A network that errs takes a vessel for a canal or a muscle for a body, hardly so much of both at once.

    Args:
        model: A semantic model.

    Returns:
        uint8 (classes,) as :class:`Search` takes it: 0 background, 2 column,
        3 canal and cord, 1 the rest; None for a model that does not answer both.
    """
    table = model.label_table
    kinds = (table > 0).astype(np.uint8)
    for kind, labels in ((2, (*COLUMN, *model.sacrum_ids)), (3, TUBE)):
        hit = np.isin(table, labels)
        if not hit.any():
            return None
        kinds[hit] = kind
    return kinds
