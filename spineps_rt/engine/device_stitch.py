"""The sliding window on a GPU: the image goes up once, the classes come down once."""

from __future__ import annotations

from typing import Any

import numpy as np

from spineps_rt.engine.manifest import SemanticModel
from spineps_rt.engine.tiling import TilePlan, importance_map
from spineps_rt.errors import NotFiniteError


def sliding_window_on_device(
    run: Any,
    model: SemanticModel,
    image: np.ndarray,
    scale: tuple[float, float],
    *,
    plan: TilePlan,
    sums: str = "float32",
) -> np.ndarray:
    """Classify every voxel of a volume, as :func:`spineps_rt.engine.stitch.sliding_window`.

    Tiles are cut, normalised, run, weighed and summed on one stream without the host, as many at a time as
    the graph takes; the sums are a ring of one patch along the plan's long axis, as there. In float16 they
    take half the memory; logits that nearly tie may then change places. Weights are scaled to 1 for them, so
    that only logits beyond 8,000 could overflow.

    Args:
        run: The network between device buffers (:class:`~spineps_rt.engine.device_run.DeviceRun`): ``input``,
            ``output``, ``stream`` and ``launch()``.
        model: Its model.
        image: float16, 3-D, C-contiguous, in the network's axis order, as
            :func:`spineps_rt.engine.normalise.measured` returns it.
        scale: Mean and standard deviation, likewise.
        plan: Where the tiles lie.
        sums: ``float32`` or ``float16``, type of the sums.

    Returns:
        uint8 class map of the image's shape.

    Raises:
        NotFiniteError: The network answered NaN or infinity.
    """
    from numba import cuda  # noqa: PLC0415 (slow to import)

    from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415

    stream, axis = run.stream, plan.long_axis
    volume = cuda.to_device(image, stream=stream)
    importance = importance_map(plan.patch)
    if sums == "float16":
        importance = importance / importance.max()
    weights = cuda.to_device(np.ascontiguousarray(importance), stream=stream)
    total = cuda.to_device(np.zeros((model.output.shape[1], *plan.ring), sums), stream=stream)
    bad = cuda.to_device(np.zeros(1, np.int32), stream=stream)
    classes = cuda.device_array(plan.padded, np.uint8)

    def leave(first: int, last: int) -> None:
        low, high = [0, 0, 0], list(plan.padded)
        low[axis], high[axis] = first, last
        kernels.finalise(total, classes, tuple(low), tuple(high), stream=stream)  # type: ignore[arg-type]

    done = 0
    for first in range(0, len(plan.tiles), model.batch):
        some = plan.tiles[first : first + model.batch]
        for n, tile in enumerate(some):
            start = tuple(a - low for a, (low, _) in zip(tile, plan.padding))
            kernels.gather_tile(volume, start, scale, run.input[n : n + 1], stream=stream)  # type: ignore[arg-type]
        run.launch()
        for n, tile in enumerate(some):
            leave(done, tile[axis])
            done = tile[axis]
            kernels.accumulate(total, run.output[n : n + 1], weights, tile, bad, stream=stream)  # type: ignore[arg-type]
    leave(done, plan.padded[axis])
    answer, wrong = classes.copy_to_host(stream=stream), bad.copy_to_host(stream=stream)
    stream.synchronize()
    if wrong[0]:
        raise NotFiniteError(
            f"Model {model.name!r} answered NaN or infinity on the GPU: the result would be meaningless. "
            "Check the image's intensities, or run with another device."
        )
    inside = tuple(slice(low, low + size) for size, (low, _) in zip(plan.shape, plan.padding))
    return np.ascontiguousarray(answer[inside])
