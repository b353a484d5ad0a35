"""Arrays in a stage's axis order through a network and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.errors import ContractError
from spineps_rt.inference.device_cutouts import classes_on_device
from spineps_rt.inference.device_window import sliding_window_on_device, window_bytes
from spineps_rt.inference.localize import SHARES, spine_kinds
from spineps_rt.inference.normalise import measured, normalise
from spineps_rt.inference.out_of_memory import within_memory
from spineps_rt.inference.tile_search import Search
from spineps_rt.inference.tiling import TilePlan, plan_tiles
from spineps_rt.inference.window import Progress, sliding_window
from spineps_rt.models.manifest import SemanticModel
from spineps_rt.options import SemanticOptions
from spineps_rt.volume import bounding_box

INSTANCE_CLASSES = 4
"""None, above, centre, below: what SPINEPS's instance network answers."""
SMALLEST = 2.0**-25
"""Up to here an intensity is zero in float16, as which SPINEPS looks for the non-zero voxels."""
_DEFAULTS = SemanticOptions()
_LOG = logging.getLogger(__name__)


def predict_semantic(
    image: np.ndarray,
    engine: Engine,
    *,
    options: SemanticOptions = _DEFAULTS,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> np.ndarray:
    """Segment an image that already has the model's orientation and spacing.

    As nnU-Net does (``DefaultPreprocessor``, ``export_prediction``): crop to the box of the non-zero voxels,
    normalise what is in it, run the sliding window, and leave everything outside the box background.
    nnU-Net's own resampling has nothing to do at the model's spacing and is left out.

    Args:
        image: 3-D real array, axes as the model's ``orientation`` (P, I, R).
        engine: Of a semantic model.
        options: Its ``step``, ``mirror`` and ``localize`` matter here.
        overwrite: The image may be overwritten, which spares a copy.
        progress: Called with tiles done and tiles in all.

    Returns:
        uint8 label map of the image's shape and axes, C-contiguous.

    Raises:
        ContractError: The image is not 3-D or the model not a semantic one.
        EmptyImageError: Every voxel is zero.
        NotFiniteError: The image or the network's answer holds NaN or infinity.
    """
    model = engine.model
    if not isinstance(model, SemanticModel):
        raise ContractError(f"Model {model.name!r} is no semantic model.")
    if image.ndim != 3:
        raise ContractError(f"An image of shape {image.shape} came; expected three axes.")
    box = bounding_box((image > SMALLEST) | (image < -SMALLEST))
    turned = image[box].transpose(model.axis_order)
    plan = plan_tiles(turned.shape, model.patch, model.step if options.step is None else options.step)
    axes, gpu = model.mirror_axes if options.mirror else (), on_device(engine)
    localize = options.localize and not (gpu and axes)  # a mirrored tile is nowhere whole on the GPU
    window = _window(engine, turned, plan, options, overwrite, progress)

    def attempt() -> tuple[np.ndarray, Search | None]:
        search = _search(model, plan) if localize else None
        return window(search), search

    buffers = sum(window_bytes(model, plan, sums=options.sums).values()) if gpu else 0
    classes, search = within_memory(engine, attempt, buffers=buffers)
    if search:
        engine.planned += (len(plan.tiles) - search.tiles_run) * 2 ** len(axes)
        _tell(search)
    labels = np.zeros(image.shape, np.uint8)
    labels[box] = model.label_table[classes].transpose(np.argsort(model.axis_order))
    return labels


def _window(
    engine: Engine,
    image: np.ndarray,
    plan: TilePlan,
    options: SemanticOptions,
    overwrite: bool,
    progress: Progress | None,
) -> Callable[[Search | None], np.ndarray]:
    """Prepare an image, in the network's axes, for the sliding window of the GPU or of the host."""
    scheme = engine.model.normalisation  # type: ignore[attr-defined]
    mirror = options.mirror
    if on_device(engine):
        values = measured(image, scheme)
        return lambda search: sliding_window_on_device(
            engine, values, plan=search or plan, mirror=mirror, sums=options.sums, progress=progress
        )
    tensor = normalise(image, scheme, overwrite=overwrite)
    return lambda search: sliding_window(
        engine, tensor, step=options.step, mirror=mirror, progress=progress, search=search
    )


def _search(model: SemanticModel, plan: TilePlan) -> Search | None:
    """Tiles are sought where their rows follow one another along the spine; across it, it could turn back."""
    kinds = spine_kinds(model)
    along = model.axes[plan.long_axis] in ("I", "S")
    return Search(plan, kinds, SHARES) if along and kinds is not None else None


def _tell(search: Search) -> None:
    if search.found:
        _LOG.info(
            "%d of %d tiles were run; the spine reaches no others", search.tiles_run, len(search.plan.tiles)
        )
    else:
        _LOG.info("no row of tiles shows column and canal; all %d tiles were run", search.tiles_run)


def predict_cutouts(engine: Engine, cutouts: np.ndarray) -> np.ndarray:
    """Run the instance network on cutouts of a semantic mask.

    Args:
        engine: Of an instance model.
        cutouts: uint8 (N, P, I, R), already mapped to the network's labels.

    Returns:
        uint8 (N, P, I, R): 0 none, 1 above, 2 centre, 3 below.

    Raises:
        ContractError: The cutouts' shape or dtype is not the model's, or the network answered another class.
    """
    if cutouts.ndim != 4:
        raise ContractError(f"Cutouts of shape {cutouts.shape} came; expected (N, P, I, R).")
    if len(cutouts) == 0:
        return np.zeros_like(cutouts)
    order = [axis + 1 for axis in engine.model.axis_order]
    answer = within_memory(engine, partial(engine.infer, cutouts.transpose(0, *order)[:, None]))
    _check_classes(engine, answer)
    return np.ascontiguousarray(answer.transpose(0, *(np.argsort(engine.model.axis_order) + 1)))


def predict_windows(
    engine: Engine, labels: np.ndarray, table: np.ndarray, starts: np.ndarray
) -> Iterator[np.ndarray]:
    """Run the instance network on windows of a semantic mask that goes up to the GPU once.

    Args:
        engine: Of an instance model, with a network between device buffers (:func:`on_device`).
        labels: uint8 (P, I, R), the semantic mask.
        table: uint8 (256,): semantic label -> the network's label.
        starts: int64 (N, 3): the windows' first voxels; may be negative. Beyond the mask there are zeros.

    Yields:
        uint8 (P, I, R), a window at a time, to be read before the next: 0 none, 1 above, 2 centre, 3 below.

    Raises:
        ContractError: The network answered another class.
        EngineError: The engine failed, or memory does not suffice.
    """
    order = list(engine.model.axis_order)
    turned = np.ascontiguousarray(labels.transpose(order))
    for answer in classes_on_device(engine, turned, table, starts[:, order]):
        _check_classes(engine, answer)
        yield np.ascontiguousarray(answer.transpose(np.argsort(order)))


def on_device(engine: Engine) -> bool:
    """Tell whether an engine's network runs between buffers of a GPU, so that masks may lie there."""
    return within_memory(engine, engine.on_device) is not None


def _check_classes(engine: Engine, answer: np.ndarray) -> None:
    if answer.max() >= INSTANCE_CLASSES:
        raise ContractError(
            f"Model {engine.model.name!r} answered class {answer.max()}; an instance network answers "
            f"0 to {INSTANCE_CLASSES - 1}. Export the model again."
        )
