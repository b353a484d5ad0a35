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


def split(
    semantic: np.ndarray, instances: np.ndarray, *, keep_contested: bool = True
) -> tuple[np.ndarray, int]:
    """Name each endplate voxel after the nearer one of the two vertebrae that it lies between.

    The id of a plate is ``ENDPLATE_OFFSET`` plus that of the vertebra above it. Where this one is as near as
    the next one below or nearer (counted in 26-connected steps, at most :data:`ROUNDS`, through whatever lies
    there), the voxel is inferior endplate; where the next one is nearer, superior; where neither is in reach
    it stays endplate.

    Without ``keep_contested`` as in SPINEPS 2.1.3 (``_split_endplates``): any vertebra may come first, of
    several in one round the lowest id; a voxel whose plate is neither its own nor that of the vertebra before
    is deleted. The rounds end once one adds nothing. The lowest id's "vertebra before" is 1 in the first
    round and the last id later.

    Args:
        semantic: uint8, 3-D.
        instances: uint16, same shape, with discs and endplates attached.
        keep_contested: Ask only the two vertebrae beside a plate.

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
    if keep_contested:
        semantic[box][plates] = _between(instances[box], plates, owner, present)
        return semantic, 0
    table = np.full(int(instances.max()) + 1, FAR, np.uint8)
    table[present] = present
    named = _grow(relabel.look_up(instances[box], table), plates, owner, np.array(present, np.int64))
    semantic[box][plates] = named
    return semantic, int(np.count_nonzero(named == 0))


def _between(
    instances: np.ndarray, plates: tuple[np.ndarray, ...], owner: np.ndarray, present: list[int]
) -> np.ndarray:
    """Ask the vertebra above and the next one below for each plate; return the voxels' new semantic ids."""
    named = np.full(owner.size, labels.ENDPLATE, np.uint8)
    down = [i for i in labels.LEVEL_ORDER if i in present]
    for above in np.unique(owner[owner > 0]).tolist():
        of_plate = np.flatnonzero(owner == above)
        below = [i for i in down if _place(i) > _place(above)][:1]
        voxels = tuple(axis[of_plate] for axis in plates)
        low = [max(int(axis.min()) - ROUNDS, 0) for axis in voxels]
        window = tuple(slice(a, int(axis.max()) + ROUNDS + 1) for a, axis in zip(low, voxels))
        around = instances[window]
        reach = (around == above).view(np.uint8) + 2 * np.isin(around, below).view(np.uint8)
        inside = tuple(axis - a for axis, a in zip(voxels, low))
        for _ in range(ROUNDS):
            bare = named[of_plate] == labels.ENDPLATE
            if not bare.any():
                break
            reach = _spread(reach, np.bitwise_or)
            by = reach[inside]
            kind = np.where(by & 1, labels.ENDPLATE_INFERIOR, labels.ENDPLATE_SUPERIOR)
            named[of_plate[bare & (by > 0)]] = kind[bare & (by > 0)]
    return named


def _place(vertebra: int) -> int:
    """Place of an id from the head downwards; ids that name no level come last."""
    order = labels.LEVEL_ORDER
    return order.index(vertebra) if vertebra in order else len(order)


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
        nearest = _spread(nearest, np.minimum)
        arrived = np.flatnonzero((named == labels.ENDPLATE) & (nearest[plates] != FAR))
        by, own = nearest[plates][arrived], owner[arrived]
        kind = np.where(own == by, labels.ENDPLATE_INFERIOR, 0)
        named[arrived] = np.where(own == before[by], labels.ENDPLATE_SUPERIOR, kind)
        found += int(np.count_nonzero(named[arrived]))
        before[present[:1]] = present[-1:]
    return named


def _spread(values: np.ndarray, joined: np.ufunc) -> np.ndarray:
    """Join each voxel's value with those of its 26 neighbours."""
    for axis in range(3):
        result = values.copy()
        here, there = np.moveaxis(result, axis, 0), np.moveaxis(values, axis, 0)
        joined(here[1:], there[:-1], out=here[1:])
        joined(here[:-1], there[1:], out=here[:-1])
        values = result
    return values
