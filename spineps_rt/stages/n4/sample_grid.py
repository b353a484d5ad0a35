"""The lattice's axes over an image, and the voxels that take part in the fit, as ANTs and ITK choose them.

Which voxels these are moves the field by several percent, so that every rounding of theirs is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from spineps_rt.kernels.boxes import Box
from spineps_rt.stages.n4 import itk_inverse
from spineps_rt.stages.n4.settings import N4Settings


@dataclass(frozen=True)
class Axis:
    """One axis of the lattice at its first level."""

    spans: int
    """Spans of the spline."""
    samples: np.ndarray
    """int64: voxels of the image that the field is fitted to, all within the box; there may be none."""
    sampled: np.ndarray
    """float64: their positions in spans."""
    voxels: np.ndarray
    """float64: positions of all voxels of the box in spans."""


def lay_axes(shape: Sequence[int], affine: np.ndarray, box: Box, settings: N4Settings) -> list[Axis]:
    """Lay whole spans over an image and keep every ``settings.shrink``-th voxel.

    ANTs pads the image to whole spans, half of it before. ITK shrinks what results. ANTs then fits the spline
    between the shrunk grid's first and last voxel and lays it between the padded one's, which reach a little
    farther; so it is done here. An axis of one voxel has no extent, at which ANTs fails: it gets a span.

    Args:
        shape: The image's.
        affine: (4, 4) float64, voxel -> mm, NIfTI world axes.
        box: The mask.
        settings: Spline distance and shrink factor.

    Returns:
        The three axes.
    """
    spacing, direction, origin = _itk_space(affine)
    spans, before, padded = zip(*(_pad(n, mm, settings.spline_mm) for n, mm in zip(shape, spacing)))
    first = _first_samples((before, padded), (spacing, direction, origin), settings.shrink)
    axes = []
    for n in range(3):
        kept = max(padded[n] // settings.shrink, 1)
        samples = first[n] + settings.shrink * np.arange(kept)
        sampled = np.arange(kept) * (spans[n] / max(kept - 1, 1))
        voxels = np.arange(before[n], before[n] + shape[n]) * (spans[n] / max(padded[n] - 1, 1))
        inside = (samples >= box[n].start) & (samples < box[n].stop)
        axes.append(Axis(spans[n], samples[inside], sampled[inside], voxels[box[n]]))
    return axes


def _itk_space(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spacing, direction and origin in ITK's world axes (left, posterior, superior)."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.array([np.linalg.norm(lps[:3, axis]) for axis in range(3)])
    return spacing, lps[:3, :3] / spacing, lps[:3, 3]


def _pad(size: int, mm: float, spline_mm: float) -> tuple[int, int, int]:
    """Spans, voxels before the image and length of an axis padded to whole spans, in float32 as ANTs does."""
    distance, voxel = np.float32(spline_mm), np.float32(mm)
    extent = np.float32(size - 1) * voxel
    spans = max(ceil(extent / distance), 1)
    extra = int((np.float32(spans) * distance - extent) / voxel + np.float32(0.5))
    return spans, extra // 2, size + extra


def _first_samples(
    extents: tuple[Sequence[int], Sequence[int]],
    space: tuple[np.ndarray, np.ndarray, np.ndarray],
    factor: int,
) -> list[int]:
    """First voxel that ITK's shrink filter keeps along each axis, counted from the unpadded image's first.

    The shrunk grid shares its centre with the padded one, whose first voxel is number ``-before``. The voxel
    nearest to its first point is kept, halves rounded up, but none before the first multiple of the factor.
    On every second axis that point lies halfway between two voxels. Then the rounding of the millimetres
    decides, so that these are computed as ITK computes them, bit for bit.
    """
    before, padded = (np.array(numbers) for numbers in extents)
    spacing, direction, origin = space
    fine, coarse = direction * spacing, direction * (spacing * factor)
    start = -(before // factor)
    kept = np.maximum(padded // factor, 1)
    centre = _times(fine, -before + (padded - 1) / 2) + origin
    shrunk_centre = _times(coarse, start + (kept - 1) / 2) + origin
    shrunk_origin = origin + (centre - shrunk_centre)
    point = shrunk_origin
    for axis in range(3):
        point = point + coarse[:, axis] * start[axis]
    nearest = _times(itk_inverse.inverse(fine), point - origin)
    return [max(floor(at + 0.5), int(low) * factor) for at, low in zip(nearest, start)]


def _times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Matrix times vector, summed from the first column on: another order rounds differently."""
    result = np.zeros(3)
    for axis in range(3):
        result = result + matrix[:, axis] * vector[axis]
    return result
