"""Masks of a plain spine of boxes, (P, I, R)."""

from __future__ import annotations

import numpy as np

from spineps_rt import labels as L

SPACING = (1.0, 1.0, 2.0)
N, PITCH = 5, 24


def spine():
    """Five bodies with discs, a canal behind them, a sacrum below."""
    semantic = np.zeros((120, 160, 12), np.uint8)
    instances = np.zeros(semantic.shape, np.uint16)
    semantic[75:87, 5:150, 4:8] = L.CANAL
    for k in range(N):
        top = 10 + PITCH * k
        semantic[50:72, top : top + 18, 2:10], instances[50:72, top : top + 18, 2:10] = L.CORPUS, k + 1
        semantic[50:72, top + 18 : top + PITCH, 2:10] = L.DISC
        semantic[88:94, top : top + 12, 4:8], instances[88:94, top : top + 12, 4:8] = L.ARCUS, k + 1
    semantic[50:72, 130:150, 2:10] = L.SACRUM
    return semantic, instances
