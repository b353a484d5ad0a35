"""Intensities and margins before the semantic network, in the order of SPINEPS 2.1.3 ``preprocess_input``."""

from __future__ import annotations

import numpy as np

from spineps_rt.errors import ContractError, EmptyImageError
from spineps_rt.options import PreprocessOptions
from spineps_rt.volume import Volume, bounding_box, pad_to

HIGHEST = 1500
"""Brightest value that the networks were trained on."""
_DEFAULTS = PreprocessOptions()


def preprocess(volume: Volume, options: PreprocessOptions = _DEFAULTS) -> Volume:
    """Bring the intensities to 0..1500 and add a margin.

    The image is shifted to zero and scaled down to 1500 if it is brighter; inside the box of its signal this
    is done once more, as in SPINEPS, where the bias correction lies between the two.

    Args:
        volume: The scan, float32, any orientation.
        options: Which steps are done.

    Returns:
        A new volume, float32, ``2 * options.pad`` voxels longer along every axis; the margin holds the
        lowest intensity.

    Raises:
        EmptyImageError: All voxels are equal.
        ContractError: The bias correction was asked for.
    """
    if options.bias_field:
        raise ContractError(
            "The bias field correction (bias_field=True) is not part of this release; leave it off or correct"
            " the image beforehand."
        )
    image = np.array(volume.array, dtype=np.float32, order="C")
    whole = _is_integral(volume)
    if image.min() == image.max():
        raise EmptyImageError(
            "The image has no signal: all voxels are equal. Check that the right series was exported."
        )
    if options.normalise:
        normalise(image, whole=whole)
        normalise(image[bounding_box(image)] if options.crop else image, whole=whole)
    return pad_to(volume.with_array(image), [size + 2 * options.pad for size in image.shape])


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


def _is_integral(volume: Volume) -> bool:
    return volume.header is not None and volume.header.get_data_dtype().kind in "iu"
