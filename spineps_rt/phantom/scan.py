"""A phantom as a scanner would deliver it: thick slices, any voxel size, any orientation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spineps_rt.phantom.anatomy import Anatomy, build_spine, plan_grid, sample
from spineps_rt.phantom.contrast import T2W, Contrast
from spineps_rt.phantom.image import degrade, signal
from spineps_rt.phantom.options import PhantomOptions
from spineps_rt.volume import Volume, reorient

FINEST_MM = 1.25
"""Voxels larger than this are averages of smaller ones."""


@dataclass(frozen=True)
class Phantom:
    """Image and truth on one grid."""

    image: Volume
    """float32."""
    semantic: Volume
    """uint8: the 14 structures."""
    instance: Volume
    """uint16: vertebra v, disc 100 + v, endplates of that disc 200 + v, sacrum 26."""
    tissue: Volume
    """uint8: :class:`~spineps_rt.phantom.tissues.Tissue`."""


def make_phantom(options: PhantomOptions, *, seed: int, contrast: Contrast = T2W) -> Phantom:
    """Make a scan and its truth.

    The image of a thick slice is the mean of thinner ones; its truth is that of the slice's centre.

    Args:
        options: What to build.
        seed: Same seed and options, same phantom.
        contrast: Grey values and imperfections.

    Returns:
        Volumes in the orientation that the options ask for.
    """
    spine = build_spine(options, seed=seed)
    grid = plan_grid(spine, options)
    factors = tuple(_odd(float(s) / FINEST_MM) for s in options.spacing)
    fine = sample(spine, grid.refined((factors[0], factors[1], factors[2])), options.variants, seed=seed)
    image = degrade(_average(signal(fine, contrast, seed=seed), factors), contrast, seed=seed)
    centre = tuple(slice(f // 2, None, f) for f in factors)
    truth = replace(
        fine, semantic=fine.semantic[centre], instance=fine.instance[centre], tissue=fine.tissue[centre]
    )
    return _deliver(image, replace(truth, affine=grid.affine), options)


def _odd(ratio: float) -> int:
    """Smallest odd number of parts that brings a voxel below the finest size."""
    parts = int(np.ceil(ratio - 1e-6))
    return max(1, parts + 1 - parts % 2)


def _average(image: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """Mean over blocks of voxels."""
    for axis, f in enumerate(factors):
        if f > 1:
            shape = (*image.shape[:axis], image.shape[axis] // f, f, *image.shape[axis + 1 :])
            image = image.reshape(shape).mean(axis=axis + 1)
    return image


def _deliver(image: np.ndarray, truth: Anatomy, options: PhantomOptions) -> Phantom:
    """Bring image and truth into the orientation asked for."""
    arrays = (image, truth.semantic, truth.instance, truth.tissue)
    volumes = [Volume(np.ascontiguousarray(array), truth.affine) for array in arrays]
    turned = [reorient(volume, options.orientation) for volume in volumes]
    return Phantom(turned[0], turned[1], turned[2], turned[3])
