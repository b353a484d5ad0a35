"""Where the tiles of a sliding window lie and how much each of their voxels counts."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spineps_rt.errors import ContractError


@dataclass(frozen=True)
class TilePlan:
    """Tiles of one volume. All triples are in the network's axis order, in voxels."""

    shape: tuple[int, ...]
    """The volume's."""
    patch: tuple[int, ...]
    """A tile's."""
    padding: tuple[tuple[int, int], ...]
    """Voxels of zeros before and behind the volume, per axis."""
    starts: tuple[tuple[int, ...], ...]
    """First voxels of the tiles per axis, ascending, in the padded volume."""

    @property
    def padded(self) -> tuple[int, ...]:
        """Shape of the padded volume."""
        return tuple(low + size + high for size, (low, high) in zip(self.shape, self.padding))

    @property
    def inside(self) -> tuple[slice, ...]:
        """Where the volume lies in the padded one."""
        return tuple(slice(low, low + size) for size, (low, _) in zip(self.shape, self.padding))

    @property
    def long_axis(self) -> int:
        """The longer of the first two axes: along it tiles advance, and finished rows leave.

        Never the last one, whose voxels are neighbours in memory.
        """
        return int(self.padded[1] >= self.padded[0])

    @property
    def ring(self) -> tuple[int, ...]:
        """Shape of what holds the sums: the padded volume's, one patch long along the long axis."""
        axis = self.long_axis
        return tuple(self.patch[n] if n == axis else size for n, size in enumerate(self.padded))

    def rows(self, first: int, stop: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """First voxel and the one behind the last of rows of the padded volume along the long axis."""
        low, high = [0, 0, 0], list(self.padded)
        low[self.long_axis], high[self.long_axis] = first, stop
        return tuple(low), tuple(high)

    @property
    def tiles(self) -> list[tuple[int, ...]]:
        """First voxels of all tiles, ascending along the long axis."""
        return sorted(itertools.product(*self.starts), key=lambda tile: tile[self.long_axis])


def plan_tiles(shape: tuple[int, ...], patch: tuple[int, ...], step: float) -> TilePlan:
    """Place tiles as nnU-Net does.

    A volume smaller than the patch is padded, the odd voxel behind it (``pad_nd_image``). The step is at most
    ``step * patch`` and is narrowed so that the tiles are spread evenly from the first voxel to the last,
    each start rounded half to even (``compute_steps_for_sliding_window``).

    Args:
        shape: The volume's, three sizes.
        patch: A tile's, three sizes.
        step: Distance of neighbouring tiles as a fraction of the patch, above 0 and at most 1.

    Returns:
        The plan.

    Raises:
        ContractError: A size is below 1 or the step is out of its range.
    """
    if len(shape) != 3 or len(patch) != 3 or min(*shape, *patch) < 1:
        raise ContractError(f"Volume {shape} and patch {patch} came; expected three sizes of 1 or more each.")
    if not 0 < step <= 1:
        raise ContractError(f"A tile step of {step} came; expected a number above 0 and at most 1.")
    gaps = [max(tile - size, 0) for size, tile in zip(shape, patch)]
    padding = tuple((gap // 2, gap - gap // 2) for gap in gaps)
    starts = []
    for size, gap, tile in zip(shape, gaps, patch):
        last = size + gap - tile
        count = math.ceil(last / (tile * step)) + 1
        starts.append(tuple(round(last / (count - 1) * i) for i in range(count)) if count > 1 else (0,))
    return TilePlan(tuple(shape), tuple(patch), padding, tuple(starts))


@lru_cache(maxsize=4)
def importance_map(patch: tuple[int, ...]) -> np.ndarray:
    """Weight of a tile's voxels: a Gaussian of an eighth of the patch around its centre.

    As TPTBox 1.1.0 computes it for SPINEPS: rounded to float16 **before** it is scaled to 1000, so its tail
    is coarse and has a floor (1/500 to 1/5000 of the peak for usual patches), where nnU-Net's own falls to
    4e-11. The weights are taken over as they are, because they decide how neighbouring tiles mix.

    Args:
        patch: A tile's shape, three sizes.

    Returns:
        float32, read-only, above 0, largest 1000.
    """
    gauss = np.ones((1, 1, 1))
    for axis, size in enumerate(patch):
        gauss = gauss * _impulse_response(size).reshape([-1 if a == axis else 1 for a in range(3)])
    half = gauss.astype(np.float16)
    half = half / half.max() * np.float16(1000)
    half[half == 0] = half[half != 0].min()
    weights = half.astype(np.float32)
    weights.flags.writeable = False
    return weights


def _impulse_response(size: int) -> np.ndarray:
    """What ``scipy.ndimage.gaussian_filter`` with sigma size / 8 makes of a unit impulse in the middle."""
    sigma = size / 8
    radius = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    distance = np.arange(size) - size // 2
    return np.where(
        np.abs(distance) <= radius, (kernel / kernel.sum())[np.clip(distance + radius, 0, 2 * radius)], 0
    )
