"""Thresholds in millimetres, turned into voxels of the grid at hand.

SPINEPS 2.1.3 derives them all from the T2w model's grid, so that a voxel count tuned there means the same
volume on any other grid (its ``utils/resolution.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spineps_rt.errors import ContractError

REFERENCE_SPACING = (0.75, 0.75, 1.65)
"""Spacing in mm (P, I, R) of the grid on which the thresholds were tuned."""
REFERENCE_VOXEL_MM3 = math.prod(REFERENCE_SPACING)

Spacing = tuple[float, ...]


def checked(labels: np.ndarray, spacing: Sequence[float]) -> Spacing:
    """Verify a stage's label map and spacing.

    Args:
        labels: Label map, (P, I, R), uint8.
        spacing: Three positive lengths in mm.

    Returns:
        The spacing, rounded to 1e-7 mm as TPTBox reads it, so that an affine's rounding moves no threshold.

    Raises:
        ContractError: The map is no 3-D uint8 array, or the spacing is not three positive numbers.
    """
    if labels.ndim != 3 or labels.dtype != np.uint8:
        raise ContractError(
            f"The label map is {labels.ndim}-dimensional {labels.dtype}; expected a 3-dimensional uint8 array"
            " in the order (P, I, R)."
        )
    if len(spacing) != 3 or not all(math.isfinite(s) and s > 0 for s in spacing):
        raise ContractError(f"The spacing is {tuple(spacing)}; expected three positive lengths in mm.")
    return tuple(round(float(s), 7) for s in spacing)


def volume_in_voxels(cubic_mm: float, spacing: Spacing) -> int:
    """Round a volume to whole voxels, at least one."""
    return max(round(cubic_mm / math.prod(spacing)), 1)


def length_in_voxels(mm: float, spacing: Spacing) -> float:
    """Express a length in voxels of the finest spacing; callers round as SPINEPS does in that place."""
    return mm / min(spacing)
