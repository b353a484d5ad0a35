"""Bone that has no instance gets a neighbour's, or is deleted."""

from __future__ import annotations

import numpy as np

from spineps_rt import labels
from spineps_rt.kernels import components, relabel, statistics
from spineps_rt.kernels.arrays import MAXIMAL_DISTANCE

VERTEBRA_WHOLE = 40
"""TPTBox ``Vertebra_Full``: models that do not tell a vertebra's parts apart answer it."""

BONE = (VERTEBRA_WHOLE, *labels.VERTEBRA_STRUCTURES, labels.DENS)
"""Semantic ids that must have a vertebra's instance."""

GROWTH = 2
"""Voxels by which instances grow into bone before its components are looked at."""


def assign(semantic: np.ndarray, instances: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Make bone and instances cover the same voxels.

    Instances first grow by :data:`GROWTH` voxels within bone. Each component of bone (18-connected) that is
    still without instance takes the commonest one among the voxels around it, the lowest of equals; without
    any it is deleted from the semantic mask (SPINEPS 2.1.3 ``assign_missing_cc``).

    Args:
        semantic: uint8, 3-D.
        instances: uint16, same shape.

    Returns:
        New semantic mask, new instance mask, which is zero outside bone, and how many voxels were deleted.
    """
    bone = bone_of(semantic)
    semantic = semantic.copy()
    grown, orphans = _grow(instances, bone)
    alone = np.zeros(grown.shape, np.uint8)
    alone.reshape(-1)[orphans] = 1
    box = statistics.nonzero_box(alone, margin=1)
    if box is None:
        return semantic, grown, 0
    ids, n = components.label(alone[box], connectivity=18)
    winner = _votes(ids, n, grown[box]).argmax(axis=1).astype(grown.dtype)
    voxels = np.nonzero(ids)
    chosen = winner[ids[voxels]]
    grown[box][voxels] = chosen
    lost = tuple(axis[chosen == 0] for axis in voxels)
    semantic[box][lost] = 0
    return semantic, grown, len(lost[0])


def bone_of(semantic: np.ndarray) -> np.ndarray:
    """Mark the voxels that belong to a vertebra.

    Args:
        semantic: uint8, 3-D.

    Returns:
        uint8, 1 in bone and 0 elsewhere.
    """
    return relabel.map_labels(semantic, dict.fromkeys(BONE, 1), keep_others=False)


def _grow(instances: np.ndarray, bone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grow instances into bone, looking at uncovered bone only, which is little.

    Equals ``morphology.dilate(instances, iterations=GROWTH, mask=bone)``, also in that the lowest instance
    grows from outside bone in the first round. Cuts off what then lies outside bone.

    Args:
        instances: uint16, 3-D.
        bone: uint8, same shape, 0 or 1.

    Returns:
        New instance mask, and the flat indices of bone that is still uncovered.
    """
    held = statistics.joint_counts(bone, instances)
    lowest = int(np.flatnonzero(held[:, 1:].any(axis=0))[:1].sum()) + 1
    padded, inside = np.pad(instances, 1), np.pad(bone, 1)
    flat = padded.reshape(-1)
    bare = np.flatnonzero(padded < inside) if held[-1, 0] else np.zeros(0, np.int64)
    for round_ in range(GROWTH):
        around = bare[:, None] + _steps(padded, 6)
        near = flat[around]
        seeds = (near > 0) & ((inside.reshape(-1)[around] > 0) | ((near == lowest) & (round_ == 0)))
        best = np.where(seeds, near, np.iinfo(near.dtype).max).min(axis=1)
        reached = seeds.any(axis=1)
        flat[bare[reached]] = best[reached]
        bare = bare[~reached]
    middle = (slice(1, -1),) * 3
    place = np.array(np.unravel_index(bare, padded.shape)) - 1
    return padded[middle] * bone, np.ravel_multi_index(tuple(place), bone.shape)


def _steps(array: np.ndarray, connectivity: int) -> np.ndarray:
    """Tell how far a voxel's neighbours (and itself) lie from it in a flat C-contiguous array."""
    steps = np.indices((3, 3, 3)).reshape(3, -1).T - 1
    steps = steps[np.abs(steps).sum(axis=1) <= MAXIMAL_DISTANCE[connectivity]]
    return steps @ (np.array(array.strides) // array.itemsize)


def _votes(ids: np.ndarray, n: int, instances: np.ndarray) -> np.ndarray:
    """Count around each component the voxels of each instance, every voxel once.

    Args:
        ids: uint32, components 1 to n, not neighbours of each other.
        n: How many.
        instances: Same shape.

    Returns:
        int64 (n + 1, highest instance + 1); column 0 stays zero.
    """
    padded = np.pad(instances, 1)
    voxels = np.flatnonzero(np.pad(ids, 1))
    around = voxels[:, None] + _steps(padded, 18)
    component = np.broadcast_to(ids[ids != 0].astype(np.int64)[:, None], around.shape)
    held = padded.ravel()[around] != 0
    pairs = np.unique(component[held] * padded.size + around[held])
    votes = np.zeros((n + 1, int(instances.max()) + 1), np.int64)
    np.add.at(votes, (pairs // padded.size, padded.ravel()[pairs % padded.size]), 1)
    return votes
