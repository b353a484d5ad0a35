"""Instances are numbered from the head downwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spineps_rt import labels
from spineps_rt.errors import NoSpineError
from spineps_rt.kernels import relabel, statistics


def from_top(instances: np.ndarray) -> list[int]:
    """List the instances by the height of their centres, the topmost first.

    Args:
        instances: uint16, 3-D, axis 1 running downwards (P, I, R).
    """
    regions = statistics.region_statistics(instances)
    return sorted(regions.present, key=lambda label: regions.centroids[label, 1])


def number(instances: np.ndarray, places: Mapping[int, int], ids: Sequence[int]) -> np.ndarray:
    """Renumber the instances.

    Args:
        instances: uint16, 3-D.
        places: Instance -> its place from the top, from 0.
        ids: The id of each place.

    Returns:
        A new uint16 instance mask.
    """
    mapping = {label: ids[place] for label, place in places.items()}
    return relabel.map_labels(instances, mapping).astype(np.uint16, copy=False)


def vertebra_ids(n: int, *, first: int, spare_sacrum: bool) -> list[int]:
    """Ids of n vertebrae from the top.

    Args:
        n: How many.
        first: Id of the topmost one.
        spare_sacrum: After 25 go on with :data:`~spineps_rt.labels.SPARE_INSTANCES`; else count on into 26,
            the sacrum's id, as SPINEPS 2.1.3 does.

    Raises:
        NoSpineError: There are more vertebrae than ids.
    """
    if not spare_sacrum:
        return list(range(first, first + n))
    free = [*range(first, labels.SACRUM_INSTANCE), *labels.SPARE_INSTANCES]
    if n > len(free):
        raise NoSpineError(
            f"{n} vertebrae were found, and a spine has at most 26: what the networks marked is no spine."
            " Check that the scan shows one and that the models were made for its contrast."
        )
    return free[:n]
