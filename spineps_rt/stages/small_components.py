"""Deletion of small connected components: artefacts of a network are small and lie apart."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spineps_rt.kernels import components, relabel

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
    if labels.all():
        return labels.copy()
    kept = components.dust(labels, minimum, connectivity=FACES)
    if only is None:
        return kept
    looked_at = relabel.map_labels(labels, dict.fromkeys(only, 1), keep_others=False)
    return np.where(looked_at, kept, labels)
