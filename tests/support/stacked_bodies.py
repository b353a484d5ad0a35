"""A column of bodies and discs, large enough to be eroded, and an oracle for its instance network."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from spineps_rt.kernels.boxes import cut_windows

SPACING = (0.75, 0.75, 1.65)
PITCH = 16
BODY = 11
CUTOUT = (32, 48, 24)
EVERYTHING = np.ones((3, 3, 3))


def stack(n: int = 8) -> np.ndarray:
    """Bodies (49) with an arch (41) behind them, discs (100) between them; uint8 (P, I, R)."""
    labels = np.zeros((32, PITCH * n + 8, 22), np.uint8)
    for k in range(n):
        top = 4 + PITCH * k
        labels[4:18, top : top + BODY, 4:18] = 49
        labels[18:24, top + 2 : top + 8, 8:14] = 41
        if k < n - 1:
            labels[4:18, top + BODY + 1 : top + PITCH - 1, 4:18] = 100
    return labels


def weld(labels: np.ndarray, k: int, *, half: int = 3) -> np.ndarray:
    """Join body k and the one below by a bridge through the middle of their disc."""
    welded = labels.copy()
    top = 4 + PITCH * k + BODY
    welded[11 - half : 11 + half, top : top + PITCH - BODY, 11 - half : 11 + half] = 49
    return welded


def by_cutouts(predict, size=CUTOUT):
    """A network of windows out of one of cutouts (1, P, I, R), asked for one at a time."""

    def classify(labels, table, starts):
        for start in starts:
            yield predict(cut_windows(labels, table, start[None], size))[0]

    return classify


def answer(cutouts: np.ndarray) -> np.ndarray:
    """Answer as the network should: the piece at the cutout's middle 2, the one above 1, the one below 3."""
    classes = np.zeros_like(cutouts)
    for cutout, out in zip(cutouts, classes):
        ids, n = ndimage.label(cutout, EVERYTHING)
        middle = ids[tuple(side // 2 for side in cutout.shape)]
        order = sorted(range(1, n + 1), key=lambda i: np.argwhere(ids == i)[:, 1].mean())
        for step, value in ((-1, 1), (0, 2), (1, 3)):
            place = order.index(middle) + step
            if 0 <= place < n:
                out[ids == order[place]] = value
    return classes
