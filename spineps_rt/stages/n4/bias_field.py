"""N4 bias field correction (Tustison et al. 2010, doi:10.1109/TMI.2010.2046908) as SPINEPS 2.1.3 calls it.

A coil receives near tissue louder than far tissue. N4 models this gain as the exponential of a smooth spline
and finds it by turns: sharpen the histogram of the log intensities, fit a spline to what that moved, subtract
it. Mask, padding, shrinking and stopping are those of ANTs' ``N4BiasFieldCorrection``, and so is the field;
the way to it is another. ANTs fits the spline to voxels as to scattered points. Here they are the grid that
they are, whose weights are products of one factor an axis, so that a fit is three passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spineps_rt.errors import ContractError, EmptyImageError, NotFiniteError
from spineps_rt.geometry import checked_affine
from spineps_rt.kernels import lattice as splines
from spineps_rt.kernels.boxes import Box
from spineps_rt.kernels.sharpen import blur_residual
from spineps_rt.kernels.threads import each, slabs
from spineps_rt.stages.n4.sample_grid import Axis, lay_axes
from spineps_rt.stages.n4.settings import BINS, DEFAULTS, FWHM, WIENER_NOISE, N4Settings
from spineps_rt.volume import bounding_box

_SLAB_VOXELS = 1 << 20
"""Voxels whose field is held at once by a thread."""


def correct_bias_field(image: np.ndarray, *, affine: np.ndarray, settings: N4Settings = DEFAULTS) -> None:
    """Divide an image by its bias field, in place.

    Args:
        image: 3-D float32, any orientation, any memory layout. Only the box of the voxels at or above
            ``settings.threshold`` is used and changed.
        affine: (4, 4), voxel -> mm, NIfTI world axes.
        settings: How the field is found.

    Raises:
        EmptyImageError: No voxel reaches the threshold.
        NotFiniteError: The image holds NaN or infinity.
        ContractError: The image is not 3-D float32, or a setting is out of range.
        GeometryError: The affine is unusable.
    """
    field = _estimate(image, affine, settings)
    part = image[field.box]

    def divide(first: int, stop: int) -> None:
        for rows, values in field.slabs(first, stop):
            part[rows] /= values

    each(divide, slabs(len(part), part.size))


def n4_bias_field(image: np.ndarray, *, affine: np.ndarray, settings: N4Settings = DEFAULTS) -> np.ndarray:
    """Estimate the bias field of an image: what :func:`correct_bias_field` divides by.

    Args:
        image: As for :func:`correct_bias_field`; it is not changed.
        affine: (4, 4), voxel -> mm, NIfTI world axes.
        settings: How the field is found.

    Returns:
        float32 of the image's shape, positive; 1 outside the box that the field was estimated in.

    Raises:
        EmptyImageError, NotFiniteError, ContractError, GeometryError: As :func:`correct_bias_field`.
    """
    field = _estimate(image, affine, settings)
    result = np.ones(image.shape, np.float32)
    part = result[field.box]
    for rows, values in field.slabs(0, len(part)):
        part[rows] = values
    return result


@dataclass(frozen=True)
class _Field:
    """A bias field: the exponential of a spline on the voxels of a box."""

    box: Box
    nodes: np.ndarray
    """float32 (nodes of axis 0, voxels of axis 1, voxels of axis 2): the spline, evaluated along two axes."""
    taps: splines.Taps
    """Voxels of axis 0."""

    def slabs(self, first: int, stop: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the field of the rows from ``first`` to before ``stop`` of the box, a few at a time."""
        step = max(1, _SLAB_VOXELS // self.nodes[0].size)
        start, weights, nodes = self.taps
        for low in range(first, stop, step):
            rows = slice(low, min(low + step, stop))
            values = splines.evaluate(self.nodes, [splines.Taps(start[rows], weights[rows], nodes)])
            yield rows, np.exp(values, out=values)


def _estimate(image: np.ndarray, affine: np.ndarray, settings: N4Settings) -> _Field:
    _check(image, settings)
    affine = checked_affine(affine)
    box = mask_box(image, settings.threshold)
    axes = lay_axes(image.shape, affine, box, settings)
    sample = image[np.ix_(*(axis.samples for axis in axes))]
    logs = np.log(sample, out=np.zeros_like(sample), where=sample > 0)
    lattice = _fit(logs, axes, settings)
    finest = 2 ** (len(settings.iterations) - 1)
    taps = [splines.taps(axis.voxels * finest, axis.spans * finest) for axis in axes]
    # first along the last two axes, so that a slab needs nothing but the pass along axis 0
    turned = splines.evaluate(lattice.transpose(1, 2, 0), taps[1:])
    return _Field(box, np.ascontiguousarray(turned.transpose(2, 0, 1)), taps[0])


def _check(image: np.ndarray, settings: N4Settings) -> None:
    if image.ndim != 3 or image.dtype != np.float32:
        raise ContractError(f"N4 corrects a 3-D float32 image; got {image.ndim}-D {image.dtype}.")
    if not settings.iterations or min(settings.iterations) < 0 or settings.shrink < 1:
        raise ContractError(
            f"N4 needs one level of iterations or more and a shrink factor of at least 1; got"
            f" {settings.iterations} and {settings.shrink}."
        )
    if settings.spline_mm <= 0:
        raise ContractError(f"The spline distance is positive; got {settings.spline_mm:g} mm.")


def mask_box(image: np.ndarray, threshold: float) -> Box:
    """Box of the voxels at or above the threshold, which is N4's mask (SPINEPS ``n4_bias``).

    Args:
        image: 3-D float32.
        threshold: Lowest intensity that is no background.

    Returns:
        Three slices.

    Raises:
        EmptyImageError: No voxel reaches the threshold.
        NotFiniteError: The image holds NaN or infinity.
    """
    low, high = float(image.min(initial=np.inf)), float(image.max(initial=-np.inf))
    if not np.isfinite((low, high)).all() and image.size:
        raise NotFiniteError("The image holds NaN or infinity; N4 needs finite intensities.")
    if high < threshold:
        raise EmptyImageError(
            f"No voxel reaches {threshold:g}, below which N4 sees background; the brightest is {high:g}. "
            "Scale the image up, or leave the bias field correction off."
        )
    return bounding_box(image, minimum=float(np.nextafter(np.float32(threshold), np.float32(-np.inf))))


def _fit(logs: np.ndarray, axes: Sequence[Axis], settings: N4Settings) -> np.ndarray:
    """Find the lattice of the log field, level after level, each with spans half as long."""
    lattice = np.zeros([axis.spans + splines.ORDER for axis in axes], np.float32)
    field = np.zeros_like(logs)
    for level, iterations in enumerate(settings.iterations):
        if level:
            lattice = splines.refine(lattice)
        taps = [splines.taps(axis.sampled * 2**level, axis.spans * 2**level) for axis in axes]
        _fit_level(logs, (field, lattice), taps, iterations, settings)
    return lattice


def _fit_level(
    logs: np.ndarray,
    answer: tuple[np.ndarray, np.ndarray],
    taps: Sequence[splines.Taps],
    iterations: int,
    settings: N4Settings,
) -> None:
    """Sharpen and fit until the field stands still; field and lattice change in place."""
    field, lattice = answer
    fit = [axis._replace(weights=_shares(axis)) for axis in taps]
    squares = [splines.project(np.ones(len(t.start)), [t._replace(weights=t.weights**2)]) for t in taps]
    total = squares[0][:, None, None] * squares[1][:, None] * squares[2]
    for _ in range(iterations):
        residual = blur_residual(logs - field, bins=BINS, fwhm=FWHM, noise=WIENER_NOISE)
        sums = splines.project(residual, fit)
        update = np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)
        step = splines.evaluate(update, taps)
        lattice += update
        field += step
        if not _variation(step) > settings.convergence:
            return


def _shares(axis: splines.Taps) -> np.ndarray:
    """A sample's value for each of its nodes, times the node's squared weight: w * w**2 / sum(w**2)."""
    squares = axis.weights**2
    return axis.weights * squares / squares.sum(axis=1, keepdims=True)


def _variation(step: np.ndarray) -> float:
    """Coefficient of variation of the gain that an iteration added; 0 where there is nothing to vary."""
    if step.size < 2:
        return 0.0
    change = np.expm1(-step).ravel()
    mean = float(change.mean(dtype=np.float64))
    change -= np.float32(mean)
    return float(np.sqrt(np.dot(change, change) / (len(change) - 1)) / (1 + mean))
