"""Kernel that traces canal, cord and nerve roots along the spine."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import jit
from spineps_rt.phantom.shapes import voxel_range
from spineps_rt.phantom.tissues import OTHER_BONE, Tissue

# Columns of a station: point 0-2, frame 3-11, half depth and width of the canal 12-13, of the cord 14-15,
# of the fluid-filled sac 16 (share of the canal, 0: only fat), shift of the cord to the front in mm 17.
COLUMNS = 18

_CANAL, _CORD, _OTHER = 61, 60, OTHER_BONE
_CSF, _ROOT, _CORD_TISSUE = int(Tissue.CSF), int(Tissue.ROOT), int(Tissue.CORD)
_FAT, _LIGAMENT = int(Tissue.EPIDURAL_FAT), int(Tissue.LIGAMENT)


@jit.njit
def trace_canal(
    stations: np.ndarray,
    roots: np.ndarray,
    grid: np.ndarray,
    label: np.ndarray,
    owner: np.ndarray,
    tissue: np.ndarray,
) -> None:
    """Trace the canal in place: it yields to bodies and discs and takes from the arch.

    Args:
        stations: float64 (n, 18), see the columns above.
        roots: float64 (m, 5): resting place of each nerve root in the sac (-1 to 1, back and right), its
            waviness, phase and radius in mm.
        grid: float64 (2, 3).
        label: uint8 (P, I, R), changed.
        owner: uint16 (P, I, R), changed.
        tissue: uint8 (P, I, R), changed.
    """
    for n in range(stations.shape[0] - 1):
        s, e = stations[n], stations[n + 1]
        d = e[0:3] - s[0:3]
        length = np.sum(d * d)
        lo, hi = voxel_range((s[0:3], e[0:3]), max(s[12], s[13]) * 1.7 + 2.0, grid, label.shape)
        for i in range(lo[0], hi[0]):
            for j in range(lo[1], hi[1]):
                for k in range(lo[2], hi[2]):
                    x = grid[0, 0] + i * grid[1, 0] - s[0]
                    y = grid[0, 1] + j * grid[1, 1] - s[1]
                    z = grid[0, 2] + k * grid[1, 2] - s[2]
                    t = (x * d[0] + y * d[1] + z * d[2]) / length
                    if t < -0.7 or t > 1.7:
                        continue
                    if (t < 0.0 or t > 1.0) and label[i, j, k] in (_CANAL, _CORD):
                        continue  # only where the path bends and leaves a gap
                    row = s + t * (e - s)
                    x, y, z = x - t * d[0], y - t * d[1], z - t * d[2]
                    u = x * row[3] + y * row[4] + z * row[5]
                    w = x * row[9] + y * row[10] + z * row[11]
                    voxel = (i, j, k)
                    if label[voxel] in (49, 62, 100):
                        continue
                    p, q = (u / row[12]) ** 2, (w / row[13]) ** 2
                    rho = np.sqrt(np.sqrt(p * p + q * q + 1.3 * p * q))
                    if rho < 1.0:
                        _fill(row, (u, w, n + t), roots, voxel, (label, owner, tissue))
                    elif label[voxel] == 0 and rho < 1.6:
                        _surround(u, w, row, voxel, tissue)


@jit.njit
def _fill(
    row: np.ndarray,
    place: tuple[float, float, float],
    roots: np.ndarray,
    voxel: tuple[int, int, int],
    maps: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Write cord, root, fluid or fat into one voxel of the canal."""
    u, w, along = place
    label, owner, tissue = maps
    label[voxel], owner[voxel] = _CANAL, 0
    if row[14] > 0.3 and ((u + row[17]) / row[14]) ** 2 + (w / row[15]) ** 2 < 1.0:
        label[voxel] = _CORD
        tissue[voxel] = _CORD_TISSUE
        return
    sac = row[16]
    p, q = (u + 0.25 * (1.0 - sac) * row[12]) / (row[12] * max(sac, 1e-3)), w / (row[13] * max(sac, 1e-3))
    if sac <= 0.05 or p * p + q * q > 1.0:
        tissue[voxel] = _FAT
        return
    tissue[voxel] = _CSF
    if row[14] > 2.6:
        return
    for r in range(roots.shape[0]):
        wave = roots[r, 2] * np.sin(along * 0.25 + roots[r, 3])
        du = (p - roots[r, 0] - wave) * row[12]
        dw = (q - roots[r, 1] + wave) * row[13]
        if du * du + dw * dw < roots[r, 4] ** 2:
            tissue[voxel] = _ROOT
            return


@jit.njit
def _surround(u: float, w: float, row: np.ndarray, voxel: tuple[int, int, int], tissue: np.ndarray) -> None:
    """Write what lies about the canal where there is no bone: yellow ligament, epidural and foraminal fat."""
    if tissue[voxel] != 255:
        return
    if u > 0.55 * row[12] and abs(w) > 4.0 - 0.25 * u:
        tissue[voxel] = _LIGAMENT
    else:
        tissue[voxel] = _FAT
