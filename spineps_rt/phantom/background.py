"""Kernel that fills the body around the spine and decides what bone is cortical."""

from __future__ import annotations

import numpy as np

from ..kernels import _jit
from .tissues import OTHER_BONE, Tissue

# Columns of a slice's row (one per voxel along I): centre of the column in P and R 0-1, half depth and width of
# the body 2-3, skin behind and in front 4-5, half width of the torso 6, back fat 7, level 8, reach of the spinous
# processes behind the body's centre 9, skew of the vessels 10.
COLUMNS = 11

_BONE_TISSUE = np.full(256, 255, np.uint8)
_BONE_TISSUE[41:49] = int(Tissue.POSTERIOR_MARROW)
_BONE_TISSUE[49] = int(Tissue.MARROW)
_BONE_TISSUE[26] = int(Tissue.SACRAL_MARROW)
_BONE_TISSUE[OTHER_BONE] = int(Tissue.POSTERIOR_MARROW)
_AIR, _FAT, _MUSCLE, _VESSEL = int(Tissue.AIR), int(Tissue.FAT), int(Tissue.MUSCLE), int(Tissue.VESSEL)
_LIGAMENT, _CORTICAL, _BOWEL, _ORGAN = (
    int(Tissue.LIGAMENT),
    int(Tissue.CORTICAL),
    int(Tissue.BOWEL),
    int(Tissue.ORGAN),
)
_GAS, _VISCERAL, _LUNG, _FLUID = (
    int(Tissue.GAS),
    int(Tissue.VISCERAL_FAT),
    int(Tissue.LUNG),
    int(Tissue.FLUID),
)
_INTERSPINOUS, _BRAIN, _OTHER = int(Tissue.INTERSPINOUS), int(Tissue.BRAIN), OTHER_BONE


@_jit.njit(parallel=True)
def fill_background(
    slices: np.ndarray,
    fat_share: float,
    grid: np.ndarray,
    noise: tuple[np.ndarray, np.ndarray, np.ndarray],
    bone: tuple[np.ndarray, np.ndarray, np.ndarray],
    tissue: np.ndarray,
) -> None:
    """Fill every voxel that no shape of the spine has claimed, in place.

    Args:
        slices: float64 (I, 11), see the columns above.
        fat_share: Share of the back muscles that fat has replaced.
        grid: float64 (2, 3).
        noise: Three smooth float32 fields: organs, fine, and streaks along the muscles.
        bone: label uint8 (working labels of bone without a label are cleared), depth float32 (2, P, I, R) and
            shell float32.
        tissue: uint8 (P, I, R), changed.
    """
    label, depth, shell = bone
    organs, fine, streaks = noise
    for i in _jit.prange(label.shape[0]):
        for j in range(label.shape[1]):
            row = slices[j]
            for k in range(label.shape[2]):
                kind = label[i, j, k]
                if kind > 0 and _BONE_TISSUE[kind] != 255:
                    if kind == _OTHER:
                        label[i, j, k] = 0
                    inner = max(depth[0, i, j, k], depth[0, i, j, k] - depth[1, i, j, k] + 0.2)
                    if inner > (-0.75 if kind == 49 else -0.95):
                        tissue[i, j, k] = _CORTICAL
                    elif tissue[i, j, k] == 255:
                        tissue[i, j, k] = _BONE_TISSUE[kind]
                elif tissue[i, j, k] == 255:
                    if shell[i, j, k] < 1.3:
                        tissue[i, j, k] = _LIGAMENT
                        continue
                    x, z = grid[0, 0] + i * grid[1, 0], grid[0, 2] + k * grid[1, 2]
                    values = (organs[i, j, k], fine[i, j, k], streaks[i, j, k])
                    tissue[i, j, k] = _classify(x, z, row, values, fat_share)


@_jit.njit
def _classify(
    x: float, z: float, row: np.ndarray, values: tuple[float, float, float], fat_share: float
) -> int:
    """Tissue at (P, R) mm of one slice."""
    organs, fine, streaks = values
    half = 0.5 * (row[4] - row[5])
    p = (x - 0.5 * (row[4] + row[5])) / half
    q = z / row[6]
    p2, q2 = p * p, q * q
    torso = np.sqrt(np.sqrt(p2 * p2 + q2 * q2 + 0.9 * p2 * q2))
    skin = (1.0 - torso) * min(half, row[6])
    if skin < 0.0:
        return _AIR
    if skin < 1.6:
        return _MUSCLE
    if skin < (row[7] if p > 0.0 else row[7] * 1.2) + 1.2 * fine:
        return _FAT
    u, w = x - row[0], z - row[1]
    if row[8] < 1.0:
        return _head(u, fine)
    if u > row[2] + 4.0 or (u > 0.0 and abs(w) > row[3] + 22.0):
        return _back(u, w, row, values, fat_share)
    return _front(u, w, row, values)


@_jit.njit
def _head(u: float, fine: float) -> int:
    """Tissue above the atlas: brain behind, muscle and fat before."""
    if u > -8.0:
        return _BRAIN
    if fine > 1.2:
        return _GAS
    return _MUSCLE if fine > -0.4 else _VISCERAL


@_jit.njit
def _back(u: float, w: float, row: np.ndarray, values: tuple[float, float, float], fat_share: float) -> int:
    """Tissue behind the bodies: muscles with fat between them, ligaments between the spinous processes."""
    _, fine, streaks = values
    if abs(w) < 3.0 + 0.8 * fine and u < row[9]:
        return _INTERSPINOUS if fine > -1.0 else _LIGAMENT
    if abs(w) < 2.0 and u < row[9] + 2.5:
        return _LIGAMENT
    near = np.exp(-(((abs(w) - 6.0) / 9.0) ** 2)) * 0.8
    if streaks + near > 2.3 - 2.6 * fat_share:
        return _FAT
    return _MUSCLE


@_jit.njit
def _front(u: float, w: float, row: np.ndarray, values: tuple[float, float, float]) -> int:
    """Tissue beside and before the bodies by region: neck, chest, abdomen, pelvis."""
    organs, fine, streaks = values
    level, a, b = row[8], row[2], row[3]
    ahead = -u - a
    if level < 8.0:
        if ahead < 5.0 + fine:
            return _MUSCLE
        if (w / 9.0) ** 2 + ((ahead - 15.0) / 8.0) ** 2 < 1.0:
            return _GAS
        if (abs(w) - 24.0) ** 2 + (ahead - 12.0) ** 2 < 36.0:
            return _VESSEL
        return _MUSCLE if fine + streaks > -0.5 else _VISCERAL
    vessel = row[10] + 0.6 * fine
    if level < 23.2 and ((w + 7.0 - vessel) / 10.5) ** 2 + ((ahead - 13.5) / 10.5) ** 2 < 1.0:
        return _VESSEL
    if 18.0 < level < 23.6 and ((w - 16.0 - vessel) / 11.5) ** 2 + ((ahead - 12.0) / 9.5) ** 2 < 1.0:
        return _VESSEL
    if level < 19.0:
        if abs(w) > b + 6.0 + 3.0 * fine or ahead > 55.0:
            return _LUNG if ahead < 60.0 or abs(w) > 40.0 else _ORGAN
        return _VISCERAL if ahead < 8.0 + 6.0 * fine else (_ORGAN if organs > -0.3 else _VISCERAL)
    grown = min(max((level - 19.0) / 3.0, 0.2), 1.0) * 19.0
    if (
        level < 27.0
        and ((abs(w) - b - 1.0 - grown) / grown) ** 2 + ((u + 2.0) / (grown * 1.15)) ** 2 < 1.0
        and ahead < 12.0
    ):
        return _MUSCLE if streaks < 1.9 else _FAT
    if ahead < 6.0 + 4.0 * fine:
        return _VISCERAL
    if level > 26.5 and organs > 1.1 and ahead > 35.0:
        return _FLUID
    if organs > 0.55:
        return _GAS if fine > 1.0 else _BOWEL
    if organs < -1.0:
        return _ORGAN
    return _VISCERAL
