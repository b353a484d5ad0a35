"""Which vertebra is which: count upwards from the sacrum where it is in view.

SPINEPS without its labelling network numbers from the top and starts at C2, so that the L5 of a lumbar scan
is called T2. A sacrum in the semantic mask says more: the vertebra above it is L5. Transitional anatomy (T13,
L6, a sacralised L5) cannot be told this way and shifts the names by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from spineps_rt.kernels import relabel, statistics
from spineps_rt.labels import (
    DISC_OFFSET,
    ENDPLATE_OFFSET,
    LEVEL_ORDER,
    SACRUM_INSTANCE,
    SPARE_INSTANCES,
    VERTEBRA_IDS,
)
from spineps_rt.options import LabelingOptions

SMALLEST_SACRUM_ML = 2.0
"""Less than this is taken for a mistake of the network rather than for a sacrum."""
FARTHEST_MM = 45.0
"""Longest way from the centre of L5 to the nearest voxel of the sacrum that counts as next to each other."""
APART_MM = 60.0
"""What looks like a vertebra beyond the sacrum must lie this far from L5 to be taken for a mistake."""
FRAGMENT = 0.2
"""A lowest vertebra smaller than this share of the median one is a piece of the sacrum."""

_LAST = VERTEBRA_IDS["L5"]
_NUMBERS = (*range(SACRUM_INSTANCE), *SPARE_INSTANCES)
"""0 and the ids in which reconciliation counts from the top."""


_SAME = MappingProxyType({v: v for v in LEVEL_ORDER})


@dataclass(frozen=True)
class Levels:
    """Two masks and what the instances' numbers mean."""

    semantic: np.ndarray
    """uint8, same shape as it came."""
    instances: np.ndarray
    """uint16, same shape as it came."""
    anatomical: bool
    """True if the numbers are levels (counted from the sacrum), False if they count from the top."""
    warnings: tuple[str, ...]
    """What a reader of the names should know."""
    renamed: Mapping[int, int]
    """Number that a vertebra came with -> the one it has now; without those that were deleted."""


def name_levels(
    semantic: np.ndarray, instances: np.ndarray, *, affine: np.ndarray, options: LabelingOptions
) -> Levels:
    """Shift the vertebrae's numbers, with their discs and endplates, so that the lowest one is L5.

    What looks like a vertebra but lies below the sacrum's centre, or is a fragment beside it, is deleted from
    both masks.

    Args:
        semantic: uint8, 3-D, any orientation.
        instances: uint16, same shape; vertebrae numbered from the top.
        affine: float64 (4, 4), voxel to RAS+ mm.
        options: ``count_from`` says what is asked for.

    Returns:
        The masks, renumbered if a sacrum was found beside the lowest vertebra.
    """
    if options.count_from == "top":
        return Levels(semantic, instances, anatomical=False, warnings=(), renamed=_SAME)
    region = statistics.region_statistics(np.where(instances < DISC_OFFSET, instances, 0))
    vertebrae = [v for v in region.present if v in _NUMBERS]
    above = _above_the_sacrum(instances, region, vertebrae, affine)
    if not above:
        return Levels(semantic, instances, anatomical=False, warnings=(_COUNTED,), renamed=_SAME)
    shift = _LAST - _NUMBERS.index(above[-1])
    if _NUMBERS.index(above[0]) + shift < 1:
        text = f"{len(above)} vertebrae above the sacrum are too many to name; counted from the top instead"
        return Levels(semantic, instances, anatomical=False, warnings=(text,), renamed=_SAME)
    false = [v for v in vertebrae if v not in above]
    removed = [offset + v for v in false for offset in (0, DISC_OFFSET, ENDPLATE_OFFSET)]
    table = np.arange(max(int(instances.max()), ENDPLATE_OFFSET + _NUMBERS[-1]) + 1, dtype=np.uint16)
    for offset in (0, DISC_OFFSET, ENDPLATE_OFFSET):
        for place, v in enumerate(_NUMBERS[1:], 1):
            table[offset + v] = offset + place + shift if 0 < place + shift < SACRUM_INSTANCE else 0
    table[removed] = 0
    warnings = (f"{len(false)} false vertebrae at or below the sacrum were deleted",) if false else ()
    if removed:
        semantic = np.where(np.isin(instances, removed), np.uint8(0), semantic)
    renamed = {v: int(table[v]) for v in above}
    named = relabel.look_up(instances, table)
    return Levels(semantic, named, anatomical=True, warnings=warnings, renamed=renamed)


_COUNTED = (
    "no sacrum beside the lowest vertebra: vertebrae are counted from the top (V1, V2, ...), in the files "
    "from 2 on as SPINEPS does; the numbers are no levels"
)


def _above_the_sacrum(
    instances: np.ndarray, region: statistics.RegionStatistics, vertebrae: list[int], affine: np.ndarray
) -> list[int]:
    """The vertebrae above a sacrum that is large enough and next to the lowest of them; else none."""
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    if len(region.sizes) <= SACRUM_INSTANCE or region.sizes[SACRUM_INSTANCE] * voxel_ml < SMALLEST_SACRUM_ML:
        return []
    to_world, sacrum = affine[:3, :3], region.centroids[SACRUM_INSTANCE]
    above = [v for v in vertebrae if (to_world @ (sacrum - region.centroids[v]))[2] < 0]
    if not above or above != vertebrae[: len(above)]:
        return []
    usual = float(np.median(region.sizes[above]))
    while len(above) > 2 and region.sizes[above[-1]] < FRAGMENT * usual:
        above = above[:-1]  # a piece of the sacrum that the networks took for a vertebra
    others = [v for v in vertebrae[len(above) :] if region.sizes[v] >= FRAGMENT * usual]
    for other in others[:1]:  # one right below the column speaks against the sacrum
        if np.linalg.norm(to_world @ (region.centroids[other] - region.centroids[above[-1]])) < APART_MM:
            return []
    ways = (np.argwhere(instances == SACRUM_INSTANCE) - region.centroids[above[-1]]) @ to_world.T
    return above if np.linalg.norm(ways, axis=1).min() < FARTHEST_MM else []
