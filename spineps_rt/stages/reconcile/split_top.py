"""A topmost vertebra that was split into two instances becomes one again."""

from __future__ import annotations

import numpy as np

from spineps_rt import labels
from spineps_rt.kernels import components, contacts, relabel, statistics
from spineps_rt.stages.thresholds import REFERENCE_VOXEL_MM3

CONTACT_MM2 = 20 * REFERENCE_VOXEL_MM3 ** (2 / 3)
"""Two parts of one vertebra share more than this."""

SIZE_RATIO = 0.5
"""The upper part is smaller than this share of the lower one."""


def join_split_top(
    semantic: np.ndarray, instances: np.ndarray, *, spacing: tuple[float, ...], axis: int, sign: int
) -> tuple[np.ndarray, bool]:
    """Join the two first instances where no disc lies between them (usually C2's dens and body).

    Bodies and arches, discs and endplates are sorted by their centres. Are the first two instances, the first
    one much smaller, and do they touch widely, then the first takes the second's id.

    Args:
        semantic: uint8, 3-D.
        instances: uint16, same shape.
        spacing: mm per voxel, in any order.
        axis: Array axis to sort along. SPINEPS 2.1.3 (``detect_and_solve_merged_vertebra``) takes axis 1 of
            the **input's** array, which is the height of a P, I, R image but not of every input.
        sign: 1 to sort by rising index, -1 by falling.

    Returns:
        New instance mask, and whether two instances were joined.
    """
    if not np.any(semantic == labels.DISC):
        return instances.copy(), False
    between = relabel.map_labels(semantic, {labels.DISC: 1, labels.ENDPLATE: 1}, keep_others=False)
    ids, n = components.label(between)
    discs = statistics.region_statistics(ids, n)
    core = (semantic == labels.CORPUS) | (semantic == labels.ARCUS)
    cores = statistics.region_statistics(instances * core)
    entries = [(sign * discs.centroids[i, axis], 0) for i in discs.present]
    entries += [(sign * cores.centroids[i, axis], i) for i in cores.present]
    top = [instance for _, instance in sorted(entries, key=lambda entry: entry[0])[:2]]
    if len(top) < 2 or 0 in top:
        return instances.copy(), False
    first, second = top
    sizes = np.bincount(instances.ravel(), minlength=max(top) + 1)
    if not (sizes[first] < SIZE_RATIO * sizes[second] and _touch_widely(instances, first, second, spacing)):
        return instances.copy(), False
    return relabel.map_labels(instances, {first: second}), True


def _touch_widely(instances: np.ndarray, first: int, second: int, spacing: tuple[float, ...]) -> bool:
    pair = relabel.map_labels(instances, {first: 1, second: 2}, keep_others=False)
    faces = contacts.contacts(pair).get((1, 2), 0)
    mean_face_mm2 = float(np.prod(spacing)) ** (2 / 3)
    return faces > max(round(CONTACT_MM2 / mean_face_mm2), 1)
