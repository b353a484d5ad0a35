"""The sliding window on a GPU: the image goes up once, the classes come down once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.backends.device_buffers import DeviceRun
from spineps_rt.errors import NotFiniteError
from spineps_rt.inference.mirror import turns
from spineps_rt.inference.tile_search import STRIDE, Search, walk
from spineps_rt.inference.tiling import TilePlan, importance_map
from spineps_rt.inference.window import Progress
from spineps_rt.models.manifest import SemanticModel

Turn = tuple[bool, bool, bool]
"""Which axes of a tile are mirrored."""


def sliding_window_on_device(
    engine: Engine,
    image: tuple[np.ndarray, tuple[float, float]],
    *,
    plan: TilePlan | Search,
    mirror: bool = True,
    sums: str = "float32",
    progress: Progress | None = None,
) -> np.ndarray:
    """Classify every voxel of a volume, as :func:`spineps_rt.inference.window.sliding_window`.

    Tiles are cut, normalised, run, weighed and summed on one stream without the host; the sums are a ring of
    one patch along the plan's long axis, as there. A mirrored tile is a tile of its own whose weights are a
    fraction: the sum is the average.

    Args:
        engine: Of a semantic model, with a network between device buffers.
        image: As :func:`spineps_rt.inference.normalise.measured` returns it: float16, 3-D, C-contiguous, in
            the network's axis order, with its mean and standard deviation.
        plan: Where the tiles lie; as many of them run at a time as the graph takes. Or what chooses among
            them: its view of each tile is waited for. Not together with mirrored tiles, which are whole
            nowhere.
        mirror: Average over mirrored tiles where the model's manifest says so.
        sums: ``float32``, or ``float16``, which takes half the memory; then logits that nearly tie may change
            places, and weights are scaled to 1, so that only logits beyond 8,000 could overflow.
        progress: Called with tiles done and tiles in all.

    Returns:
        uint8 class map of the image's shape.

    Raises:
        NotFiniteError: The network answered NaN or infinity.
    """
    search = plan if isinstance(plan, Search) else None
    plan = plan.plan if isinstance(plan, Search) else plan
    model = engine.model
    axes = model.mirror_axes if mirror and isinstance(model, SemanticModel) else ()
    with engine.explained():
        window = _Window(engine.on_device(), image, plan, axes, sums)
    done = 0
    if progress:
        progress(0, len(plan.tiles))
    for some in _batches(plan, search, window.turns, model.batch):
        with engine.explained():
            window.run(some, wait=progress is not None)
            for n, (tile, _) in enumerate(some if search else ()):
                search.see(tile, window.view(n))  # type: ignore[union-attr]
        engine.count(len(some))
        done += len(some)
        if progress:
            progress(done // len(window.turns), len(plan.tiles))
    with engine.explained():
        classes, bad = window.fetch()
    if bad:
        raise NotFiniteError(
            f"Model {model.name!r} answered NaN or infinity on the GPU: the result would be meaningless. "
            "Check the image's intensities, or run with another device."
        )
    return classes


def _batches(
    plan: TilePlan, search: Search | None, turned: list[Turn], batch: int
) -> Iterator[list[tuple[tuple[int, ...], Turn]]]:
    """Tiles with their turns, at most a batch at a time."""
    if search:
        yield from ([(tile, turned[0]) for tile in some] for some in walk(plan, search, batch))
        return
    jobs = [(tile, turn) for tile in plan.tiles for turn in turned]
    yield from (jobs[first : first + batch] for first in range(0, len(jobs), batch))


def window_bytes(model: SemanticModel, plan: TilePlan, *, sums: str) -> dict[str, int]:
    """Bytes of what the sliding window keeps on the GPU beside the network; sums are of that type."""
    return {
        "volume": 2 * math.prod(plan.shape),
        "weights of a tile": 4 * math.prod(plan.patch),
        "accumulator": np.dtype(sums).itemsize * model.output.shape[1] * math.prod(plan.ring),
        "labels": math.prod(plan.padded),
    }


class _Window:
    """What lies on the GPU while a volume's tiles run: the image, the sums, the classes."""

    def __init__(
        self,
        run: DeviceRun,
        image: tuple[np.ndarray, tuple[float, float]],
        plan: TilePlan,
        axes: tuple[int, ...],
        sums: str,
    ) -> None:
        from numba import cuda  # noqa: PLC0415 (slow to import)

        self._run, self._plan, self._scale = run, plan, image[1]
        self.turns = [(0 in some, 1 in some, 2 in some) for some in turns(axes)]
        weights = importance_map(plan.patch) / np.float32(len(self.turns))
        if sums == "float16":
            weights /= weights.max()
        self._volume = cuda.to_device(image[0], stream=run.stream)
        self._weights = cuda.to_device(weights, stream=run.stream)
        total = np.zeros((run.output.shape[1], *plan.ring), sums)
        self._total = cuda.to_device(total, stream=run.stream)
        self._bad = cuda.to_device(np.zeros(1, np.int32), stream=run.stream)
        self._classes = cuda.device_array(plan.padded, np.uint8)
        self._left = 0
        run.stream.synchronize()  # what went up may now leave the host

    def run(self, jobs: list[Any], *, wait: bool) -> None:
        """Run at most a batch of tiles; what lacks to it is the last of them again."""
        from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415 (slow to import)

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
        if wait:
            run.stream.synchronize()

    def view(self, n: int) -> np.ndarray:
        """Classes of the n-th tile of the last batch, at every :data:`STRIDE`-th voxel."""
        from numba import cuda  # noqa: PLC0415 (slow to import)

        from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415

        run = self._run
        classes = cuda.device_array([-(-size // STRIDE) for size in self._plan.patch], np.uint8)
        kernels.classify(run.output[n : n + 1], STRIDE, classes, stream=run.stream)
        answer = classes.copy_to_host(stream=run.stream)
        run.stream.synchronize()
        return answer

    def fetch(self) -> tuple[np.ndarray, bool]:
        """Bring the classes down, and whether any logit was NaN or infinite."""
        plan, stream = self._plan, self._run.stream
        self._leave(plan.padded[plan.long_axis])
        answer, bad = self._classes.copy_to_host(stream=stream), self._bad.copy_to_host(stream=stream)
        stream.synchronize()
        return np.ascontiguousarray(answer[plan.inside]), bool(bad[0])

    def _leave(self, last: int) -> None:
        """Let rows of the long axis up to ``last`` take their class and leave the ring."""
        from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415

        corners = self._plan.rows(self._left, last)
        kernels.finalise(self._total, self._classes, *corners, stream=self._run.stream)
        self._left = last
