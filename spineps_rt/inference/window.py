"""Run a network tile by tile and stitch its logits in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.errors import ContractError
from spineps_rt.inference.mirror import mirrored_logits
from spineps_rt.inference.tile_search import STRIDE, Search, walk
from spineps_rt.inference.tiling import TilePlan, importance_map, plan_tiles
from spineps_rt.kernels.boxes import overlap
from spineps_rt.kernels.stitch import accumulate, finalise
from spineps_rt.models.manifest import SemanticModel

Progress = Callable[[int, int], None]
"""Called with tiles done and tiles in all."""


def sliding_window(
    engine: Engine,
    image: np.ndarray,
    *,
    step: float | None = None,
    mirror: bool = True,
    progress: Progress | None = None,
    search: Search | None = None,
) -> np.ndarray:
    """Classify every voxel of a volume.

    Tiles are visited in order along the plan's long axis. The accumulator is a ring of one patch along it:
    rows that no later tile touches take their class and make room, so memory does not grow with the scan's
    length. The sum of weights is never needed, because dividing by it does not move the largest class. Logits
    are summed in float32. TPTBox sums in float16, where logits that nearly tie change places and those above
    65 become infinite: about one voxel in 5,000 differs for that reason, and none if it sums in float32.

    Args:
        engine: Of a semantic model.
        image: 3-D in the network's axis order, normalised; any float dtype.
        step: Distance of neighbouring tiles as a fraction of the patch; None takes the model's.
        mirror: Average over mirrored tiles where the model's manifest says so.
        progress: Called before the first and after every tile.
        search: Chooses which tiles of its plan, which is this image's, are run; None runs all.

    Returns:
        uint8 class map of the image's shape; of equal logits the first class wins, and where no tile was run.

    Raises:
        ContractError: The model is not a semantic one, or the image is not 3-D float.
        NotFiniteError: The network answered NaN or infinity.
    """
    model = engine.model
    if not isinstance(model, SemanticModel):
        raise ContractError(
            f"Model {model.name!r} is no semantic model; tiles can only be stitched from logits."
        )
    if image.ndim != 3 or image.dtype.kind != "f":
        raise ContractError(
            f"An image of {image.ndim} axes and {image.dtype} came; expected a 3-D float array."
        )
    plan = (
        search.plan if search else plan_tiles(image.shape, model.patch, model.step if step is None else step)
    )
    padded = np.empty(plan.padded, np.uint8)
    tiles = plan.tiles
    weights = importance_map(plan.patch)
    # One tile over everything needs no accumulator: weights scale all classes of a voxel alike.
    total = (
        np.zeros((model.output.shape[1], *plan.ring), np.float32)
        if len(tiles) > 1
        else np.empty((0, 0, 0, 0), np.float32)
    )
    done = 0
    if progress:
        progress(0, len(tiles))
    for count, (tile, logits) in enumerate(_logits(engine, image, plan, search, mirror=mirror), 1):
        if len(tiles) == 1:
            finalise(logits, padded, (0, 0, 0), plan.padded)
        else:
            finalise(total, padded, *plan.rows(done, tile[plan.long_axis]))
            done = tile[plan.long_axis]
            accumulate(total, logits, weights, tile)
        if progress:
            progress(count, len(tiles))
    if len(tiles) > 1:
        finalise(total, padded, *plan.rows(done, plan.padded[plan.long_axis]))
    return np.ascontiguousarray(padded[plan.inside])


def _logits(
    engine: Engine, image: np.ndarray, plan: TilePlan, search: Search | None, *, mirror: bool
) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Tiles with their float32 logits, run as many at a time as the engine's graph takes."""
    model = engine.model
    axes = model.mirror_axes if mirror and isinstance(model, SemanticModel) else ()
    for some in walk(plan, search, model.batch):
        batch = np.stack([_cut(image, plan, tile) for tile in some]).astype(model.input.dtype, copy=False)
        for tile, logits in zip(some, mirrored_logits(engine, batch, axes)):
            if search:
                search.see(tile, logits[:, ::STRIDE, ::STRIDE, ::STRIDE].argmax(axis=0))
            yield tile, logits


def _cut(image: np.ndarray, plan: TilePlan, tile: tuple[int, ...]) -> np.ndarray:
    """Copy one tile (1, *patch), zeros where it hangs over the image; the image itself is never padded."""
    cut = np.zeros((1, *plan.patch), np.float32)
    first = [start - low for start, (low, _) in zip(tile, plan.padding)]
    source, target = overlap(first, plan.patch, plan.shape)
    cut[0][target] = image[source]
    return cut
