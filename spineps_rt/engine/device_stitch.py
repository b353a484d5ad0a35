"""The sliding window on a GPU: the image goes up once, the classes come down once."""

from __future__ import annotations

from typing import Any

import numpy as np

from spineps_rt.engine.manifest import SemanticModel
from spineps_rt.engine.search import STRIDE, Search, turns
from spineps_rt.engine.tiling import TilePlan, importance_map
from spineps_rt.errors import NotFiniteError


def sliding_window_on_device(
    run: Any,
    model: SemanticModel,
    image: np.ndarray,
    scale: tuple[float, float],
    *,
    plan: TilePlan,
    search: Search | None = None,
) -> np.ndarray:
    """Classify every voxel of a volume, as :func:`spineps_rt.engine.stitch.sliding_window`.

    Tiles are cut, normalised, run, weighed and summed on one stream without the host; the sums are a ring of
    one patch along the plan's long axis, as there.

    Args:
        run: The network between device buffers (:class:`~spineps_rt.engine.device_run.DeviceRun`): ``input``,
            ``output``, ``stream`` and ``launch()``.
        model: Its model.
        image: float16, 3-D, C-contiguous, in the network's axis order, as
            :func:`spineps_rt.engine.normalise.measured` returns it.
        scale: Mean and standard deviation, likewise.
        plan: Where the tiles lie.
        search: Chooses which of them are run; None runs all. Its view of each tile is waited for.

    Returns:
        uint8 class map of the image's shape.

    Raises:
        NotFiniteError: The network answered NaN or infinity.
    """
    from numba import cuda  # noqa: PLC0415 (slow to import)

    from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415

    stream, axis = run.stream, plan.long_axis
    ring = list(plan.padded)
    ring[axis] = plan.patch[axis]
    volume = cuda.to_device(image, stream=stream)
    weights = cuda.to_device(np.ascontiguousarray(importance_map(plan.patch)), stream=stream)
    total = cuda.to_device(np.zeros((model.output.shape[1], *ring), np.float32), stream=stream)
    bad = cuda.to_device(np.zeros(1, np.int32), stream=stream)
    classes = cuda.device_array(plan.padded, np.uint8)

    def leave(first: int, last: int) -> None:
        low, high = [0, 0, 0], list(plan.padded)
        low[axis], high[axis] = first, last
        kernels.finalise(total, classes, tuple(low), tuple(high), stream=stream)  # type: ignore[arg-type]

    view = cuda.device_array(tuple(-(-size // STRIDE) for size in plan.patch), np.uint8)
    done = 0
    for (tile,) in turns(plan, search, 1):
        start = tuple(first - low for first, (low, _) in zip(tile, plan.padding))
        kernels.gather_tile(volume, start, scale, run.input, stream=stream)  # type: ignore[arg-type]
        run.launch()
        if search:
            kernels.classify(run.output, STRIDE, view, stream=stream)
            search.see(tile, _host(view, stream))
        leave(done, tile[axis])
        done = tile[axis]
        kernels.accumulate(total, run.output, weights, tile, bad, stream=stream)  # type: ignore[arg-type]
    leave(done, plan.padded[axis])
    answer, wrong = _host(classes, stream), _host(bad, stream)
    if wrong[0]:
        raise NotFiniteError(
            f"Model {model.name!r} answered NaN or infinity on the GPU: the result would be meaningless. "
            "Check the image's intensities, or run with another device."
        )
    inside = tuple(slice(low, low + size) for size, (low, _) in zip(plan.shape, plan.padding))
    return np.ascontiguousarray(answer[inside])


def _host(array: Any, stream: Any) -> np.ndarray:
    """Copy a device array once what is on the stream is done."""
    copy = array.copy_to_host(stream=stream)
    stream.synchronize()
    return copy
