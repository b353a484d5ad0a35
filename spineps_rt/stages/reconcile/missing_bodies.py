"""Vertebrae without a body in the masks, told by the two discs that they lie between."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spineps_rt import labels
from spineps_rt.kernels import components, relabel, statistics

SMALLEST_DISC = 0.3
"""A smaller share of the median disc is taken for a piece of one."""
APART = 0.5
"""Discs of two levels lie at least this share of the usual way from body to body apart."""
NEIGHBOURS = 2
"""Ways from body to body on either side from which the usual way is estimated."""


def missing_bodies(
    semantic: np.ndarray, instances: np.ndarray, from_top: list[int]
) -> dict[int, list[float]]:
    """Find where vertebrae are missing between two others.

    Two things must say the same number: the discs between the two bodies, and the way between these in terms
    of the usual way from body to body around there. Nothing is looked for below the sacrum's upper rim, nor
    where an instance without a body lies between: that one has its number.

    Args:
        semantic: uint8, 3-D, in P, I, R order.
        instances: uint16, same shape.
        from_top: The instances, the topmost first.

    Returns:
        {instance above the gap: heights of the missing bodies}, heights as indices along axis 1.
    """
    discs = _disc_heights(semantic)
    bodies = statistics.region_statistics(
        np.where(semantic == labels.CORPUS, instances, 0), max(from_top, default=0)
    )
    heights = [(i, float(bodies.centroids[i, 1])) for i in from_top if bodies.sizes[i]]
    rows = np.flatnonzero((semantic == labels.SACRUM).any(axis=(0, 2)))
    floor = float(rows[0]) if rows.size else np.inf
    ways = np.diff([height for _, height in heights])
    found = {}
    for k, (above, top) in enumerate(heights[:-1]):
        near = np.concatenate([ways[max(k - NEIGHBOURS, 0) : k], ways[k + 1 : k + 1 + NEIGHBOURS]])
        below, bottom = heights[k + 1]
        between = from_top.index(below) - from_top.index(above) - 1  # an arch counts already
        if len(near) < NEIGHBOURS or bottom > floor or between:
            continue
        usual = float(np.median(near))
        levels = _levels([height for height in discs if top < height < bottom], APART * usual)
        if len(levels) > 1 and len(levels) == round(ways[k] / usual):
            found[above] = [(a + b) / 2 for a, b in pairwise(levels)]
    return found


def _disc_heights(semantic: np.ndarray) -> list[float]:
    """Heights of all discs but fragments, ascending."""
    ids, n = components.label(relabel.map_labels(semantic, {labels.DISC: 1}, keep_others=False))
    regions = statistics.region_statistics(ids, n)
    if not regions.present:
        return []
    least = SMALLEST_DISC * float(np.median(regions.sizes[regions.present]))
    return sorted(float(regions.centroids[i, 1]) for i in regions.present if regions.sizes[i] >= least)


def _levels(heights: list[float], apart: float) -> list[float]:
    """Mean heights of groups of discs that lie apart."""
    groups: list[list[float]] = []
    for height in heights:
        if groups and height - groups[-1][-1] < apart:
            groups[-1].append(height)
        else:
            groups.append([height])
    return [sum(group) / len(group) for group in groups]
