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


def margin(best: float, second: float, mean: float) -> float:
    """Lead of a voxel's best class over the second, as a share of its lead over the mean of all.

    0 where two classes tie, near 1 where all but one are alike; weights and scales of the sums cancel out, so
    that no sum of weights is needed.
    """
    return (best - second) / (best - mean) if best > mean else np.float32(0)
