"""The sliding window in the host's memory: logits averaged over mirrored tiles and summed in a ring."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.errors import ContractError
from spineps_rt.inference.tile_search import STRIDE
from spineps_rt.inference.tiling import TilePlan, importance_map
from spineps_rt.inference.window import Tile
from spineps_rt.kernels.boxes import overlap
from spineps_rt.kernels.stitch import accumulate, finalise


class HostAccumulator:
    """A :class:`~spineps_rt.inference.window.Accumulator` in the host's memory."""

    def __init__(
        self, engine: Engine, image: np.ndarray, plan: TilePlan, *, mirror_axes: tuple[int, ...] = ()
    ) -> None:
        """Take the memory.

        Args:
            engine: Of a semantic model.
            image: 3-D in the network's axis order, normalised; any float dtype.
            plan: Where its tiles lie.
            mirror_axes: Tiles are averaged over every combination of these.

        Raises:
            ContractError: The image is not 3-D float.
        """
        if image.ndim != 3 or image.dtype.kind != "f":
            raise ContractError(
                f"An image of {image.ndim} axes and {image.dtype} came; expected a 3-D float array."
            )
        self.samples, self.seconds = 0, 0.0
        self._engine, self._image, self._plan, self._axes = engine, image, plan, mirror_axes
        self._classes = np.empty(plan.padded, np.uint8)
        # One tile over everything needs no sums: weights scale all classes of a voxel alike.
        self._single = len(plan.tiles) == 1
        ring = (0, 0, 0) if self._single else plan.ring
        self._total = np.zeros((engine.model.output.shape[1], *ring), np.float32)
        self._weights = importance_map(plan.patch)
        axis = plan.long_axis
        self._margins = np.zeros((engine.model.output.shape[1], plan.padded[axis], 2))
        self._logits: np.ndarray = np.empty(0, np.float32)
        self._finished = 0

    @property
    def batch(self) -> int:
        """Tiles that the network takes at once."""
        return self._engine.model.batch

    def add(self, tiles: Sequence[Tile]) -> None:
        """Run tiles and add their logits."""
        batch = np.stack([self._cut(tile) for tile in tiles])
        start = perf_counter()
        self._logits = mirrored_logits(
            self._engine, batch.astype(self._engine.model.input.dtype, copy=False), self._axes
        )
        self.seconds += perf_counter() - start
        self.samples += len(tiles) * 2 ** len(self._axes)
        if self._single:
            return
        for tile, logits in zip(tiles, self._logits):
            self._leave(tile[self._plan.long_axis])
            accumulate(self._total, logits, self._weights, tile)

    def view(self, n: int) -> np.ndarray:
        """Classes of the n-th tile that was added last."""
        return self._logits[n][:, ::STRIDE, ::STRIDE, ::STRIDE].argmax(axis=0)

    def finish(self) -> np.ndarray:
        """Give every voxel its class."""
        if self._single:
            self._classify(self._logits[0], (0, 0, 0), self._plan.padded)
        else:
            self._leave(self._plan.padded[self._plan.long_axis])
        return np.ascontiguousarray(self._classes[self._plan.inside])

    @property
    def margins(self) -> np.ndarray:
        """By how much classes won, row by row along the plan's long axis."""
        return self._margins[:, self._plan.inside[self._plan.long_axis]]

    def _leave(self, last: int) -> None:
        """Let rows of the long axis up to ``last`` take their class and leave the ring."""
        self._classify(self._total, *self._plan.rows(self._finished, last))
        self._finished = last

    def _classify(self, total: np.ndarray, low: Tile, high: Tile) -> None:
        finalise(total, self._classes, low, high, self._margins, self._plan.long_axis)

    def _cut(self, tile: Tile) -> np.ndarray:
        """Copy one tile (1, *patch), zeros where it hangs over the image, which is never padded."""
        plan = self._plan
        cut = np.zeros((1, *plan.patch), np.float32)
        first = [start - low for start, (low, _) in zip(tile, plan.padding)]
        source, target = overlap(first, plan.patch, plan.shape)
        cut[0][target] = self._image[source]
        return cut


def mirror_combinations(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every combination of axes in nnU-Net's order: none, then every axis alone, every pair, all three."""
    return [some for count in range(len(axes) + 1) for some in itertools.combinations(axes, count)]


def mirrored_logits(engine: Engine, tiles: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Run tiles along every combination of mirrored axes and average what comes back, mirrored back.

    As nnU-Net does (``_internal_maybe_mirror_and_predict``), in the order of :func:`mirror_combinations`.

    Args:
        engine: Of a semantic model.
        tiles: (N, 1, p0, p1, p2) of the model's input dtype; N at most the batch of its variant.
        axes: Which of the three axes may be mirrored, from 0; empty runs the tiles as they are.

    Returns:
        float32 (N, classes, p0, p1, p2); without axes it may lie in the engine's own memory.

    Raises:
        ContractError, NotFiniteError, EngineError: As :meth:`~spineps_rt.backends.Engine.borrow`.
    """
    total = engine.borrow(tiles).astype(np.float32, copy=bool(axes))
    for some in mirror_combinations(axes)[1:]:
        turned = tuple(axis + 2 for axis in some)
        total += np.flip(engine.borrow(np.flip(tiles, turned)), turned)
    if axes:
        total /= 2 ** len(axes)
    return total
