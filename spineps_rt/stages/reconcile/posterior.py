"""A loose piece of arch or spinous process moves to the one vertebra beside it."""

from __future__ import annotations

import numpy as np

from spineps_rt import labels
from spineps_rt.kernels import components, statistics

LAST_INSTANCE = 25
"""Instances above are left alone: SPINEPS counts vertebrae 1 to 25."""

LARGEST_PIECES = 3
"""Only an instance's largest pieces are looked at; the first of them is the vertebra itself."""


def move_loose_pieces(semantic: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Move loose posterior pieces to the only other instance near them.

    A piece is the second or third largest component (26-connected) of an instance. It moves if it is nothing
    but arch and spinous process, and the box around it, widened by a voxel, holds exactly one other instance
    and no other voxel of its own (SPINEPS 2.1.3 ``fix_wrong_posterior_instance_label``). All decisions are
    taken on the mask as it came.

    Args:
        semantic: uint8, 3-D, in P, I, R order (it breaks ties between pieces of one size).
        instances: uint16, same shape.

    Returns:
        A new instance mask.
    """
    result = instances.copy()
    ids, n = components.label(instances)
    if n == 0:
        return result
    regions = statistics.region_statistics(ids, n)
    owners = statistics.joint_counts(ids, instances).argmax(axis=1)
    for owner in range(1, LAST_INSTANCE + 1):
        pieces = sorted(np.flatnonzero(owners == owner), key=lambda piece: -regions.sizes[piece])
        for piece in pieces[1:LARGEST_PIECES]:
            box = regions.box(int(piece), margin=1)
            inside = ids[box] == piece
            if not set(semantic[box][inside].tolist()) <= {0, labels.ARCUS, labels.SPINOUS}:
                continue
            nearby = set(instances[box][~inside].tolist()) - {0}
            if len(nearby) == 1 and owner not in nearby:
                result[box][inside] = nearby.pop()
    return result
