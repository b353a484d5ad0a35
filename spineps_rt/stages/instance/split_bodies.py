"""Split a vertebral body that is two: find the waist by erosion, cut there with a plane."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import components, morphology, statistics
from spineps_rt.kernels.boxes import Box

MOST_EROSIONS = 11
"""As often SPINEPS 2.1.3 erodes before it gives up."""
CUBE = 26


def part_below(ids: np.ndarray, component: int, *, box: Box) -> np.ndarray | None:
    """Find the part of a component that lies below its waist.

    As SPINEPS 2.1.3 (``get_separating_components``, ``get_plane_split``): the component is eroded until it
    falls apart, the two largest pieces are grown until they meet, and the plane through the middle of where
    they met, at right angles to the line between the pieces' centres, cuts the component. A component that
    vanishes before it falls apart is left whole; SPINEPS's way of halving it raises an exception there.

    Args:
        ids: Component map, (P, I, R).
        component: The component to split.
        box: Where the component lies.

    Returns:
        Mask of the map's shape, bool; None where the component cannot be split.
    """
    reach = max(side.stop - side.start for side in box) // 2 + 2  # pieces meet within half the box
    low = [max(side.start - reach, 0) for side in box]
    around = tuple(slice(a, side.stop + reach) for a, side in zip(low, box))
    mask = ids[around] == component
    pieces = _fall_apart(mask)
    if pieces is None:
        return None
    centres = [_centre(piece, low) for piece in pieces]
    normal = centres[0] - centres[1]
    if not normal.any():
        return None
    floor = _lowest_rows(_centre(_meeting(*pieces), low), normal, ids.shape)
    rows = np.arange(ids.shape[1])[around[1]]
    below = np.zeros(ids.shape, dtype=bool)
    below[around] = mask & (rows[None, :, None] > floor[around[0], None, around[2]])
    return below


def _fall_apart(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Erode until there are at least two pieces; return the two largest, or None if never two."""
    for _ in range(MOST_EROSIONS):
        mask = morphology.erode(mask, connectivity=CUBE)
        ids, n = components.label(mask, connectivity=CUBE)
        if n == 0:
            return None
        if n == 2:  # in the order of the labelling, not of size, as SPINEPS does: it decides who grows first
            return ids == 1, ids == 2
        if n > 2:
            sizes = statistics.region_statistics(ids, n).sizes
            first, second = (np.argsort(-sizes[1:], kind="stable") + 1)[:2]
            return ids == first, ids == second
    return None


def _meeting(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Grow two pieces in turn until they overlap; return the overlap."""
    pieces = [morphology.dilate(piece, connectivity=CUBE) for piece in (first, second)]
    turn = 0
    while not (pieces[0] & pieces[1]).any():
        pieces[turn] = morphology.dilate(pieces[turn], connectivity=CUBE)
        turn = 1 - turn
    return pieces[0] & pieces[1]


def _centre(mask: np.ndarray, low: list[int]) -> np.ndarray:
    """Mean voxel index in the whole map: sums of whole numbers, so that the crop's place rounds nothing."""
    index = np.argwhere(mask)
    return (index.sum(axis=0) + len(index) * np.array(low)) / len(index)


def _lowest_rows(point: np.ndarray, normal: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Lowest row that a plane occupies in every column along I; -1 in columns that it misses.

    The plane has one voxel for every pair of coordinates of the two axes to which its normal is less
    parallel, and is held inside the volume.
    """
    axis = int(np.argmax(np.abs(normal / np.linalg.norm(normal))))
    one, other = (a for a in range(3) if a != axis)
    shift = -point.dot(normal)
    x, y = np.meshgrid(np.arange(shape[one]), np.arange(shape[other]))
    z = (-normal[one] * x - normal[other] * y - shift) * 1.0 / normal[axis]
    voxels = [np.empty(0, dtype=np.int64)] * 3
    voxels[axis] = np.clip(z, 0, shape[axis] - 1).astype(np.int64).ravel()
    voxels[one], voxels[other] = x.ravel(), y.ravel()
    rows = np.full((shape[0], shape[2]), -1, dtype=np.int64)
    np.maximum.at(rows, (voxels[0], voxels[2]), voxels[1])
    return rows
