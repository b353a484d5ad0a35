"""Intensities and margins before the semantic network, in the order of SPINEPS 2.1.3 ``preprocess_input``."""

from __future__ import annotations

import numpy as np

from spineps_rt.errors import EmptyImageError
from spineps_rt.geometry import shifted
from spineps_rt.kernels.boxes import Box
from spineps_rt.options import PreprocessOptions
from spineps_rt.stages.n4.bias_field import correct_bias_field
from spineps_rt.volume import Volume, bounding_box, padded

HIGHEST = 1500
"""Brightest value that the networks were trained on."""
_DEFAULTS = PreprocessOptions()


def preprocess(volume: Volume, options: PreprocessOptions = _DEFAULTS) -> Volume:
    """Bring the intensities to 0..1500 and add a margin.

    The image is shifted to zero and scaled down to 1500 if it is brighter; inside the box of its signal this
    is done once more, as in SPINEPS, because the bias correction lies between the two. Where the scan is
    stored in whole numbers, what the correction puts behind the point is cut off. SPINEPS keeps the scan's
    integer type there, so that voxels which the correction lifts beyond it wrap around; here they do not.

    Args:
        volume: The scan, float32, any orientation.
        options: Which steps are done.

    Returns:
        A new volume, float32, ``2 * options.pad`` voxels longer along every axis; the margin holds the
        lowest intensity.

    Raises:
        EmptyImageError: All voxels are equal.
            With the bias correction also: no voxel in the box reaches its threshold.
        NotFiniteError: The bias correction found NaN or infinity.
    """
    result, image = padded(volume, options.pad, dtype="float32")
    whole = _is_integral(volume)
    if image.min() == image.max():
        raise EmptyImageError(
            "The image has no signal: all voxels are equal. Check that the right series was exported."
        )
    if options.normalise:
        normalise(image, whole=whole)
    box = bounding_box(image, minimum=float(image.min() if options.crop else -np.inf))
    inside = image[box]
    if options.bias_field:
        start = [side.start for side in box]
        correct_bias_field(inside, affine=shifted(volume.affine, start))
        if whole:
            np.trunc(inside, out=inside)
    if options.normalise:
        normalise(inside, whole=whole)
    if lowest := image.min():  # only where it was not shifted to zero, as the margin is
        kept = image.copy()
        result.array.fill(lowest)
        image[...] = kept
    return result


def normalise(image: np.ndarray, *, whole: bool) -> None:
    """Shift an image to zero and scale it down to 1500 if it is brighter, in place.

    Args:
        image: Intensities, float32.
        whole: The scan is stored in whole numbers: then SPINEPS cuts off what scaling puts behind the point.
    """
    image -= image.min()
    top = image.max()
    if top <= HIGHEST:
        return
    if not whole:
        image *= HIGHEST / top
        return
    factor = HIGHEST / float(top)
    for part in image:  # slice by slice: double precision decides which whole number is meant
        part[...] = np.trunc(part.astype(np.float64) * factor)


def round_whole(volume: Volume) -> None:
    """Round a resampled scan in place if it is stored in whole numbers.

    As SPINEPS 2.1.3, which resamples in the scan's own type: halves go away from zero, and what the type
    cannot hold becomes its smallest or largest value. So the spline's ripples end where they are small, and
    the box of the signal does not reach into an empty margin.

    Args:
        volume: Resampled, with the header of the scan.
    """
    if not _is_integral(volume):
        return
    limits = np.iinfo(volume.header.get_data_dtype())
    for part in volume.array:
        part[...] = np.clip(np.trunc(part + np.copysign(0.5, part)), limits.min, limits.max)


def _is_integral(volume: Volume) -> bool:
    return volume.header is not None and volume.header.get_data_dtype().kind in "iu"


def box_within_margin(framed: Volume, resampled: Volume, margin: int) -> Box:
    """Find in a resampled volume what lies within the margin of another.

    Args:
        framed: With a margin of ``margin`` voxels on every side.
        resampled: The same at another spacing.
        margin: Voxels of ``framed``; 0 keeps everything.

    Returns:
        A box in the resampled volume.
    """
    if not margin:
        return tuple(slice(0, n) for n in resampled.shape)
    ratio = np.array(framed.spacing) / resampled.spacing
    first = np.floor(margin * ratio).astype(int)
    stop = np.ceil((np.array(framed.shape) - 1 - margin) * ratio).astype(int) + 1
    return tuple(slice(a, min(b, n)) for a, b, n in zip(first, stop, resampled.shape))
