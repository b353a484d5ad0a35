"""Kernels that stamp vertebral bodies, discs and endplates."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import jit
from spineps_rt.phantom.shapes import voxel_range

# Columns of a body's row: centre 0-2, frame 3-11, half sizes 12-14, then:
WEDGE, HOLLOW_TOP, HOLLOW_BOTTOM, WAIST, LIP, OWNER, TOP_PLATE, BOTTOM_PLATE, LABEL, VEIN = range(15, 25)
BODY_COLUMNS = 25
# Columns of a disc's row:
MODE, BULGE, HERNIA, HERNIA_SIDE, NUCLEUS, CLEFT, DISC_OWNER, DISC_LABEL, UPPER_OWNER, LOWER_OWNER = range(10)
DISC_COLUMNS = 10
NORMAL, FUSED, BRIDGED, MISSING = range(4)

_CORPUS, _ENDPLATE, _DISC, _BONE_LIP = 49, 62, 100, 0.78
_TISSUE_ENDPLATE, _TISSUE_ANNULUS, _TISSUE_VEIN, _UNSET = 17, 16, 18, 255


@jit.njit
def _local(row: np.ndarray, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Coordinates to the back, downwards and to the right in a body's frame."""
    dx, dy, dz = x - row[0], y - row[1], z - row[2]
    return (
        dx * row[3] + dy * row[4] + dz * row[5],
        dx * row[6] + dy * row[7] + dz * row[8],
        dx * row[9] + dy * row[10] + dz * row[11],
    )


@jit.njit
def _radius(u: float, w: float, a: float, b: float) -> float:
    """Radial coordinate of a kidney-shaped cross-section: 1 on its rim."""
    p, q = u / a, w / b
    if p > 0.0:
        p *= 1.0 + 0.12 * np.exp(-((q / 0.5) ** 2))
    p, q = p * p, q * q
    return float(np.sqrt(np.sqrt(p * p + q * q + 1.15 * p * q)))


@jit.njit
def _plates(row: np.ndarray, u: float, w: float) -> tuple[float, float]:
    """Height (downwards) of the superior and of the inferior surface of a body."""
    top = 1.0 - min(_radius(u + 0.1 * row[12], w, row[12], row[14]), 1.0) ** 2
    bottom = 1.0 - min(_radius(u - 0.2 * row[12], w, row[12], row[14]), 1.0) ** 2
    tilt = row[15] * u
    return -row[13] + tilt + row[16] * top, row[13] - tilt - row[17] * bottom


@jit.njit
def stamp_body(
    row: np.ndarray,
    place: tuple[np.ndarray, float],
    rough: np.ndarray,
    label: np.ndarray,
    owner: np.ndarray,
    state: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Stamp one body with its endplates in place.

    Args:
        row: float64 (25,), see the columns above.
        place: Grid, float64 (2, 3), and thickness of an endplate inside the body in mm.
        rough: float32 (P, I, R) roughness in mm.
        label: uint8 (P, I, R), changed.
        owner: uint16 (P, I, R), changed.
        state: depth float32 (2, P, I, R), shell float32 (distance to the column), tissue uint8; changed.
    """
    grid, thickness = place
    depth, shell, tissue = state
    a, h, b = row[12], row[13], row[14]
    lo, hi = voxel_range((row[0:3], row[0:3]), max(a, b, h) * 1.25 + 4.0, grid, label.shape)
    for i in range(lo[0], hi[0]):
        for j in range(lo[1], hi[1]):
            for k in range(lo[2], hi[2]):
                u, v, w = _local(
                    row, grid[0, 0] + i * grid[1, 0], grid[0, 1] + j * grid[1, 1], grid[0, 2] + k * grid[1, 2]
                )
                if abs(v) > h + 6.0 or abs(u) > a + 8.0 or abs(w) > b + 8.0:
                    continue
                q = min(abs(v) / h, 1.0)
                lip = max(0.0, (q - _BONE_LIP) / (1.0 - _BONE_LIP)) ** 2 * row[19] * (1.0 + rough[i, j, k])
                grown = 1.0 - row[18] * (1.0 - q * q)
                size = min(a, b)
                radial = (_radius(u, w, a * grown, b * grown) - 1.0) * size - lip + 0.6 * rough[i, j, k]
                top, bottom = _plates(row, u, w)
                upper, lower = top - v - 0.5 * rough[i, j, k], v - bottom + 0.5 * rough[i, j, k]
                inside = max(radial, upper, lower)
                shell[i, j, k] = min(shell[i, j, k], inside)
                if inside >= 0.0:
                    continue
                if owner[i, j, k] != row[20]:
                    depth[1, i, j, k] = depth[0, i, j, k]
                    depth[0, i, j, k] = inside
                elif label[i, j, k] != 0 and inside < depth[0, i, j, k]:
                    depth[0, i, j, k] = inside
                label[i, j, k] = np.uint8(row[23])
                owner[i, j, k] = np.uint16(row[20])
                if upper > -thickness and row[21] > 0.0:
                    label[i, j, k], owner[i, j, k] = _ENDPLATE, np.uint16(row[21])
                    tissue[i, j, k] = _TISSUE_ENDPLATE
                elif lower > -thickness and row[22] > 0.0:
                    label[i, j, k], owner[i, j, k] = _ENDPLATE, np.uint16(row[22])
                    tissue[i, j, k] = _TISSUE_ENDPLATE
                elif abs(v) < row[24] and abs(w) < 1.5 + 0.2 * u and u > 0.4 * a:
                    tissue[i, j, k] = _TISSUE_VEIN


@jit.njit
def stamp_disc(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    place: tuple[np.ndarray, float],
    rough: np.ndarray,
    label: np.ndarray,
    owner: np.ndarray,
    state: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Stamp the disc between two bodies in place.

    Args:
        rows: The upper and the lower body's row and the disc's, float64.
        place: Grid, float64 (2, 3), and thickness of an endplate on the disc's side in mm.
        rough: float32 (P, I, R) roughness in mm.
        label: uint8 (P, I, R), changed.
        owner: uint16 (P, I, R), changed.
        state: depth float32 (2, P, I, R), shell float32 (distance to the column), tissue uint8; changed.
    """
    upper, lower, disc = rows
    grid, thickness = place
    shell, tissue = state[1], state[2]
    size = max(upper[12], upper[14], lower[12], lower[14]) * 1.15 + 6.0
    ends = (upper[0:3] + upper[6:9] * upper[13], lower[0:3] - lower[6:9] * lower[13])
    lo, hi = voxel_range(ends, size, grid, label.shape)
    for i in range(lo[0], hi[0]):
        for j in range(lo[1], hi[1]):
            for k in range(lo[2], hi[2]):
                x, y, z = (
                    grid[0, 0] + i * grid[1, 0],
                    grid[0, 1] + j * grid[1, 1],
                    grid[0, 2] + k * grid[1, 2],
                )
                u1, v1, w1 = _local(upper, x, y, z)
                u2, v2, w2 = _local(lower, x, y, z)
                if v1 < 0.0 or v2 > 0.0:
                    continue
                over = v1 - _plates(upper, u1, w1)[1] + 0.5 * rough[i, j, k]
                under = _plates(lower, u2, w2)[0] - v2 - 0.5 * rough[i, j, k]
                if over <= 0.0 or under <= 0.0:
                    continue
                f = over / (over + under)
                u, w = (1 - f) * u1 + f * u2, (1 - f) * w1 + f * w2
                a, b = (1 - f) * upper[12] + f * lower[12], (1 - f) * upper[14] + f * lower[14]
                swell = _swell(disc, f, u / a, w)
                rho = _radius(u, w, a + swell, b + swell)
                radial = (rho - 1.0) * min(a, b) + 0.5 * rough[i, j, k]
                if disc[0] == BRIDGED:
                    radial -= 1.5
                shell[i, j, k] = min(shell[i, j, k], radial)
                if radial >= 0.0:
                    continue
                _fill_disc(disc, (f, rho, u, w), (over, under, thickness), (i, j, k), (label, owner, tissue))


@jit.njit
def _swell(disc: np.ndarray, f: float, back: float, w: float) -> float:
    """How far (mm) a disc bulges, and where herniated pushes to the back, at the share f of its height."""
    arch = 4.0 * f * (1 - f)
    bulge = disc[1] * arch
    if back > 0.0 and disc[2] > 0.0:
        bulge += disc[2] * np.exp(-(((w - disc[3]) / 6.0) ** 2)) * back * back * np.sqrt(arch)
    return float(bulge)


@jit.njit
def _fill_disc(
    disc: np.ndarray,
    place: tuple[float, float, float, float],
    heights: tuple[float, float, float],
    voxel: tuple[int, int, int],
    maps: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Write disc, endplate or the bone that replaces them into one voxel."""
    f, rho, u, _ = place
    over, under, thickness = heights
    label, owner, tissue = maps
    side = disc[8] if f < 0.5 else disc[9]
    if disc[0] == FUSED or (disc[0] == BRIDGED and rho > 0.82 and u < 0.0):
        label[voxel] = _CORPUS
        owner[voxel] = np.uint16(side)
        tissue[voxel] = _UNSET
        return
    owner[voxel] = np.uint16(disc[6])
    tissue[voxel] = _TISSUE_ANNULUS
    if disc[0] == MISSING or (disc[7] == _DISC and min(over, under) < thickness):
        label[voxel] = _ENDPLATE
        owner[voxel] = np.uint16(disc[6] + 100)
        tissue[voxel] = _TISSUE_ENDPLATE
        return
    label[voxel] = np.uint8(disc[7])
    lens = (rho / 0.74) ** 2 + ((f - 0.5) / 0.42) ** 2
    if lens < 1.0 and (abs(f - 0.5) > disc[5] or rho > 0.5):
        tissue[voxel] = np.uint8(disc[4])
