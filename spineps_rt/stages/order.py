"""Instances are numbered from the head downwards."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import relabel, statistics


def number_from_top(instances: np.ndarray, *, first: int) -> np.ndarray:
    """Renumber the instances by the height of their centres.

    Args:
        instances: uint16, 3-D, axis 1 running downwards (P, I, R).
        first: Id of the topmost one; the others follow without gaps.

    Returns:
        A new uint16 instance mask.
    """
    regions = statistics.region_statistics(instances)
    from_top = sorted(regions.present, key=lambda label: regions.centroids[label, 1])
    mapping = {label: first + place for place, label in enumerate(from_top)}
    return relabel.map_labels(instances, mapping).astype(np.uint16, copy=False)
