"""Volume: an array on a grid in space, and what moves it between grids.

Every function returns a new Volume (or the very one it was given, where nothing had to change) and never
writes into an array that it was handed. Shapes, affines and voxels agree with TPTBox 1.1.0, which
SPINEPS 2.1.3 uses: cubic splines for images, nearest neighbour for label maps, edges repeated outwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel import orientations

from spineps_rt import geometry
from spineps_rt.errors import ContractError, DimensionError, EmptyImageError, GeometryError
from spineps_rt.kernels.boxes import Box
from spineps_rt.kernels.copying import contiguous, copy_into


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D array and its place in space.

    Raises:
        DimensionError: The array is not three-dimensional or an axis has no voxel.
        GeometryError: The affine is unusable (see :func:`spineps_rt.geometry.checked_affine`).
    """

    array: np.ndarray
    """3-D image or label map."""
    affine: np.ndarray
    """(4, 4) float64, voxel index -> mm, NIfTI world axes."""
    header: Any = None
    """nibabel header of the file that it came from; it follows the volume unchanged."""

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or 0 in self.array.shape:
            raise DimensionError(f"A volume has three axes; got an array of shape {self.array.shape}.")
        object.__setattr__(self, "affine", geometry.checked_affine(self.affine))

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels per axis."""
        return self.array.shape

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres per voxel, rounded to 7 decimals as TPTBox does."""
        return geometry.spacing(self.affine)

    @property
    def orientation(self) -> geometry.Codes:
        """Axis codes, for instance ``("P", "I", "R")``."""
        return geometry.orientation(self.affine)

    def with_array(self, array: np.ndarray) -> Volume:
        """Put another array on the same grid.

        Raises:
            ContractError: The shapes differ.
        """
        if array.shape != self.array.shape:
            raise ContractError(f"The grid has shape {self.array.shape}; got an array of {array.shape}.")
        return Volume(array, self.affine, self.header)


def reorient(volume: Volume, codes: Sequence[str]) -> Volume:
    """Permute and flip the axes; no voxel changes its value or its place.

    Args:
        volume: Any orientation.
        codes: The axis codes wanted, for instance ``("P", "I", "R")`` or ``"PIR"``.

    Returns:
        The volume with a C-contiguous array.

    Raises:
        ContractError: The codes are no orientation.
    """
    view = turned(volume, codes)
    return Volume(contiguous(view.array), view.affine, volume.header)


def turned(volume: Volume, codes: Sequence[str]) -> Volume:
    """As :func:`reorient`, but the array is a view of the volume's own and lies in memory as that does.

    Args:
        volume: Any orientation.
        codes: The axis codes wanted.

    Returns:
        The volume; nothing is copied.

    Raises:
        ContractError: The codes are no orientation.
    """
    transform = geometry.reorientation(volume.affine, tuple(codes))
    _, affine = geometry.reoriented(volume.shape, volume.affine, transform)
    return Volume(orientations.apply_orientation(volume.array, transform), affine, volume.header)


def crop(volume: Volume, box: Box) -> Volume:
    """Cut a box out; its voxels stay where they are in mm.

    Args:
        volume: Any volume.
        box: Three slices without step, as :func:`bounding_box` returns; None means to the end.

    Raises:
        ContractError: The box is empty, steps, or does not lie within the volume.
    """
    if len(box) != 3 or any(part.step not in (None, 1) for part in box):
        raise ContractError(f"A box is three slices without step; got {box}.")
    start = [0 if part.start is None else part.start for part in box]
    stop = [size if part.stop is None else part.stop for part, size in zip(box, volume.shape)]
    if not all(0 <= low < high <= size for low, high, size in zip(start, stop, volume.shape)):
        raise ContractError(f"Box {start} to {stop} is empty or not within a volume of shape {volume.shape}.")
    return Volume(contiguous(volume.array[box]), geometry.shifted(volume.affine, start), volume.header)


def padded(volume: Volume, margin: int, *, dtype: str) -> tuple[Volume, np.ndarray]:
    """Copy a volume into the middle of a larger one.

    Args:
        volume: Any volume.
        margin: Voxels on every side.
        dtype: What the voxels become.

    Returns:
        The larger volume, C-contiguous, its margin 0; and the view of its array that holds the voxels.
    """
    array = np.zeros([size + 2 * margin for size in volume.shape], dtype)
    inner = array[tuple(slice(margin, margin + size) for size in volume.shape)]
    copy_into(inner, volume.array)
    return Volume(array, geometry.shifted(volume.affine, (-margin,) * 3), volume.header), inner


def bounding_box(array: np.ndarray, *, minimum: float = 0) -> Box:
    """Box around the voxels above a value, as TPTBox ``compute_crop``.

    Args:
        array: 3-D.
        minimum: A voxel counts when it is larger.

    Returns:
        Three slices.

    Raises:
        EmptyImageError: No voxel is above ``minimum``.
    """
    inside: np.ndarray = array > minimum
    projection = np.any(inside, axis=2)
    profiles = (np.any(projection, axis=1), np.any(projection, axis=0), np.any(inside, axis=(0, 1)))
    if not profiles[0].any():
        raise EmptyImageError(f"No voxel is above {minimum:g}: there is nothing to crop to.")
    ends = [np.flatnonzero(profile)[[0, -1]].tolist() for profile in profiles]
    return tuple(slice(low, high + 1) for low, high in ends)


def rescale(volume: Volume, spacing: Sequence[float], *, labels: bool) -> Volume:
    """Resample to another spacing; the first voxel's centre stays where it is (TPTBox ``NII.rescale``).

    Args:
        volume: Image or label map.
        spacing: Three sizes in mm; -1 keeps an axis. Within 0.001 mm of the present ones nothing is done.
        labels: Nearest neighbour for a label map, else a cubic spline.

    Returns:
        The volume with ``round(size * old / new)`` voxels per axis and the dtype it came with; integer
        images are rounded, halves away from zero, as SciPy does.

    Raises:
        ContractError: The spacing is not three positive numbers or -1.
        GeometryError: An axis would keep no voxel.
    """
    if len(spacing) != 3 or not all(size == -1 or 0 < size < np.inf for size in spacing):
        raise ContractError(f"A spacing is three sizes in mm, or -1 to keep one; got {tuple(spacing)}.")
    present = volume.spacing
    wanted = np.array([old if new == -1 else new for old, new in zip(present, spacing)])
    if np.isclose(wanted, present, atol=0.001).all():
        return volume
    sizes = np.rint([n * old / new for n, old, new in zip(volume.shape, present, wanted)]).astype(int)
    if sizes.min() < 1:
        raise GeometryError(f"{volume.shape} voxels of {present} mm leave none at {tuple(spacing)} mm.")
    affine = np.array(volume.affine)
    exact = np.sqrt(np.sum(affine[:3, :3] ** 2, axis=0))
    affine[:3, :3] = affine[:3, :3] * wanted / exact
    return _resample(volume, affine, tuple(sizes.tolist()), labels=labels)


def resample_to(volume: Volume, target: Volume, *, labels: bool) -> Volume:
    """Bring a volume onto another's grid (TPTBox ``NII.resample_from_to``); outside, edges are repeated.

    Voxels are copied, not interpolated, where the grids differ by whole voxels, flips and permutations.

    Args:
        volume: Image or label map.
        target: Its shape and affine are taken; its array is not read.
        labels: Nearest neighbour for a label map, else a cubic spline.

    Returns:
        A volume with exactly the target's shape and affine, its header, and the dtype that came.
    """
    transform = geometry.reorientation(volume.affine, target.orientation)
    shape, affine = geometry.reoriented(volume.shape, volume.affine, transform)
    if shape == target.shape and geometry.same_grid(affine, target.affine, tolerance=1e-5):
        turned = orientations.apply_orientation(volume.array, transform)
        return target.with_array(contiguous(turned))
    if np.allclose(geometry.spacing(affine), target.spacing, atol=1e-6):
        before = np.round((np.linalg.inv(target.affine) @ affine)[:3, 3]).astype(int).tolist()
        moved = geometry.shifted(affine, [-n for n in before])
        meets = all(-n < b < m for n, b, m in zip(shape, before, target.shape))
        if meets and geometry.same_grid(moved, target.affine, tolerance=1e-4):
            turned = orientations.apply_orientation(volume.array, transform)
            return target.with_array(_shifted(turned, before, target.shape))
    # TPTBox rounds the affine of the target to 7 decimals; where a voxel lies halfway, that decides its label
    placed = _resample(volume, np.round(target.affine, 7), target.shape, labels=labels)
    return target.with_array(placed.array)


def _shifted(array: np.ndarray, before: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Repeat edges ``before`` voxels in front of each axis (cut off where negative) and up to ``shape``."""
    after = [want - gap - have for want, gap, have in zip(shape, before, array.shape)]
    keep = tuple(slice(max(0, -a), n - max(0, -b)) for a, b, n in zip(before, after, array.shape))
    widths = [(max(0, a), max(0, b)) for a, b in zip(before, after)]
    return contiguous(np.pad(array[keep], widths, mode="edge"))


def _resample(volume: Volume, affine: np.ndarray, shape: tuple[int, ...], *, labels: bool) -> Volume:
    from spineps_rt.kernels import resample  # noqa: PLC0415 - nothing else here needs numba

    # inv and dot as nibabel's resample_from_to: a nearest neighbour's tie hangs on the last bit
    step = np.linalg.inv(volume.affine).dot(affine)
    sample = resample.affine_nearest if labels else resample.affine_cubic
    array = sample(volume.array, step[:3, :3], step[:3, 3], shape)
    return Volume(_as_dtype(array, volume.array.dtype), affine, volume.header)


def _as_dtype(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if array.dtype == dtype or dtype.kind not in "iu":
        return array.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    rounded = np.trunc(array + np.copysign(0.5, array))
    return np.clip(rounded, limits.min, limits.max).astype(dtype)
