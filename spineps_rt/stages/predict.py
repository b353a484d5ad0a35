"""Arrays in a stage's axis order through a network and back."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from spineps_rt.engine.base import Engine
from spineps_rt.engine.device_stitch import sliding_window_on_device
from spineps_rt.engine.manifest import SemanticModel
from spineps_rt.engine.normalise import measured, normalise
from spineps_rt.engine.stitch import Progress, sliding_window
from spineps_rt.engine.tiling import plan_tiles
from spineps_rt.errors import ContractError
from spineps_rt.volume import bounding_box

INSTANCE_CLASSES = 4
"""None, above, centre, below: what SPINEPS's instance network answers."""
SMALLEST = 2.0**-25
"""Up to here an intensity is zero in float16, as which SPINEPS looks for the non-zero voxels."""


def predict_semantic(
    image: np.ndarray,
    engine: Engine,
    *,
    step: float | None = None,
    mirror: bool = True,
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
        step: Distance of neighbouring tiles as a fraction of the patch; None takes the model's.
        mirror: Average over mirrored tiles where the model's manifest says so.
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
    run = None if mirror and model.mirror_axes else engine.on_device()
    if run is not None:
        plan = plan_tiles(turned.shape, model.patch, model.step if step is None else step)
        values, scale = measured(turned, model.normalisation)
        start = perf_counter()
        classes = sliding_window_on_device(run, model, values, scale, plan=plan)
        engine.seconds += perf_counter() - start
        engine.samples += len(plan.tiles)
    else:
        tensor = normalise(turned, model.normalisation, overwrite=overwrite)
        classes = sliding_window(engine, tensor, step=step, mirror=mirror, progress=progress)
    labels = np.zeros(image.shape, np.uint8)
    labels[box] = model.label_table[classes].transpose(np.argsort(model.axis_order))
    return labels


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
    answer = engine.infer(cutouts.transpose(0, *order)[:, None])
    if answer.max() >= INSTANCE_CLASSES:
        raise ContractError(
            f"Model {engine.model.name!r} answered class {answer.max()}; an instance network answers "
            f"0 to {INSTANCE_CLASSES - 1}. Export the model again."
        )
    return np.ascontiguousarray(answer.transpose(0, *(np.argsort(engine.model.axis_order) + 1)))
