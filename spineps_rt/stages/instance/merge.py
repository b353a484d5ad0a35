"""Write coupled predictions into one instance map, the surest first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spineps_rt.kernels.boxes import hull, within
from spineps_rt.stages.instance.coupling import Couple
from spineps_rt.stages.instance.cutouts import Predictions

MOST_OVERLAP = 0.6
"""A couple whose voxels are taken by more than this fraction shows a vertebra that is already there."""


def merge(
    predictions: Predictions, ranked: Mapping[Couple, float], shape: tuple[int, ...]
) -> tuple[np.ndarray, dict[int, Couple]]:
    """Merge couples into vertebrae (SPINEPS 2.1.3 ``merge_coupled_predictions``).

    A voxel belongs to a vertebra where two members of three agree; of a smaller or less sure couple one is
    enough, because little is known there.

    Args:
        predictions: Every class of every cutout.
        ranked: Couples and their agreement, in the order of writing: the first to claim a voxel keeps it.
        shape: Shape of the map.

    Returns:
        Instance map, uint16, numbered in the order of writing, and the couple behind each number.
    """
    result = np.zeros(shape, dtype=np.uint16)
    written: dict[int, Couple] = {}
    for couple, agreement in ranked.items():
        window = hull(predictions[member].box for member in couple)
        votes = np.zeros([side.stop - side.start for side in window], dtype=np.uint8)
        for member in couple:
            votes[within(window, predictions[member].box)] += predictions[member].mask
        unsure = len(couple) <= 2 or agreement < 0.3 + 0.15 * (4 - len(couple))
        chosen = votes >= (1 if unsure else 2)
        here = result[window]
        free = chosen & (here == 0)
        wanted, gained = int(np.count_nonzero(chosen)), int(np.count_nonzero(free))
        if (wanted - gained) / wanted > MOST_OVERLAP:
            continue
        written[len(written) + 1] = couple
        here[free] = len(written)
    return result, written
