"""What a scan takes of a GPU's memory, computed from the models' manifests and the scan's header alone.

It is the way of ``inference/device_window.py``: volume, tiles, sums and classes on the GPU. Where
a model averages over mirrored tiles, the host keeps all of these but one batch of tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spineps_rt import geometry
from spineps_rt.errors import ModelError
from spineps_rt.inference.device_window import window_bytes
from spineps_rt.inference.tiling import plan_tiles
from spineps_rt.models import Model, ModelPair, SemanticModel
from spineps_rt.models.manifest import TensorSpec
from spineps_rt.models.spacing import target_spacing
from spineps_rt.options import SUMS, Options

BATCHES = (16, 8, 4, 2, 1)
"""Samples at once that are considered."""
CONTEXT = 512 << 20
"""Bytes that CUDA and the libraries are assumed to take for themselves."""
ACTIVATIONS = (7, 5)
"""Engines of TensorRT-RTX took at most 7/5 of its values' bytes (benchmarks/results/engines.json)."""


@dataclass(frozen=True)
class MemoryPlan:
    """What every part takes, in bytes, and what was chosen for it."""

    batches: tuple[int, int]
    """Tiles and cutouts at once."""
    sums: str
    """One of :data:`spineps_rt.options.SUMS`."""
    tiles: int
    """Of the whole scan."""
    always: dict[str, int]
    """Parts that are there all the time."""
    stages: dict[str, dict[str, int]]
    """Network -> parts that are there while it runs; then they go."""

    @property
    def total(self) -> int:
        """The most that is taken at once."""
        return sum(self.always.values()) + max(sum(parts.values()) for parts in self.stages.values())


def plans(
    models: ModelPair, grid: tuple[tuple[int, ...], np.ndarray], *, options: Options | None = None
) -> Iterator[MemoryPlan]:
    """Compute what a scan takes, the quickest way first, the most frugal last.

    The whole scan counts as signal: its box of non-zero voxels, which alone is run, is not in the header.

    Args:
        models: Both models.
        grid: The scan's shape and affine.
        options: What differs from the defaults.

    Yields:
        A plan for each type of the sums and each batch, largest first; the instance network's batch is no
        larger than it may be without taking more than the semantic one does.

    Raises:
        ModelError: A manifest does not tell what its network costs.
    """
    options = options or Options()
    model = models.semantic
    tiling = plan_tiles(seen_shape(model, grid, options), model.patch, options.semantic.step or model.step)
    count = len(tiling.tiles)
    mirrored = bool(options.semantic.mirror and model.mirror_axes)
    always = {
        "CUDA (assumed)": CONTEXT,
        "weights": sum(m.files[name].size for m in (model, models.instance) for name in m.graphs),
    }
    for sums in SUMS[: 1 if mirrored else None]:
        kept = {} if mirrored else window_bytes(model, tiling, sums=sums)
        for batch in BATCHES:
            if batch == 1 or batch <= count:
                semantic = {**_network(model, batch), **kept}
                cutouts = [_network(models.instance, n) for n in BATCHES]
                fitting = [c for c in cutouts if sum(c.values()) <= sum(semantic.values())] or cutouts[-1:]
                chosen = BATCHES[cutouts.index(fitting[0])]
                stages = {"semantic": semantic, "instance": fitting[0]}
                yield MemoryPlan((batch, chosen), sums, count, always, stages)


def seen_shape(
    model: SemanticModel, grid: tuple[tuple[int, ...], np.ndarray], options: Options
) -> tuple[int, ...]:
    """Shape of what the semantic network sees of a scan, in the network's axis order.

    Args:
        model: The model.
        grid: The scan's shape and affine.
        options: Of the run: margin and what is shown of it.
    """
    sizes, affine = geometry.reoriented(*grid, geometry.reorientation(grid[1], model.orientation))
    old = geometry.spacing(affine)
    pad = options.preprocess.pad
    hidden = pad if options.semantic.skip_margin else 0
    new = target_spacing(model, old)
    ratios = np.ones(3) if np.isclose(new, old, atol=0.001).all() else np.divide(old, new)
    seen = []
    for size, ratio in zip(sizes, ratios.tolist()):
        whole = size + 2 * pad
        stop = min(math.ceil((whole - 1 - hidden) * ratio) + 1, round(whole * ratio))
        seen.append(stop - math.floor(hidden * ratio) if hidden else round(whole * ratio))
    return tuple(seen[n] for n in model.axis_order)


def _network(model: Model, batch: int) -> dict[str, int]:
    if model.cost is None:
        raise ModelError(
            f"The manifest of model {model.name!r} ({model.folder}) does not tell what its network costs, so "
            "that its memory cannot be planned. Export the model again."
        )
    more, less = ACTIVATIONS
    return {
        "activations": -(-model.cost.activation_bytes * batch * more // less),
        "input and output": (_bytes(model.input) + _bytes(model.output)) * batch,
    }


def _bytes(spec: TensorSpec) -> int:
    """Bytes of one sample."""
    return np.dtype(spec.dtype).itemsize * math.prod(spec.shape[1:])
