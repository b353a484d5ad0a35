"""Articular processes follow the instance that holds most of them."""

from __future__ import annotations

import numpy as np

from spineps_rt import labels
from spineps_rt.kernels import components, relabel, statistics

ARTICULAR = (
    labels.SUPERIOR_ARTICULAR_LEFT,
    labels.SUPERIOR_ARTICULAR_RIGHT,
    labels.INFERIOR_ARTICULAR_LEFT,
    labels.INFERIOR_ARTICULAR_RIGHT,
)
DOMINANCE = 0.5
"""The second instance must hold less than this share of what the first holds."""


def unify(semantic: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Give each articular process to the instance that clearly dominates it.

    Background counts as an instance, so that a process which the instances hardly touch leaves them, as in
    SPINEPS 2.1.3 (``assign_vertebra_inconsistency``); ``unassigned_bone`` assigns it later.

    Args:
        semantic: uint8, 3-D.
        instances: uint16, same shape.

    Returns:
        A new instance mask.
    """
    ids, n = components.label(relabel.map_labels(semantic, {s: s for s in ARTICULAR}, keep_others=False))
    result = instances.copy()
    if n == 0:
        return result
    shares = statistics.joint_counts(ids, instances)
    if shares.shape[1] == 1:
        return result
    winner = shares.argmax(axis=1)
    ranked = np.partition(shares, -2, axis=1)
    first, second = ranked[:, -1], ranked[:, -2]
    decided = (second > 0) & (first * DOMINANCE > second)
    decided[0] = False
    regions = statistics.region_statistics(ids, n)
    for component in np.flatnonzero(decided):
        box = regions.box(int(component))
        result[box][ids[box] == component] = winner[component]
    return result
