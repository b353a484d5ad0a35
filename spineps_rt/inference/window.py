"""The sliding window: which tiles are run, in which order, and when they are summed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from spineps_rt.inference.predictors import TileProgress
from spineps_rt.inference.tile_search import Search, next_tiles
from spineps_rt.inference.tiling import TilePlan

Tile = tuple[int, ...]
"""First voxel of a tile in the padded volume, in the network's axis order."""


class Accumulator(Protocol):
    """Runs tiles and sums their logits in constant memory, on the host or on a GPU."""

    samples: int
    """Tiles that the network has answered, mirrored ones included."""
    seconds: float
    """Wall time that these took."""

    @property
    def batch(self) -> int:
        """Tiles that the network takes at once."""

    def add(self, tiles: Sequence[Tile]) -> None:
        """Run tiles, at most a batch, and add their logits; ascending along the plan's long axis."""

    def view(self, n: int) -> np.ndarray:
        """Classes of the n-th tile that was added last, at every ``STRIDE``-th voxel."""

    def finish(self) -> np.ndarray:
        """Give every voxel its class: uint8 of the volume's shape."""

    @property
    def margins(self) -> np.ndarray:
        """By how much classes won, float64 (classes, rows of the volume along the plan's long axis, 2).

        To be read after :meth:`finish`: voxels of a class in a row, and the sum of their margins
        (``kernels/_rules.py``); nothing of class 0.
        """


def sliding_window(
    accumulator: Accumulator,
    plan: TilePlan,
    *,
    search: Search | None = None,
    progress: TileProgress | None = None,
) -> np.ndarray:
    """Classify every voxel of a volume.

    Tiles are visited in order along the plan's long axis. The accumulator is a ring of one patch along it:
    rows that no later tile touches take their class and make room, so memory does not grow with the scan's
    length. The sum of weights is never needed, because dividing by it does not move the largest class. Logits
    are summed in float32. TPTBox sums in float16, where logits that nearly tie change places and those above
    65 become infinite: about one voxel in 5,000 differs for that reason, and none if it sums in float32.

    Args:
        accumulator: Runs and sums the tiles.
        plan: Where the tiles lie.
        search: Chooses which tiles of the plan are run; None runs all.
        progress: Called before the first and after every tile.

    Returns:
        uint8 class map of the plan's volume; of equal logits the first class wins, and where no tile was run.

    Raises:
        NotFiniteError: The network answered NaN or infinity.
    """
    total, done = len(plan.tiles), 0
    if progress:
        progress(0, total)
    for tiles in next_tiles(plan, search, accumulator.batch):
        accumulator.add(tiles)
        for n, tile in enumerate(tiles):
            if search:
                search.observe(tile, accumulator.view(n))
            done += 1
            if progress:
                progress(done, total)
    return accumulator.finish()
