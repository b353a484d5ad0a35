"""Posterior elements as tapered, flattened segments in the frame of their vertebra."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spineps_rt import labels as L
from spineps_rt.phantom.layout import Vertebra
from spineps_rt.phantom.tissues import NERVE, OTHER_BONE

_LEVEL = [2, 3, 6, 7, 8, 13, 18, 19, 20, 22, 24]
_SIZES = {  # mm; the heights, widths and radii are halves
    "pedicle_h": [3.6, 3.4, 3.6, 3.8, 4.6, 5.4, 7.2, 7.4, 7.0, 6.8, 6.4],
    "pedicle_w": [3.4, 2.8, 3.0, 3.3, 3.6, 2.7, 3.8, 4.0, 3.8, 4.6, 7.0],
    "lamina_h": [6.0, 5.2, 5.4, 6.5, 8.0, 9.5, 10.5, 11.0, 11.0, 10.0, 8.0],
    "spinous_h": [6.5, 4.2, 4.4, 4.6, 4.6, 4.4, 7.0, 8.5, 10.0, 11.0, 8.0],
    "spinous_w": [3.0, 2.6, 2.6, 2.8, 2.8, 2.6, 2.8, 3.0, 3.3, 3.4, 3.2],
    "spinous_length": [17, 13, 19, 27, 28, 33, 25, 24, 27, 29, 22],
    "spinous_tilt": [22, 25, 24, 28, 35, 58, 38, 18, 10, 8, 14],
    "transverse_reach": [26, 25, 28, 32, 36, 31, 25, 23, 37, 44, 44],
    "transverse_back": [-6, -6, -5, 0, 9, 15, 10, 6, 3, 2, -1],
    "transverse_up": [-2, -2, -2, 0, 1, 4, 3, 2, 1, 2, 3],
    "transverse_r": [3.6, 3.4, 3.6, 4.2, 5.0, 4.8, 4.2, 4.2, 4.4, 4.8, 6.0],
}
_SACRAL, _REACH, _THICK = range(26, 31), [52, 48, 38, 28, 18], [13, 11, 8, 6, 4]
_CERVICAL, _LUMBAR_FACETS = 7.5, 18.5
"""Levels up to which pillars are cervical, and from which facets stand as in the lumbar spine."""


def _size(name: str, v: Vertebra) -> float:
    return float(np.interp(v.level, _LEVEL, np.array(_SIZES[name])))


class Segments:
    """Collects the segments of one vertebra.

    A segment is given as ten numbers in mm: start and end (to the back, downwards, to the right of the body's
    centre) and two radii at either end. The first radius is measured downwards, or to the back where the
    segment stands upright; the second across.
    """

    def __init__(self, vertebra: Vertebra, scale: float, rng: np.random.Generator) -> None:
        self.vertebra, self.scale, self.rng = vertebra, scale, rng
        self.rows: list[np.ndarray] = []

    def add(self, label: int, segment: Sequence[float]) -> None:
        """Add one segment; bones without a label and nerves belong to no vertebra."""
        v = self.vertebra
        start, end = v.point(*segment[0:3]), v.point(*segment[3:6]) + self.rng.normal(0.0, 0.5, 3)
        radii = np.array(segment[6:10]) * np.exp(self.rng.normal(0.0, 0.05)) * self.scale
        length = max(float(np.linalg.norm(end - start)), 1e-3)
        axis = (end - start) / length
        first = v.frame[0 if abs(axis @ v.frame[1]) > 0.85 else 1]
        first = first - axis * (axis @ first)
        first /= np.linalg.norm(first)
        owner = 0 if label in (OTHER_BONE, NERVE) else v.number
        across = np.cross(axis, first)
        self.rows.append(np.concatenate([start, axis, [length], first, across, radii, [label, owner]]))

    def both(self, label: int, segment: Sequence[float]) -> None:
        """Add a segment on the right and its mirror image on the left; ``label``: the left one's."""
        mirrored = list(segment)
        mirrored[2], mirrored[5] = -mirrored[2], -mirrored[5]
        self.add(label, mirrored)
        self.add(label + 1 if L.COSTAL_LEFT <= label <= L.INFERIOR_ARTICULAR_LEFT else label, segment)


def posterior_elements(v: Vertebra, below: Vertebra, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Build arch and processes of a vertebra above the sacrum.

    Args:
        v: The vertebra.
        below: The next one downwards, which its inferior articular processes meet.
        scale: Size of the patient.
        rng: Source of randomness.

    Returns:
        Segments (n, 19), see :func:`~spineps_rt.phantom.shapes.stamp_segments`.
    """
    s = Segments(v, scale, rng)
    _arch(s)
    _spinous(s)
    _transverse(s, below)
    s.both(L.SUPERIOR_ARTICULAR_LEFT, _upper_facet(v))
    s.both(L.INFERIOR_ARTICULAR_LEFT, _lower_facet(v, below))
    a, h, b = v.half
    s.both(
        NERVE, [a + 0.8 * v.canal[0], 0.45 * h, v.canal[1], a, h + 0.8 * v.disc, b + 8.0, 2.4, 2.4, 1.8, 1.8]
    )
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
    side, down = width + pw + 0.6, -0.25 * h if v.level >= 8 else 0.0
    pillar = [a + 1.3 * depth, down, side]
    turn = [a + 1.75 * depth + 2.0, 0.2 * h, 0.75 * width + 2.0]
    root = [a + 2.0 * depth + 4.0, 0.42 * h, 1.5]
    s.both(L.ARCUS, [0.75 * a, down, min(side, v.half[2] * 0.8), *pillar, ph, pw, ph, pw])
    s.both(L.ARCUS, [*pillar, *turn, 0.8 * lh, 3.2, lh, 3.2])
    s.both(L.ARCUS, [*turn, *root, lh, 3.1, lh, 3.4])


def _spinous(s: Segments) -> None:
    v = s.vertebra
    tilt = np.radians(_size("spinous_tilt", v) + s.rng.normal(0.0, 4.0))
    length = _size("spinous_length", v) * s.scale * np.exp(s.rng.normal(0.0, 0.08))
    start, down = v.half[0] + 2 * v.canal[0] + 5.0, 0.45 * v.half[1]
    high, wide, skew = _size("spinous_h", v), _size("spinous_w", v), s.rng.normal(0.0, 1.0)
    end = [start + length * np.cos(tilt), down + length * np.sin(tilt), skew]
    middle = [start + 0.5 * length * np.cos(tilt), down + 0.42 * length * np.sin(tilt), skew / 2]
    s.add(L.SPINOUS, [start, down, 0.0, *middle, high * 0.95, wide, high, wide * 0.9])
    s.add(L.SPINOUS, [*middle, *end, high, wide * 0.9, high * 0.95, wide * 1.3])
    if v.level < 6.5:  # forked tip
        s.both(L.SPINOUS, [end[0] - 3.0, end[1], 0.5, end[0] + 1.0, end[1] + 1.0, 4.5, 3.4, 2.4, 2.6, 2.2])


def _transverse(s: Segments, below: Vertebra) -> None:
    v = s.vertebra
    reach = _size("transverse_reach", v) * s.scale * np.exp(s.rng.normal(0.0, 0.06))
    back, up, r = (_size(n, v) for n in ("transverse_back", "transverse_up", "transverse_r"))
    a, (depth, width) = v.half[0], v.canal
    if v.level < _CERVICAL:  # from body and pillar; the vertebral artery runs between
        s.both(L.COSTAL_LEFT, [a * 0.1, 0, v.half[2] * 0.8, a * 0.2, 2, reach, 2.6, 2.2, 3.2, 2.6])
        s.both(L.COSTAL_LEFT, [a + depth * 0.6, 0, width + 5, a * 0.2 + 5, 2, reach, 2.6, 2.2, 3.2, 2.6])
        return
    start = np.array([a + 1.25 * depth, -0.22 * v.half[1], width + 6.0])
    end = np.array([start[0] + back, start[1] - up, max(reach, start[2] + 4.0)])
    middle = 0.5 * (start + end)
    s.both(L.COSTAL_LEFT, [*start, *middle, r * 1.15, r * 0.9, r * 0.95, r * 0.65])
    s.both(L.COSTAL_LEFT, [*middle, *end, r * 0.95, r * 0.65, r * 1.05, r * 0.7 if v.level > 19.5 else r])
    if below.number == L.SACRUM_INSTANCE and v.assimilated:
        s.both(L.COSTAL_LEFT, [*middle, end[0], v.half[1] + v.disc, 40.0 * s.scale, 9.0, 7.0, 12.0, 9.0])


def _upper_facet(v: Vertebra) -> list[float]:
    """Right superior articular process."""
    a, h = v.half[0], v.half[1]
    depth, width = v.canal
    if v.level < _CERVICAL:
        return [a + depth, 0, width + 4.5, a + 1.1 * depth - 1, -h - 1, width + 4.5, 5.2, 6, 4.2, 6.2]
    if v.level < _LUMBAR_FACETS + 0.5:
        return [a + 1.5 * depth, -0.35 * h, width + 3, a + 1.6 * depth, -h - 4, width + 2, 4, 5.4, 3.4, 5.4]
    return [a + 1.5 * depth, -0.3 * h, width + 5.5, a + 1.7 * depth + 1.5, -h - 3, width + 6, 5, 4.8, 6, 4.4]


def _lower_facet(v: Vertebra, below: Vertebra) -> list[float]:
    """Right inferior articular process: it ends behind the superior one of the vertebra below."""
    a, h = v.half[0], v.half[1]
    depth, width = v.canal
    end = h + v.disc + (0.15 if v.level < _CERVICAL else 0.28) * below.half[1]
    if v.level < _CERVICAL:
        return [
            a + 1.3 * depth,
            0.3 * h,
            width + 4.5,
            a + 1.8 * depth + 3,
            end,
            width + 4.5,
            5.2,
            5.8,
            3.4,
            5.8,
        ]
    back = a + 2.0 * depth + 3.5
    if v.level < _LUMBAR_FACETS:
        return [back - 2, 0.35 * h, width + 1.5, back, end, width + 1.5, 4.2, 5.6, 3.6, 5.2]
    return [back - 1.5, 0.3 * h, 0.85 * width + 2, back + 1, end, 0.9 * width + 2.5, 5.5, 4.4, 5.0, 4.2]


def _dens(s: Segments) -> None:
    """Tooth of C2, which SPINEPS counts to the body, and the atlas around it, which it does not know."""
    h = s.vertebra.half[1]
    ring = -h - 9.0
    s.add(L.CORPUS, [0.0, -0.5 * h, 0.0, 1.5, -h - 15.0, 0.0, 5.5, 7.0, 4.8, 4.6])
    s.both(OTHER_BONE, [-8.5, ring, 0.0, 4.0, ring + 1.0, 20.0, 5.0, 4.0, 8.0, 8.0])
    s.both(OTHER_BONE, [4.0, ring + 1.0, 20.0, 34.0, ring, 1.0, 6.0, 5.0, 4.0, 3.5])
    s.both(OTHER_BONE, [5.0, ring, 24.0, 3.0, ring + 2.0, 36.0, 4.0, 4.0, 4.0, 4.0])


def _ribs(s: Segments) -> None:
    v = s.vertebra
    a, h, b = v.half
    angle = [a + v.canal[0] * 1.2 + (16.0 if v.level < 18 else 10.0), -0.1 * h, b + 26.0]
    s.both(OTHER_BONE, [a * 0.5, -h + 1.0, b + 5.0, *angle, 4.6, 4.6, 5.0, 3.8])
    s.both(OTHER_BONE, [*angle, angle[0] - 8.0, angle[1] + 22.0, angle[2] + 42.0, 5.0, 3.6, 6.0, 3.6])


def sacral_elements(v: Vertebra, scale: float, rng: np.random.Generator, *, coccyx: bool) -> np.ndarray:
    """Build wing, roof and crest of a sacral segment, the facets of the first and what hangs below the last.

    Args:
        v: A sacral segment.
        scale: Size of the patient.
        rng: Source of randomness.
        coccyx: Whether a coccyx follows the last segment; like the ilium it has no label.

    Returns:
        Segments (n, 19), see :func:`~spineps_rt.phantom.shapes.stamp_segments`.
    """
    s = Segments(v, scale, rng)
    a, h, b = v.half
    depth, width = v.canal
    reach, thick = np.interp(v.level, _SACRAL, _REACH), np.interp(v.level, _SACRAL, _THICK)
    tip = [a + 6.0, 0.35 * h, reach * scale, 1.35 * h, thick * 0.8]
    s.both(L.SACRUM, [0.35 * a, 0.0, 0.6 * b, *tip[:3], 1.25 * h, thick, *tip[3:]])
    if v.level < 29.5:
        roof = a + 2 * depth + 2.5
        s.both(L.SACRUM, [a + 0.8 * depth, 0.1 * h, width + 5, roof, 0.2 * h, 1, 0.75 * h, 3.4, 0.8 * h, 2.6])
        crest = roof + 7.0 - 1.6 * (v.level - 26)
        s.add(L.SACRUM, [roof, 0.2 * h, 0.0, crest, 0.5 * h, 0.0, 0.45 * h, 2.5, 5.0, 2.5])
    elif coccyx:
        s.add(OTHER_BONE, [0.0, h + 6.0, 0.0, -4.0, h + 14.0, 0.0, 3.5, 8.0, 3.0, 6.0])
        s.add(OTHER_BONE, [-6.0, h + 19.0, 0.0, -14.0, h + 30.0, 0.0, 3.0, 5.0, 2.5, 3.5])
    if v.level == 26:
        s.both(L.SACRUM, _upper_facet(v))
        ilium = reach * scale + 22.0
        s.both(OTHER_BONE, [a - 12.0, -22.0, ilium, a + 26.0, 34.0, ilium - 13.0, 30.0, 6.0, 24.0, 9.0])
    return np.array(s.rows)
