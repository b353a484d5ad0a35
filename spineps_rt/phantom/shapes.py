"""Kernel that stamps tapered segments: bone of the processes, deepest claim wins."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import jit


@jit.njit
def stamp_segments(
    segments: np.ndarray,
    grid: np.ndarray,
    rough: np.ndarray,
    label: np.ndarray,
    owner: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Stamp segments in place.

    Args:
        segments: float64 (n, 19): start 0-2, unit axis 3-5, length 6, directions of the first and second
            radius 7-12, radii at the start and at the end 13-16, label 17, owner 18.
        grid: float64 (2, 3): position of voxel (0, 0, 0) and voxel size in mm.
        rough: float32 (P, I, R) distance in mm by which surfaces are roughened.
        label: uint8 (P, I, R), changed.
        owner: uint16 (P, I, R), changed.
        depth: float32 (2, P, I, R): distance to the surface of the owner's bone and of the nearest rival's
            (negative inside), changed.
    """
    for n in range(segments.shape[0]):
        s = segments[n]
        end = s[0:3] + s[6] * s[3:6]
        lo, hi = voxel_range((s[0:3], end), max(s[13], s[14], s[15], s[16]) + 2.0, grid, label.shape)
        for i in range(lo[0], hi[0]):
            for j in range(lo[1], hi[1]):
                for k in range(lo[2], hi[2]):
                    x = grid[0, 0] + i * grid[1, 0] - s[0]
                    y = grid[0, 1] + j * grid[1, 1] - s[1]
                    z = grid[0, 2] + k * grid[1, 2] - s[2]
                    d = np.float32(_distance(s, x, y, z) + rough[i, j, k])
                    if owner[i, j, k] == s[18] and label[i, j, k] != 0:
                        if d < depth[0, i, j, k]:
                            depth[0, i, j, k] = d
                            label[i, j, k] = np.uint8(s[17])
                    elif d < depth[0, i, j, k] and d < 0.0:
                        depth[1, i, j, k] = depth[0, i, j, k]
                        depth[0, i, j, k] = d
                        label[i, j, k] = np.uint8(s[17])
                        owner[i, j, k] = np.uint16(s[18])
                    elif d < depth[1, i, j, k]:
                        depth[1, i, j, k] = d


@jit.njit
def _distance(s: np.ndarray, x: float, y: float, z: float) -> float:
    """Approximate distance (mm, negative inside) to a segment's surface of a point relative to its start."""
    along = x * s[3] + y * s[4] + z * s[5]
    t = min(max(along / s[6], 0.0), 1.0)
    r1, r2 = s[13] + t * (s[15] - s[13]), s[14] + t * (s[16] - s[14])
    small = min(r1, r2)
    q1 = (x * s[7] + y * s[8] + z * s[9]) / r1
    q2 = (x * s[10] + y * s[11] + z * s[12]) / r2
    over = (along - t * s[6]) / small
    return float((np.sqrt(q1 * q1 + q2 * q2 + over * over) - 1.0) * small)


@jit.njit
def voxel_range(
    ends: tuple[np.ndarray, np.ndarray], reach: float, grid: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (first, one past last) within reach (mm) of the box that two points span."""
    lo = np.zeros(3, np.int64)
    hi = np.zeros(3, np.int64)
    for a in range(3):
        p, q = ends[0][a] - grid[0, a], ends[1][a] - grid[0, a]
        lo[a] = max(0, int(np.floor((min(p, q) - reach) / grid[1, a])))
        hi[a] = min(shape[a], int(np.ceil((max(p, q) + reach) / grid[1, a])) + 1)
    return lo, hi
