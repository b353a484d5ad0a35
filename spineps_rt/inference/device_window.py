"""The sliding window on a GPU: the image goes up once, the classes come down once."""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.errors import NotFiniteError
from spineps_rt.inference.host_window import mirror_combinations
from spineps_rt.inference.tile_search import STRIDE
from spineps_rt.inference.tiling import TilePlan, importance_map
from spineps_rt.inference.window import Tile
from spineps_rt.models.manifest import SemanticModel

Turn = tuple[bool, bool, bool]
"""Which axes of a tile are mirrored."""
IN_FLIGHT = 2
"""Batches that may wait in the stream, so that the GPU never waits for the host, nor progress runs ahead."""


def window_bytes(model: SemanticModel, plan: TilePlan, *, sums: str) -> dict[str, int]:
    """Bytes of what the sliding window keeps on the GPU beside the network; sums are of that type."""
    return {
        "volume": 2 * math.prod(plan.shape),
        "weights of a tile": 4 * math.prod(plan.patch),
        "accumulator": np.dtype(sums).itemsize * model.output.shape[1] * math.prod(plan.ring),
        "labels": math.prod(plan.padded),
        "margins": 16 * model.output.shape[1] * plan.padded[plan.long_axis],
    }


class DeviceAccumulator:
    """A :class:`~spineps_rt.inference.window.Accumulator` in a GPU's memory, on one stream.

    Tiles are cut, normalised, run, weighed and summed without the host. A mirrored tile is a tile of its own
    whose weights are a fraction: the sum is the average. Then :meth:`view` has nothing to show, because a
    mirrored tile is nowhere whole.
    """

    def __init__(
        self,
        engine: Engine,
        image: tuple[np.ndarray, tuple[float, float]],
        plan: TilePlan,
        *,
        mirror_axes: tuple[int, ...] = (),
        sums: str = "float32",
    ) -> None:
        """Take the memory and send the image up.

        Args:
            engine: Of a semantic model, with a network between device buffers.
            image: As :func:`spineps_rt.inference.normalise.measured` returns it: float16, 3-D, C-contiguous,
                in the network's axis order, with its mean and standard deviation.
            plan: Where its tiles lie.
            mirror_axes: Tiles are averaged over every combination of these.
            sums: ``float32``, or ``float16``, which takes half the memory; then logits that nearly tie may
                change places, and weights are scaled to 1, so that only logits beyond 8,000 could overflow.

        Raises:
            EngineError: The GPU failed.
        """
        self.samples, self.seconds = 0, 0.0
        self._engine, self._plan, self._scale = engine, plan, image[1]
        self._turns: list[Turn] = [
            (0 in some, 1 in some, 2 in some) for some in mirror_combinations(mirror_axes)
        ]
        weights = importance_map(plan.patch) / np.float32(len(self._turns))
        if sums == "float16":
            weights /= weights.max()
        self.margins = np.zeros((0, 0, 2))
        self._finished = 0
        self._begun = perf_counter()
        self._events: deque[Any] = deque()
        with engine.explained():
            self._run = engine.device_buffers()
            self._take_memory(image[0], weights, sums)

    def _take_memory(self, image: np.ndarray, weights: np.ndarray, sums: str) -> None:
        from numba import cuda  # noqa: PLC0415 (slow to import)

        from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415

        run, plan = self._run, self._plan
        self._sent: tuple[np.ndarray, ...] = (
            image,
            weights,
        )  # stays on the host until the stream has been waited for
        self._volume = cuda.to_device(image, stream=run.stream)
        self._weights = cuda.to_device(weights, stream=run.stream)
        self._total = cuda.device_array((run.output.shape[1], *plan.ring), np.dtype(sums))
        self._bad = cuda.device_array(1, np.int32)
        self._margins = cuda.device_array((run.output.shape[1], plan.padded[plan.long_axis], 2), np.float64)
        for zeros in (self._total, self._bad, self._margins):
            kernels.clear(zeros, stream=run.stream)
        self._classes = cuda.device_array(plan.padded, np.uint8)

    @functools.cached_property
    def _seen(self) -> tuple[Any, Any]:
        """Memory on the GPU and pinned memory of the host for what :meth:`view` shows of a tile."""
        from numba import cuda  # noqa: PLC0415 (slow to import)

        shape = tuple(-(-size // STRIDE) for size in self._plan.patch)
        return cuda.device_array(shape, np.uint8), cuda.pinned_array(shape, np.uint8)

    @property
    def batch(self) -> int:
        """Tiles that the network takes at once."""
        return self._engine.model.batch

    def add(self, tiles: Sequence[Tile]) -> None:
        """Put tiles on the stream, mirrored ones among them, a batch of the network at a time."""
        jobs = [(tile, turn) for tile in tiles for turn in self._turns]
        with self._engine.explained():
            for first in range(0, len(jobs), self.batch):
                self._put(jobs[first : first + self.batch])
        self.samples += len(jobs)

    def _put(self, jobs: list[tuple[Tile, Turn]]) -> None:
        """Put at most a batch on the stream; what lacks to it is its last tile again."""
        from numba import cuda  # noqa: PLC0415 (slow to import)

        from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415

        run = self._run
        for n in range(run.input.shape[0]):
            tile, turn = jobs[min(n, len(jobs) - 1)]
            place = tuple(at - low for at, (low, _) in zip(tile, self._plan.padding)), turn
            kernels.gather_tile(self._volume, place, self._scale, run.input[n : n + 1], stream=run.stream)
        run.launch()
        for n, job in enumerate(jobs):
            self._leave(job[0][self._plan.long_axis])
            kernels.accumulate(
                self._total, run.output[n : n + 1], self._weights, job, self._bad, stream=run.stream
            )
        self._events.append(cuda.event())
        self._events[-1].record(run.stream)
        if len(self._events) > IN_FLIGHT:
            self._events.popleft().synchronize()

    def view(self, n: int) -> np.ndarray:
        """Classes of the n-th tile that was added last, to be read before the next call."""
        from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415 (slow to import)

        run = self._run
        with self._engine.explained():
            classes, answer = self._seen
            kernels.classify(run.output[n : n + 1], STRIDE, classes, stream=run.stream)
            classes.copy_to_host(answer, stream=run.stream)
            run.stream.synchronize()
        return answer

    def finish(self) -> np.ndarray:
        """Bring the classes down.

        Returns:
            uint8 class map of the volume's shape.

        Raises:
            NotFiniteError: The network answered NaN or infinity.
        """
        plan, stream = self._plan, self._run.stream
        with self._engine.explained():
            self._leave(plan.padded[plan.long_axis])
            answer, bad = self._classes.copy_to_host(stream=stream), self._bad.copy_to_host(stream=stream)
            self.margins = self._margins.copy_to_host(stream=stream)[:, plan.inside[plan.long_axis]]
            stream.synchronize()
            self._sent = ()
        self.seconds = perf_counter() - self._begun
        if bad[0]:
            raise NotFiniteError(
                f"Model {self._engine.model.name!r} answered NaN or infinity on the GPU: the result would be "
                "meaningless. Check the image's intensities, or run with another device."
            )
        return np.ascontiguousarray(answer[plan.inside])

    def _leave(self, last: int) -> None:
        """Let rows of the long axis up to ``last`` take their class and leave the ring."""
        from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415

        corners = self._plan.rows(self._finished, last)
        axis = self._plan.long_axis
        kernels.finalise(self._total, self._classes, corners, self._margins, axis, stream=self._run.stream)
        self._finished = last
