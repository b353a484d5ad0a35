"""Affines: what makes one usable, and what it says about a grid.

An affine maps voxel indices (i, j, k) to NIfTI world coordinates in mm (x to the Right, y to the
Anterior, z to the Superior). Axis codes name the direction in which an index grows, as nibabel does:
array axis 0 of a ("P", "I", "R") volume runs towards the Posterior.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nibabel import orientations

from spineps_rt.errors import ContractError, GeometryError

Codes = tuple[str, ...]

SPACING_RANGE_MM = (0.01, 100.0)
"""A spacing beyond is a header in metres or micrometres, or damage: MR voxels measure 0.1 to 20 mm."""

SHEAR_LIMIT = 0.02
"""Largest |cosine| between two axes: one degree. MR slices are stacked at right angles; float32 rounding
of a header stays below 1e-5, and a gantry tilt (CT) or an affine registration lies above."""

_PLANES = {"S": "ax", "I": "ax", "L": "sag", "R": "sag", "A": "cor", "P": "cor"}


def checked_affine(affine: np.ndarray) -> np.ndarray:
    """Return the affine as a read-only float64 copy, or say why it is unusable.

    Args:
        affine: (4, 4) voxel -> mm.

    Returns:
        The same values, bit for bit where they were float32 or float64.

    Raises:
        GeometryError: The affine is not (4, 4), not finite, singular, sheared, or its spacing is absurd.
    """
    result = np.array(affine, dtype=np.float64)
    if result.shape != (4, 4) or not np.array_equal(result[3], (0, 0, 0, 1)):
        raise GeometryError(f"The affine must be 4 x 4 and end in 0 0 0 1; got {result.tolist()}.")
    if not np.isfinite(result).all():
        raise GeometryError("The affine holds NaN or infinity; convert the scan again from its DICOM files.")
    sizes = np.sqrt(np.sum(result[:3, :3] ** 2, axis=0))
    low, high = SPACING_RANGE_MM
    if (sizes < low).any() or (sizes > high).any():
        raise GeometryError(
            f"The voxel spacing is {_numbers(sizes)} mm; expected {low:g} to {high:g} mm on every axis. "
            "Check the header's units, or convert the scan again from its DICOM files."
        )
    axes = result[:3, :3] / sizes
    cosine = float(np.abs(np.triu(axes.T @ axes, 1)).max())
    if cosine > SHEAR_LIMIT:
        raise GeometryError(
            f"The scan's axes are off right angles by {np.degrees(np.arcsin(min(cosine, 1.0))):.1f} degrees; "
            "resample it to an orthogonal grid first."
        )
    result.flags.writeable = False
    return result


def spacing(affine: np.ndarray) -> tuple[float, ...]:
    """Voxel spacing in mm, rounded to 7 decimals as TPTBox rounds it before it computes shapes."""
    return tuple(np.round(np.sqrt(np.sum(affine[:3, :3] ** 2, axis=0)), 7).tolist())


def orientation(affine: np.ndarray) -> Codes:
    """Axis codes, for instance ``("P", "I", "R")``; of an oblique grid, the closest ones."""
    return tuple(map(str, orientations.aff2axcodes(affine)))


def reorientation(affine: np.ndarray, codes: Sequence[str]) -> np.ndarray:
    """How to get from a grid's orientation to another.

    Args:
        affine: (4, 4) of the grid.
        codes: The axis codes wanted.

    Returns:
        nibabel's orientation transform, (3, 2): per present axis the new axis, and -1 where it is flipped.

    Raises:
        ContractError: The codes do not name each of the three body axes once.
    """
    if sorted(_PLANES.get(code, code) for code in codes) != ["ax", "cor", "sag"]:
        raise ContractError(f"Orientation {tuple(codes)} is not one of R/L, A/P and S/I each; try P I R.")
    return orientations.ornt_transform(orientations.io_orientation(affine), orientations.axcodes2ornt(codes))


def reoriented(
    shape: tuple[int, ...], affine: np.ndarray, transform: np.ndarray
) -> tuple[tuple[int, ...], np.ndarray]:
    """Shape and affine of a grid after :func:`reorientation`; every voxel keeps its place in mm."""
    order = np.argsort(transform[:, 0])
    flips = transform[:, 1]
    corner = (flips < 0) * (np.array(shape) - 1)
    result = np.eye(4)
    result[:3, :3] = (affine[:3, :3] * flips)[:, order]
    # the order of nibabel's apply_affine, so that the origin agrees with TPTBox to the last bit
    result[:3, 3] = np.dot(corner, affine[:3, :3].T) + affine[:3, 3]
    return tuple(shape[n] for n in order), result


def shifted(affine: np.ndarray, start: Sequence[int]) -> np.ndarray:
    """Affine of the grid whose first voxel is the voxel ``start`` of this one (may be negative)."""
    step = np.eye(4)
    step[:3, 3] = start
    return affine @ step


def same_grid(affine: np.ndarray, other: np.ndarray, *, tolerance: float) -> bool:
    """Whether two affines agree in spacing (mm), direction and origin (mm), as TPTBox compares them."""
    sizes, other_sizes = np.array(spacing(affine)), np.array(spacing(other))
    pairs = (
        (sizes, other_sizes),
        (affine[:3, 3], other[:3, 3]),
        (affine[:3, :3] / sizes, other[:3, :3] / other_sizes),
    )
    close = all(np.abs(one - two).max() <= tolerance for one, two in pairs)
    return close and orientation(affine) == orientation(other)


def plane_of(affine: np.ndarray) -> str:
    """Acquisition plane: ``sag``, ``cor``, ``ax`` or ``iso``.

    As TPTBox ``get_plane`` does: spacings below 1 mm count as 1 mm and all are rounded to 0.1 mm; the
    thickest axis is the slice axis, or with two equally thick ones the third is.
    """
    sizes = np.around(np.maximum(spacing(affine), 1.0), 1)
    thick = sizes == sizes.max()
    codes = np.array(orientation(affine))
    if thick.all():
        return "iso"
    return _PLANES[str(codes[thick][0] if thick.sum() == 1 else codes[~thick][0])]


def _numbers(values: np.ndarray) -> str:
    return " x ".join(f"{value:g}" for value in values)
