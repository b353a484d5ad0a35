"""What happens to one voxel: plain functions that the kernels of the CPU and of the GPU both compile."""

from __future__ import annotations

import numpy as np


def added(total: float, weight: float, logit: float) -> float:
    """Add a weighted logit to a voxel's sum, in float32."""
    return total + weight * np.float32(logit)


def mirrored(index: int, size: int, turned: bool) -> int:
    """Where along an axis a voxel lies when the axis is turned round, or not."""
    return size - 1 - index if turned else index


def beats(total: float, best: float) -> bool:
    """Tell whether a class's sum takes a voxel from the best one before it; of equal sums the first stays."""
    return total > best
