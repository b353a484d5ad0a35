"""Endplates are told apart into superior and inferior ones."""

from __future__ import annotations

import numpy as np

from spineps_rt import labels
from spineps_rt.kernels import relabel, statistics

ROUNDS = 14
"""Voxels from a vertebra, along the largest axis, within which an endplate is looked for."""

VERTEBRA_LIMIT = 40
"""Ids below belong to vertebrae and the sacrum."""

FAR = 255
"""Not reached by any vertebra yet; above every vertebra's id, so that a minimum keeps the ids."""


def split(semantic: np.ndarray, instances: np.ndarray) -> tuple[np.ndarray, int]:
    """Name each endplate voxel after the first vertebra that reaches it when all grow.

    All vertebrae grow by one voxel (26-connected) a round, through whatever lies there; of several that
    arrive in one round the lowest id is first. If the plate is the vertebra's own (its id is
    ``ENDPLATE_OFFSET`` plus the vertebra's), it is inferior; if it is that of the vertebra before, superior;
    if it is another's, the voxel is deleted. The rounds end once one adds nothing; voxels not reached stay
    endplate. All this, also that the lowest id's "vertebra before" is 1 in the first round and the last id
    later, is as in SPINEPS 2.1.3 (``_split_endplates``).

    Args:
        semantic: uint8, 3-D.
        instances: uint16, same shape, with discs and endplates attached.

    Returns:
        New semantic mask, and how many endplate voxels were deleted.
    """
    semantic = semantic.copy()
    box = statistics.nonzero_box(semantic == labels.ENDPLATE, margin=ROUNDS)
    if box is None:
        return semantic, 0
    plates = np.nonzero(semantic[box] == labels.ENDPLATE)
    owner = instances[box][plates].astype(np.int64) - labels.ENDPLATE_OFFSET
    present = [i for i in statistics.region_statistics(instances).present if i < VERTEBRA_LIMIT]
    table = np.full(int(instances.max()) + 1, FAR, np.uint8)
    table[present] = present
    named = _grow(relabel.look_up(instances[box], table), plates, owner, np.array(present, np.int64))
    semantic[box][plates] = named
    return semantic, int(np.count_nonzero(named == 0))


def _grow(
    nearest: np.ndarray, plates: tuple[np.ndarray, ...], owner: np.ndarray, present: np.ndarray
) -> np.ndarray:
    """Let the vertebrae grow; return the endplate voxels' new semantic ids."""
    before = np.zeros(FAR + 1, np.int64)
    before[present] = np.concatenate([[1], present[:-1]])
    named = np.full(owner.size, labels.ENDPLATE, np.uint8)
    found, last = 0, -1
    for _ in range(ROUNDS):
        if found == owner.size or found == last != 0:
            break
        last = found
        nearest = _spread(nearest)
        arrived = np.flatnonzero((named == labels.ENDPLATE) & (nearest[plates] != FAR))
        by, own = nearest[plates][arrived], owner[arrived]
        kind = np.where(own == by, labels.ENDPLATE_INFERIOR, 0)
        named[arrived] = np.where(own == before[by], labels.ENDPLATE_SUPERIOR, kind)
        found += int(np.count_nonzero(named[arrived]))
        before[present[:1]] = present[-1:]
    return named


def _spread(nearest: np.ndarray) -> np.ndarray:
    """Give each voxel the lowest value of its 26 neighbours and itself."""
    for axis in range(3):
        lowest = nearest.copy()
        here, there = np.moveaxis(lowest, axis, 0), np.moveaxis(nearest, axis, 0)
        np.minimum(here[1:], there[:-1], out=here[1:])
        np.minimum(here[:-1], there[1:], out=here[:-1])
        nearest = lowest
    return nearest
