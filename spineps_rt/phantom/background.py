"""Kernel that fills the body around the spine and decides what bone is cortical."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import jit
from spineps_rt.phantom.tissues import NERVE, OTHER_BONE, Tissue

# Columns of a slice's row (one per voxel along I): centre of the column in P and R 0-1, half depth and width
# of the body 2-3, skin behind and in front 4-5, half width of the torso 6, back fat 7, level 8, reach of the
# spinous processes behind the body's centre 9, skew of the vessels 10, height above the atlas 11.
COLUMNS = 12

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
_INTERSPINOUS, _BRAIN, _ROOT = int(Tissue.INTERSPINOUS), int(Tissue.BRAIN), int(Tissue.ROOT)
_CSF, _MARROW = int(Tissue.CSF), int(Tissue.MARROW)
_OTHER, _NERVE, _LESION = OTHER_BONE, NERVE, int(Tissue.LESION)


@jit.njit(parallel=True)
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
        slices: float64 (I, 12), see the columns above.
        fat_share: Share of the back muscles that fat has replaced.
        grid: float64 (2, 3).
        noise: Three smooth float32 fields: organs, fine, and streaks along the muscles.
        bone: label uint8 (working labels of bone without a label are cleared), depth float32 (2, P, I, R) and
            shell float32.
        tissue: uint8 (P, I, R), changed.
    """
    label, depth, shell = bone
    organs, fine, streaks = noise
    for i in jit.prange(label.shape[0]):
        for j in range(label.shape[1]):
            row = slices[j]
            for k in range(label.shape[2]):
                kind = label[i, j, k]
                if kind == _NERVE:
                    label[i, j, k] = 0
                    if tissue[i, j, k] == 255:
                        tissue[i, j, k] = _ROOT
                elif kind > 0 and _BONE_TISSUE[kind] != 255:
                    if kind == _OTHER:
                        label[i, j, k] = 0
                    inner = max(depth[0, i, j, k], depth[0, i, j, k] - depth[1, i, j, k] + 0.2)
                    if inner > (-0.75 if kind == 49 else -0.95):
                        tissue[i, j, k] = _CORTICAL
                    elif tissue[i, j, k] == 255:
                        spot = organs[i, j, k] + 0.5 * fine[i, j, k] > 2.6
                        tissue[i, j, k] = _LESION if spot and kind != _OTHER else _BONE_TISSUE[kind]
                elif tissue[i, j, k] == 255:
                    if shell[i, j, k] < 1.3:
                        tissue[i, j, k] = _LIGAMENT
                        continue
                    x, z = grid[0, 0] + i * grid[1, 0], grid[0, 2] + k * grid[1, 2]
                    values = (organs[i, j, k], fine[i, j, k], streaks[i, j, k])
                    tissue[i, j, k] = _classify(x, z, row, values, fat_share)


@jit.njit
def _classify(
    x: float, z: float, row: np.ndarray, values: tuple[float, float, float], fat_share: float
) -> int:
    """Tissue at (P, R) mm of one slice."""
    fine = values[1]
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
    if row[11] > -20.0:
        skull = (
            np.sqrt(((u - 26.0) / 62.0) ** 2 + ((row[11] - 54.0) / 50.0) ** 2 + (w / 62.0) ** 2) + 0.01 * fine
        )
        if skull < 1.13:
            return _head(skull)
    if u + 1.5 * fine > row[2] + 3.0 or (u + 6.0 * fine > 0.0 and abs(w) > row[3] + 24.0 + 4.0 * fine):
        return _back(u, w, row, values, fat_share)
    return _front(u, w, row, values)


@jit.njit
def _head(skull: float) -> int:
    """Brain, the fluid about it and the bone about that."""
    if skull < 0.93:
        return _BRAIN
    if skull < 1.0:
        return _CSF
    return _CORTICAL if skull < 1.03 or skull > 1.1 else _MARROW


@jit.njit
def _back(u: float, w: float, row: np.ndarray, values: tuple[float, float, float], fat_share: float) -> int:
    """Tissue behind the bodies: muscles with fat between them, ligaments between the spinous processes."""
    organs, fine, streaks = values
    if abs(w) < 3.0 + 0.8 * fine and u < row[9]:
        return _INTERSPINOUS if fine > -1.0 else _LIGAMENT
    if abs(w) < 2.0 and u < row[9] + 2.5:
        return _LIGAMENT
    deep = (u - row[2]) / max(row[9] - row[2], 1.0)  # fat gathers at the bone and about the processes
    cleft = np.exp(-(((abs(w) - 26.0 - 3.0 * fine) / 2.5) ** 2)) + 0.8 * np.exp(
        -(((abs(w) - 6.0) / 7.0) ** 2)
    )
    if streaks + cleft - 0.5 * deep > 2.2 - 2.6 * fat_share + 0.3 * organs:
        return _FAT
    if u > row[9] + 3.0 + 2.0 * fine and streaks > -0.8:
        return _FAT
    return _MUSCLE


@jit.njit
def _front(u: float, w: float, row: np.ndarray, values: tuple[float, float, float]) -> int:
    """Tissue beside and before the bodies by region: neck, chest, abdomen, pelvis."""
    organs, fine, _ = values
    a, b = row[2], row[3]
    ahead = -u - a
    level = row[8] + 0.25 * organs
    if level < 8.0:
        return _neck(ahead, w, values)
    vessel = row[10] + 0.6 * fine
    if level < 23.2 and ((w + 7.0 - vessel) / 10.0) ** 2 + ((ahead - 13.5) / 9.5) ** 2 < 1.0:
        return _VESSEL
    if 18.0 < level < 23.6 and ((w - 16.0 - vessel) / 11.0) ** 2 + ((ahead - 12.0) / 9.0) ** 2 < 1.0:
        return _VESSEL
    if level + 0.012 * ahead - 0.01 * abs(w) < 18.6:
        return _chest(ahead, w, b, values)
    return _abdomen((u, ahead, w), b, level, values)


@jit.njit
def _neck(ahead: float, w: float, values: tuple[float, float, float]) -> int:
    """Muscle, windpipe, carotids and fat before the cervical spine."""
    organs, fine, streaks = values
    if ahead < 5.0 + fine:
        return _MUSCLE
    if (w / 9.0) ** 2 + ((ahead - 15.0 - organs) / 8.0) ** 2 < 1.0:
        return _GAS
    if (abs(w) - 24.0) ** 2 + (ahead - 12.0) ** 2 < 36.0:
        return _VESSEL
    return _MUSCLE if fine + streaks > -0.5 else _VISCERAL


@jit.njit
def _chest(ahead: float, w: float, b: float, values: tuple[float, float, float]) -> int:
    """Lungs, mediastinal fat and heart."""
    organs, fine, _ = values
    if abs(w) > b + 6.0 + 3.0 * fine or (ahead > 34.0 + 6.0 * fine and organs < -0.6):
        return _LUNG
    if ahead < 8.0 + 5.0 * fine or organs < -0.3:
        return _VISCERAL
    return _VESSEL if organs > 0.9 else _ORGAN


@jit.njit
def _abdomen(
    place: tuple[float, float, float], b: float, level: float, values: tuple[float, float, float]
) -> int:
    """Psoas, kidneys, bowel and bladder in their fat."""
    u, ahead, w = place
    organs, fine, streaks = values
    grown = min(max((level - 19.0) / 3.0, 0.2), 1.0) * 19.0
    off = ((abs(w) - b - 1.0 - grown) / grown) ** 2 + ((u + 2.0) / (grown * 1.15)) ** 2
    if level < 27.0 and off + 0.12 * fine < 1.0:
        return _MUSCLE if streaks < 1.9 else _FAT
    if ahead < 6.0 + 4.0 * fine:
        return _VISCERAL
    if level > 26.5 and organs > 1.1 and ahead > 35.0:
        return _FLUID
    if organs > 0.45:
        if organs < 0.62:
            return _MUSCLE  # the wall of the bowel
        return _GAS if fine > 1.0 else _BOWEL
    if organs < -1.0:
        return _ORGAN
    return _VISCERAL
