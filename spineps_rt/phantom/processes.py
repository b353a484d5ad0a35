"""Posterior elements as tapered, flattened segments in the frame of their vertebra."""

from __future__ import annotations

import numpy as np

from .. import labels as L
from .layout import Vertebra
from .tissues import OTHER_BONE

COLUMNS = 15
"""Columns of a segment: start, end, direction of the first radius, two radii at either end, label, owner."""

_LEVEL = [2, 3, 6, 7, 8, 13, 18, 19, 20, 22, 24]
_SIZES = {
    "pedicle_h": [3.6, 3.4, 3.6, 3.8, 4.6, 5.4, 7.2, 7.4, 7.0, 6.8, 6.4],  # half sizes in mm from here on
    "pedicle_w": [3.4, 2.8, 3.0, 3.3, 3.6, 2.7, 3.8, 4.0, 3.8, 4.6, 7.0],
    "lamina_h": [6.0, 5.2, 5.4, 6.5, 8.0, 9.5, 10.5, 11.0, 11.0, 10.0, 8.0],
    "spinous_h": [6.5, 4.2, 4.4, 4.6, 4.6, 4.4, 6.0, 7.5, 9.5, 10.5, 7.5],
    "spinous_length": [17, 13, 19, 27, 28, 33, 24, 23, 25, 27, 20],
    "spinous_tilt": [22, 25, 24, 28, 35, 58, 38, 18, 10, 8, 14],
    "transverse_reach": [26, 25, 28, 32, 36, 31, 25, 23, 37, 44, 44],
    "transverse_back": [-6, -6, -5, 0, 9, 15, 10, 6, 3, 2, -1],
    "transverse_up": [-2, -2, -2, 0, 1, 4, 3, 2, 1, 2, 3],
    "transverse_r": [3.6, 3.4, 3.6, 4.2, 5.0, 4.8, 4.2, 4.2, 4.4, 4.8, 6.0],
}


def _size(name: str, v: Vertebra) -> float:
    return float(np.interp(v.level, _LEVEL, _SIZES[name]))


class Segments:
    """Collects the segments of one vertebra."""

    def __init__(self, vertebra: Vertebra, scale: float, rng: np.random.Generator) -> None:
        self.vertebra, self.scale, self.rng = vertebra, scale, rng
        self.rows: list[np.ndarray] = []

    def add(
        self, label: int, start: tuple[float, ...], end: tuple[float, ...], radii: tuple[float, ...]
    ) -> None:
        """Add a segment whose first radius is measured downwards; radii: two at the start, two at the end (mm)."""
        v = self.vertebra
        owner = 0 if label == OTHER_BONE else v.number
        shake = self.rng.normal(0.0, 0.5, 3)
        size = np.array(radii) * np.exp(self.rng.normal(0.0, 0.05)) * self.scale
        a, b = v.point(*start), v.point(*end) + shake
        self.rows.append(np.concatenate([a, b, v.frame[1], size, [label, owner]]))

    def both(
        self,
        labels: tuple[int, int],
        start: tuple[float, ...],
        end: tuple[float, ...],
        radii: tuple[float, ...],
    ) -> None:
        """Add a segment on the right and its mirror image on the left; ``labels``: left, right."""
        for label, side in zip(labels, (-1.0, 1.0)):
            self.add(label, (start[0], start[1], side * start[2]), (end[0], end[1], side * end[2]), radii)


def posterior_elements(v: Vertebra, below: Vertebra, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Build arch and processes of a vertebra above the sacrum.

    Args:
        v: The vertebra.
        below: The next one downwards, which its inferior articular processes meet.
        scale: Size of the patient.
        rng: Source of randomness.

    Returns:
        Segments (n, 15).
    """
    s = Segments(v, scale, rng)
    _arch(s)
    _spinous(s)
    _transverse(s)
    _articular(s, below)
    if v.level == 2:
        _dens(s)
    if 8 <= v.level <= 19.5:
        _ribs(s)
    return np.array(s.rows)


def _arch(s: Segments) -> None:
    v = s.vertebra
    a, h = v.half[0], v.half[1]
    depth, width = v.canal
    ph, pw, lh = (_size(n, v) for n in ("pedicle_h", "pedicle_w", "lamina_h"))
    side = width + pw + 0.6
    down = -0.25 * h if v.level >= 8 else 0.0
    arcus = (L.ARCUS, L.ARCUS)
    s.both(
        arcus, (0.75 * a, down, min(side, v.half[2] * 0.8)), (a + 1.3 * depth, down, side), (ph, pw, ph, pw)
    )
    back = a + 2 * depth + 4.0
    s.both(arcus, (a + 1.3 * depth, down, side), (a + 1.75 * depth + 2.0, 0.2 * h, 0.75 * width + 2.0),
           (0.8 * lh, 3.2, lh, 3.2))  # fmt: skip
    s.both(
        arcus,
        (a + 1.75 * depth + 2.0, 0.2 * h, 0.75 * width + 2.0),
        (back, 0.42 * h, 1.5),
        (lh, 3.1, lh, 3.4),
    )


def _spinous(s: Segments) -> None:
    v = s.vertebra
    tilt = np.radians(_size("spinous_tilt", v) + s.rng.normal(0.0, 4.0))
    length = _size("spinous_length", v) * s.scale * np.exp(s.rng.normal(0.0, 0.08))
    start = v.half[0] + 2 * v.canal[0] + 5.0
    sh = _size("spinous_h", v)
    down = 0.45 * v.half[1]
    skew = s.rng.normal(0.0, 1.2)
    end = (start + length * np.cos(tilt), down + length * np.sin(tilt), skew)
    middle = (start + 0.5 * length * np.cos(tilt), down + 0.42 * length * np.sin(tilt), skew / 2)
    s.add(L.SPINOUS, (start, down, 0.0), middle, (sh * 0.95, 2.8, sh, 2.5))
    s.add(L.SPINOUS, middle, end, (sh, 2.5, sh * 0.95, 3.6))
    if v.level < 6.5:
        tip = (end[0] + 1.0, end[1] + 1.0, 4.5)
        s.both((L.SPINOUS, L.SPINOUS), (end[0] - 3.0, end[1], 0.5), tip, (3.4, 2.4, 2.6, 2.2))


def _transverse(s: Segments) -> None:
    v = s.vertebra
    costal = (L.COSTAL_LEFT, L.COSTAL_RIGHT)
    reach = _size("transverse_reach", v) * s.scale * np.exp(s.rng.normal(0.0, 0.06))
    back, up, r = (_size(n, v) for n in ("transverse_back", "transverse_up", "transverse_r"))
    a, (depth, width) = v.half[0], v.canal
    if (
        v.level < 7.5
    ):  # the cervical processes spring from body and pillar and hold the vertebral artery between
        s.both(costal, (a * 0.1, 0.0, v.half[2] * 0.8), (a * 0.2, 2.0, reach), (2.6, 2.2, 3.2, 2.6))
        s.both(costal, (a + depth * 0.6, 0.0, width + 5.0), (a * 0.2 + 5.0, 2.0, reach), (2.6, 2.2, 3.2, 2.6))
        return
    down = -0.22 * v.half[1]
    start = (a + 1.25 * depth, down, width + 6.0)
    end = (start[0] + back, down - up, max(reach, start[2] + 4.0))
    middle = tuple(0.5 * (p + q) for p, q in zip(start, end))
    s.both(costal, start, middle, (r * 1.15, r * 0.9, r * 0.95, r * 0.65))
    s.both(costal, middle, end, (r * 0.95, r * 0.65, r * 1.05, r * 0.7 if v.level > 19.5 else r))


def _articular(s: Segments, below: Vertebra) -> None:
    v = s.vertebra
    superior, inferior = upper_facet(v), lower_facet(v, below)
    s.both((L.SUPERIOR_ARTICULAR_LEFT, L.SUPERIOR_ARTICULAR_RIGHT), *superior)
    s.both((L.INFERIOR_ARTICULAR_LEFT, L.INFERIOR_ARTICULAR_RIGHT), *inferior)


Piece = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]


def upper_facet(v: Vertebra) -> Piece:
    """Right superior articular process: start, end, radii in the frame of the vertebra."""
    a, h = v.half[0], v.half[1]
    depth, width = v.canal
    if v.level < 7.5:
        return (
            (a + depth, 0.0, width + 4.5),
            (a + 1.1 * depth - 1, -h - 1.0, width + 4.5),
            (5.2, 6.0, 4.2, 6.2),
        )
    if v.level < 19.0:
        return (
            (a + 1.5 * depth, -0.35 * h, width + 3.0),
            (a + 1.6 * depth, -h - 4.0, width + 2.0),
            (4.5, 5.6, 4.0, 5.0),
        )
    return (
        (a + 1.5 * depth, -0.3 * h, width + 5.5),
        (a + 1.75 * depth + 1.5, -h - 2.5, width + 6.5),
        (5.5, 5.5, 5.5, 4.6),
    )


def lower_facet(v: Vertebra, below: Vertebra) -> Piece:
    """Right inferior articular process: it ends behind the superior one of the vertebra below."""
    a, h = v.half[0], v.half[1]
    depth, width = v.canal
    end_down = h + v.disc + (0.15 if v.level < 7.5 else 0.28) * below.half[1]
    if v.level < 7.5:
        return (
            (a + 1.3 * depth, 0.3 * h, width + 4.5),
            (a + 1.8 * depth + 3.0, end_down, width + 4.5),
            (5.2, 5.8, 3.4, 5.8),
        )
    back = a + 2.0 * depth + 3.5
    if v.level < 18.5:
        return (back - 2.0, 0.35 * h, width + 1.5), (back, end_down, width + 1.5), (5.0, 5.4, 4.2, 4.6)
    return (
        (back - 1.5, 0.3 * h, 0.85 * width + 2.0),
        (back + 1.0, end_down, 0.9 * width + 2.5),
        (5.5, 4.4, 5.0, 4.2),
    )


def _dens(s: Segments) -> None:
    v = s.vertebra
    h = v.half[1]
    s.add(L.CORPUS, (0.0, -0.5 * h, 0.0), (1.5, -h - 15.0, 0.0), (5.5, 7.0, 4.8, 4.6))
    ring = -h - 9.0
    s.add(OTHER_BONE, (-8.5, ring, 0.0), (-8.5, ring, 0.5), (5.0, 5.0, 5.0, 5.0))
    s.both((OTHER_BONE, OTHER_BONE), (-8.0, ring, 2.0), (4.0, ring + 1.0, 20.0), (4.5, 3.5, 8.0, 8.0))
    s.both((OTHER_BONE, OTHER_BONE), (4.0, ring + 1.0, 20.0), (34.0, ring, 1.0), (6.0, 5.0, 4.0, 3.5))
    s.both((OTHER_BONE, OTHER_BONE), (5.0, ring, 24.0), (3.0, ring + 2.0, 36.0), (4.0, 4.0, 4.0, 4.0))


def _ribs(s: Segments) -> None:
    v = s.vertebra
    a, h, b = v.half
    other = (OTHER_BONE, OTHER_BONE)
    neck = (a * 0.5, -h + 1.0, b + 5.0)
    angle = (a + v.canal[0] * 1.2 + (16.0 if v.level < 18 else 10.0), -0.1 * h, b + 26.0)
    s.both(other, neck, angle, (4.6, 4.6, 5.0, 3.8))
    s.both(other, angle, (angle[0] - 8.0, angle[1] + 22.0, angle[2] + 42.0), (5.0, 3.6, 6.0, 3.6))


def sacral_elements(v: Vertebra, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Build wing, roof and crest of one sacral segment (and its facets and the ilium on the first).

    Args:
        v: A sacral segment.
        scale: Size of the patient.
        rng: Source of randomness.

    Returns:
        Segments (n, 15).
    """
    s = Segments(v, scale, rng)
    a, h, b = v.half
    depth, width = v.canal
    sacrum = (L.SACRUM, L.SACRUM)
    reach = float(np.interp(v.level, [26, 27, 28, 29, 30], [52, 48, 38, 28, 18])) * scale
    thick = float(np.interp(v.level, [26, 27, 28, 29, 30], [13, 11, 8, 6, 4]))
    s.both(
        sacrum, (0.35 * a, 0.0, 0.6 * b), (a + 6.0, 0.35 * h, reach), (0.95 * h, thick, 1.1 * h, thick * 0.8)
    )
    if v.level < 29.5:
        roof = a + 2 * depth + 2.5
        s.both(
            sacrum,
            (a + 0.8 * depth, 0.1 * h, width + 5.0),
            (roof, 0.2 * h, 1.0),
            (0.75 * h, 3.4, 0.8 * h, 2.6),
        )
        s.add(
            L.SACRUM,
            (roof, 0.2 * h, 0.0),
            (roof + 7.0 - 1.6 * (v.level - 26), 0.5 * h, 0.0),
            (0.45 * h, 2.5, 5.0, 2.5),
        )
    if v.level == 26:
        s.both(sacrum, *upper_facet(v))
        other = (OTHER_BONE, OTHER_BONE)
        s.both(other, (a - 12.0, -22.0, reach + 22.0), (a + 26.0, 34.0, reach + 9.0), (30.0, 6.0, 24.0, 9.0))
    return np.array(s.rows)
