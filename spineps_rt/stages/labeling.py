"""Which vertebra is which: count upwards from the sacrum where it is in view.

SPINEPS without its labelling network numbers from the top and starts at C2, so that the L5 of a lumbar scan
is called T2. A sacrum in the semantic mask says more: the vertebra above it is L5. Transitional anatomy (T13,
L6, a sacralised L5) cannot be told this way and shifts the names by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spineps_rt.kernels import relabel, statistics
from spineps_rt.labels import DISC_OFFSET, ENDPLATE_OFFSET, SACRUM_INSTANCE, VERTEBRA_IDS
from spineps_rt.options import LabelingOptions

SMALLEST_SACRUM_ML = 2.0
"""Less than this is taken for a mistake of the network rather than for a sacrum."""
FARTHEST_MM = 45.0
"""Longest way from the centre of L5 to the nearest voxel of the sacrum that counts as next to each other."""

_LAST = VERTEBRA_IDS["L5"]


@dataclass(frozen=True)
class Levels:
    """An instance mask and what its numbers mean."""

    instances: np.ndarray
    """uint16, same shape as it came."""
    anatomical: bool
    """True if the numbers are levels (counted from the sacrum), False if they count from the top."""
    warnings: tuple[str, ...]
    """What a reader of the names should know."""


def name_levels(instances: np.ndarray, affine: np.ndarray, options: LabelingOptions) -> Levels:
    """Shift the vertebrae's numbers, with their discs and endplates, so that the lowest one is L5.

    Args:
        instances: uint16, 3-D, any orientation; vertebrae numbered from the top without gaps.
        affine: float64 (4, 4), voxel to RAS+ mm.
        options: ``count_from`` says what is asked for.

    Returns:
        The mask, renumbered if a sacrum was found beside the lowest vertebra.
    """
    if options.count_from == "top":
        return Levels(instances, False, ())
    region = statistics.region_statistics(np.where(instances <= SACRUM_INSTANCE, instances, 0))
    vertebrae = [v for v in region.present if v < SACRUM_INSTANCE]
    if not vertebrae or not _sacrum_follows(instances, region, vertebrae[-1], affine):
        return Levels(instances, False, (_COUNTED,))
    shift = _LAST - vertebrae[-1]
    if vertebrae[0] + shift < 1:
        text = (
            f"{len(vertebrae)} vertebrae above the sacrum are too many to name; counted from the top instead"
        )
        return Levels(instances, False, (text,))
    table = np.arange(int(instances.max()) + 1, dtype=np.uint16)
    for offset in (0, DISC_OFFSET, ENDPLATE_OFFSET):
        first, stop = offset + 1, min(offset + SACRUM_INSTANCE, len(table))
        moved = table[first:stop].astype(np.int64) + shift
        table[first:stop] = np.where(moved > offset, moved, 0)
    return Levels(relabel.look_up(instances, table), True, ())


_COUNTED = (
    "no sacrum beside the lowest vertebra: vertebrae are counted from the top (V1, V2, ...), in the files "
    "from 2 on as SPINEPS does; the numbers are no levels"
)


def _sacrum_follows(
    instances: np.ndarray, region: statistics.RegionStatistics, lowest: int, affine: np.ndarray
) -> bool:
    """Whether the sacrum is large enough, below the lowest vertebra and next to it."""
    if len(region.sizes) <= SACRUM_INSTANCE:
        return False
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    if region.sizes[SACRUM_INSTANCE] * voxel_ml < SMALLEST_SACRUM_ML:
        return False
    to_world, centre = affine[:3, :3], region.centroids[lowest]
    if (to_world @ (region.centroids[SACRUM_INSTANCE] - centre))[2] >= 0:
        return False
    ways = (np.argwhere(instances == SACRUM_INSTANCE) - centre) @ to_world.T
    return bool(np.linalg.norm(ways, axis=1).min() < FARTHEST_MM)
