"""Kernel that stamps tapered segments: bone of the processes, deepest claim wins."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import _jit


@_jit.njit
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
        segments: float64 (n, 15), see ``posterior_elements``.
        grid: float64 (2, 3): position of voxel (0, 0, 0) and voxel size in mm.
        rough: float32 (P, I, R) distance in mm by which surfaces are roughened.
        label: uint8 (P, I, R), changed.
        owner: uint16 (P, I, R), changed.
        depth: float32 (2, P, I, R): distance to the surface of the owner's bone and of the nearest rival's
            (negative inside), changed.
    """
    for n in range(segments.shape[0]):
        s = segments[n]
        reach = max(s[9], s[10], s[11], s[12]) + 2.0
        lo, hi = _box(s, grid, reach, label.shape)
        axis, e1, length = _axes(s)
        e2 = np.cross(axis, e1)
        for i in range(lo[0], hi[0]):
            for j in range(lo[1], hi[1]):
                for k in range(lo[2], hi[2]):
                    x = grid[0, 0] + i * grid[1, 0] - s[0]
                    y = grid[0, 1] + j * grid[1, 1] - s[1]
                    z = grid[0, 2] + k * grid[1, 2] - s[2]
                    along = x * axis[0] + y * axis[1] + z * axis[2]
                    t = min(max(along / length, 0.0), 1.0)
                    over = along - t * length
                    r1 = s[9] + t * (s[11] - s[9])
                    r2 = s[10] + t * (s[12] - s[10])
                    q1 = (x * e1[0] + y * e1[1] + z * e1[2]) / r1
                    q2 = (x * e2[0] + y * e2[1] + z * e2[2]) / r2
                    small = min(r1, r2)
                    q = np.sqrt(q1 * q1 + q2 * q2 + (over / small) ** 2)
                    d = np.float32((q - 1.0) * small + rough[i, j, k])
                    if owner[i, j, k] == s[14] and label[i, j, k] != 0:
                        if d < depth[0, i, j, k]:
                            depth[0, i, j, k] = d
                            label[i, j, k] = np.uint8(s[13])
                    elif d < depth[0, i, j, k] and d < 0.0:
                        depth[1, i, j, k] = depth[0, i, j, k]
                        depth[0, i, j, k] = d
                        label[i, j, k] = np.uint8(s[13])
                        owner[i, j, k] = np.uint16(s[14])
                    elif d < depth[1, i, j, k]:
                        depth[1, i, j, k] = d


@_jit.njit
def _axes(s: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Unit vector along a segment, unit vector of its first radius, and its length."""
    axis = s[3:6] - s[0:3]
    length = max(np.sqrt(np.sum(axis * axis)), 1e-3)
    axis = axis / length
    e1 = s[6:9] - axis * np.sum(axis * s[6:9])
    size = np.sqrt(np.sum(e1 * e1))
    if size < 0.1:
        e1 = np.array([1.0, 0.0, 0.0]) - axis * axis[0]
        size = np.sqrt(np.sum(e1 * e1))
    return axis, e1 / size, length


@_jit.njit
def _box(
    s: np.ndarray, grid: np.ndarray, reach: float, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Voxel range (first, one past last) that a segment may touch."""
    lo = np.zeros(3, np.int64)
    hi = np.zeros(3, np.int64)
    for a in range(3):
        lo[a] = max(0, int(np.floor((min(s[a], s[a + 3]) - reach - grid[0, a]) / grid[1, a])))
        hi[a] = min(shape[a], int(np.ceil((max(s[a], s[a + 3]) + reach - grid[0, a]) / grid[1, a])) + 1)
    return lo, hi
