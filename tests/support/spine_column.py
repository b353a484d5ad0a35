"""A column of box-shaped vertebrae for the tests of what follows the networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel import orientations

from spineps_rt import labels

TOP = 6
PITCH = 12
SHAPE = (30, 60, 12)
SPACING = (1.0, 1.0, 2.0)


@dataclass
class Column:
    """Semantic uint8 and instances uint16, (P, I, R)."""

    semantic: np.ndarray
    instances: np.ndarray


def column(n: int = 3) -> Column:
    """N vertebrae, numbered 11, 12 ... from the bottom; below each a disc between two endplates."""
    sem, inst = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint16)
    for k in range(n):
        top = TOP + PITCH * k
        sem[4:14, top : top + 7, 2:10] = labels.CORPUS
        sem[14:20, top + 1 : top + 4, 4:8] = labels.ARCUS
        sem[15:19, top + 4 : top + 6, 5:7] = labels.INFERIOR_ARTICULAR_LEFT
        sem[20:26, top + 2 : top + 5, 5:7] = labels.SPINOUS
        inst[:, top : top + 7][sem[:, top : top + 7] > 0] = 10 + n - k
        if k < n - 1:
            sem[4:14, top + 7, 2:10] = labels.ENDPLATE
            sem[4:14, top + 8 : top + 11, 2:10] = labels.DISC
            sem[4:14, top + 11, 2:10] = labels.ENDPLATE
    return Column(sem, inst)


def column_with_split_top(*, cut: int = 2, disc: bool = False, gap: int = 0) -> Column:
    """A column whose top vertebra's first ``cut`` rows are an instance of their own, 21."""
    c = column()
    c.instances[:, TOP : TOP + cut][c.instances[:, TOP : TOP + cut] > 0] = 21
    c.instances[:, TOP + cut : TOP + cut + gap] = 0
    if disc:
        c.semantic[0, TOP + 1, 0] = labels.DISC
    return c


def turned(array: np.ndarray, codes: tuple[str, str, str], *, back: bool = False) -> np.ndarray:
    """Reorient from P, I, R to other axis codes, or back."""
    pair = [orientations.axcodes2ornt(("P", "I", "R")), orientations.axcodes2ornt(codes)]
    start, end = pair[::-1] if back else pair
    return orientations.apply_orientation(array, orientations.ornt_transform(start, end))
