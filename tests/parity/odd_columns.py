"""Small columns of vertebrae with the faults that the odd rules of SPINEPS's reconciliation meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel import orientations

from spineps_rt import labels

PITCH, BODY = 12, 6
DEPTH, WIDTH = 26, 9
MARGIN = 8


@dataclass(frozen=True)
class Case:
    """A column, and how it is spoiled."""

    name: str
    vertebrae: int = 4
    codes: str = "PIR"
    """Orientation of the arrays."""
    sacrum: bool = False
    disc_above: bool = False
    """A disc and an endplate above the topmost body."""
    split_top: int = 0
    """So many rows of the topmost vertebra are an instance of their own."""
    missing: tuple[int, ...] = ()
    """Vertebrae that are not there, counted from 0."""
    bare: float = 0.0
    """Share of bone without instance."""
    stray: int = 0
    """Voxels that carry an instance outside bone."""
    noise: int = 0
    """Voxels of any structure anywhere."""
    spacing: tuple[float, float, float] = (0.9, 0.9, 3.0)
    """mm along P, I, R."""


CASES = (
    Case("plain"),
    Case("sacrum and a disc above", sacrum=True, disc_above=True),
    Case("disc above, no sacrum", disc_above=True, codes="LAS"),
    Case("split top", split_top=2),
    Case("split top in LAS", split_top=2, codes="LAS"),
    Case("split top in PSR", split_top=2, codes="PSR", sacrum=True),
    Case("split top in RPI", split_top=3, codes="RPI", noise=60),
    Case("missing body", vertebrae=6, missing=(2,), sacrum=True),
    Case("two missing bodies", vertebrae=9, missing=(2, 5), codes="AIL"),
    Case("27 vertebrae", vertebrae=27, sacrum=True, noise=100),
    Case("25 vertebrae, no sacrum", vertebrae=25, codes="RAS", bare=0.05),
    Case("bare bone", bare=0.2, stray=60, noise=40, codes="SRP"),
    Case("bare bone and strays", vertebrae=5, bare=0.5, stray=300, sacrum=True),
    Case("noise", vertebrae=6, noise=600, bare=0.1, stray=200, codes="LPS", disc_above=True),
    Case(
        "thin voxels", vertebrae=5, noise=300, bare=0.1, sacrum=True, disc_above=True, spacing=(0.5, 0.5, 0.5)
    ),
)


def build(case: Case, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make both masks.

    Args:
        case: What to make.
        seed: Same case and seed, same masks.

    Returns:
        Semantic mask uint8 and instance mask uint16, in the orientation of the case.
    """
    rng = np.random.default_rng(seed)
    rows = 2 * MARGIN + PITCH * case.vertebrae + (18 if case.sacrum else 0)
    sem, inst = np.zeros((DEPTH, rows, WIDTH), np.uint8), np.zeros((DEPTH, rows, WIDTH), np.uint16)
    numbers = 1 + rng.permutation(case.vertebrae)
    for k in range(case.vertebrae):
        top = MARGIN + PITCH * k
        if k not in case.missing:
            _vertebra(sem, inst, top, int(numbers[k]))
        if k < case.vertebrae - 1 or case.sacrum:
            _disc(sem, top + BODY)
    if case.disc_above:
        _disc(sem, MARGIN - (PITCH - BODY))
    if case.sacrum:
        sem[4:16, MARGIN + PITCH * case.vertebrae :, 1:8] = labels.SACRUM
    if case.split_top:
        part = inst[:, MARGIN : MARGIN + case.split_top]
        part[part > 0] = case.vertebrae + 1
    _spoil(sem, inst, case, rng)
    return _turned(sem, case.codes), _turned(inst, case.codes)


def spacing(case: Case) -> tuple[float, float, float]:
    """Voxel size in mm along the axes of the case's arrays."""
    axis = {code: k for k, pair in enumerate(("PA", "IS", "RL")) for code in pair}
    first, second, third = (case.spacing[axis[code]] for code in case.codes)
    return first, second, third


def _vertebra(sem: np.ndarray, inst: np.ndarray, top: int, number: int) -> None:
    fresh = np.zeros_like(sem)
    fresh[2:11, top : top + BODY, 1:8] = labels.CORPUS
    fresh[12:16, top + 1 : top + 4, 2:7] = labels.ARCUS
    fresh[11, top + 1 : top + 4, 2:7:4] = labels.ARCUS
    fresh[13:16, top + 4 : top + 7, 2] = labels.INFERIOR_ARTICULAR_LEFT
    fresh[13:16, top + 4 : top + 7, 6] = labels.INFERIOR_ARTICULAR_RIGHT
    fresh[16:23, top + 2 : top + 5, 4:6] = labels.SPINOUS
    free = (fresh > 0) & (sem == 0)
    sem[free], inst[free] = fresh[free], number


def _disc(sem: np.ndarray, top: int) -> None:
    """An endplate, a disc of four rows, an endplate."""
    sem[2:11, top : top + PITCH - BODY, 1:8] = labels.ENDPLATE
    sem[2:11, top + 1 : top + PITCH - BODY - 1, 1:8] = labels.DISC


def _spoil(sem: np.ndarray, inst: np.ndarray, case: Case, rng: np.random.Generator) -> None:
    """Take instances away, put some where none belong, and scatter structures."""
    bone = np.isin(sem, labels.VERTEBRA_STRUCTURES)
    inst[bone & (rng.random(sem.shape) < case.bare)] = 0
    highest = int(inst.max()) + 1
    places = tuple(rng.integers(0, side, case.noise) for side in sem.shape)
    sem[places] = rng.choice(
        [0, *labels.VERTEBRA_STRUCTURES[:-1], labels.CANAL, labels.ENDPLATE, labels.DISC], case.noise
    )
    soft = np.argwhere(np.isin(sem, (labels.DISC, labels.ENDPLATE, labels.CANAL)))
    chosen = soft[rng.integers(0, len(soft), case.stray)]
    inst[tuple(chosen.T)] = rng.integers(1, highest, case.stray)


def _turned(array: np.ndarray, codes: str) -> np.ndarray:
    pair = [orientations.axcodes2ornt(tuple(c)) for c in ("PIR", codes)]
    return np.ascontiguousarray(orientations.apply_orientation(array, orientations.ornt_transform(*pair)))
