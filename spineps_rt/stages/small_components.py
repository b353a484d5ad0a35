"""Deletion of small connected components: artefacts of a network are small and lie apart."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spineps_rt.kernels import components, relabel, statistics

FACES = 6


def drop_small(labels: np.ndarray, *, minimum: int, only: Iterable[int] | None = None) -> np.ndarray:
    """Delete components that are smaller than a threshold (SPINEPS ``clean_cc_artifacts(only_delete=True)``).

    Voxels belong together where equal labels share a face.

    Args:
        labels: Label map, 3-D, uint8 or uint16.
        minimum: Components of fewer voxels than this go.
        only: Labels to look at; None takes all.

    Returns:
        A cleaned copy; a map without background comes back as it is, as SPINEPS does.
    """
    result = labels.copy()
    if labels.all():
        return result
    ids, n = components.label(labels, connectivity=FACES)
    small = statistics.region_statistics(ids, n).sizes < minimum
    small[0] = False
    if not small.any():
        return result
    drop = relabel.look_up(ids, small)
    if only is not None:
        wanted = np.zeros(int(labels.max()) + 1, dtype=bool)
        wanted[[label for label in only if label < wanted.size]] = True
        drop &= relabel.look_up(labels, wanted)
    result[drop] = 0
    return result
