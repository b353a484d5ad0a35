"""Where each vertebra lies and how large it is: a chain of local frames from C2 to the last sacral segment.

Coordinates are millimetres along (P, I, R). Sizes are those of adults in the anatomical literature and of
public bone meshes, as a function of the level (2 = C2, 8 = T1, 20 = L1, 24 = L5, 26 = S1 ... 30 = S5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spineps_rt.labels import SACRUM_INSTANCE
from spineps_rt.phantom.options import L6, Variants, order, spine_ids

_LEVEL = [2, 3, 7, 8, 13, 19, 20, 22, 24, 26, 27, 28, 29, 30]
_SIZES = {
    "depth": [15, 15, 16.5, 17, 25, 30, 31, 33.5, 34, 31, 21, 16, 12, 9],
    "width": [17, 17.5, 24, 27, 28, 39, 41, 45, 50, 49, 34, 27, 22, 16],
    "height": [19, 13, 13.5, 16, 19, 24, 25.5, 27, 27, 29, 25, 21, 18, 16],
    "disc": [4.5, 5, 5.2, 4.2, 4.3, 6, 7, 9, 10, 2.2, 1.6, 1.2, 1, 1],
    "canal_depth": [17, 15, 14, 14.5, 15, 16, 17, 16, 16.5, 14, 10, 7, 5, 4],
    "canal_width": [23, 22.5, 23, 20, 17, 20, 22, 22.5, 25, 26, 20, 15, 11, 8],
}
_THETA_LEVEL = [2, 4, 7, 9, 13, 17, 19, 20, 21, 22, 23, 24, 26, 27, 28, 29, 30]
_THETA = [-12, -2, 18, 22, 6, -10, -15, -16, -12, -4, 7, 22, 43, 50, 46, 24, 2]
_WEDGE_SHARE = ([2, 7, 9, 18, 20, 23, 24, 26], [0, 0, 0.7, 0.7, 0.3, 0.3, 0.45, 1.0])


@dataclass(frozen=True)
class Vertebra:
    """A vertebra or sacral segment: its frame and its half sizes in mm."""

    number: int
    """Instance id; 26 for every sacral segment."""
    level: float
    """Place along the spine on the scale of the tables."""
    centre: np.ndarray
    """Centre of the body."""
    frame: np.ndarray
    """Rows: unit vectors to the back, downwards and to the right of the vertebra."""
    half: np.ndarray
    """Half depth, half height, half width of the body."""
    canal: np.ndarray
    """Half depth and half width of the canal."""
    disc: float
    """Height of the disc below."""
    wedge: float
    """Tangent by which each endplate tilts; positive where the back of the body is lower."""
    collapse: float
    """Depth in mm by which a fracture has hollowed the endplates."""
    assimilated: bool
    """Whether its transverse processes have grown together with the sacrum."""

    def point(self, back: float, down: float, right: float) -> np.ndarray:
        """Carry a point of the local frame (mm) to (P, I, R)."""
        return np.asarray(self.centre + np.array([back, down, right]) @ self.frame)


def _size(name: str, level: float) -> float:
    return float(np.interp(level, _LEVEL, _SIZES[name]))


def _frame(theta: float, lateral: float, turn: float) -> np.ndarray:
    """Frame tilted by theta in the sagittal and by lateral in the coronal plane, turned about itself."""
    down = np.array([np.sin(theta) * np.cos(lateral), np.cos(theta) * np.cos(lateral), np.sin(lateral)])
    right = np.array([0.0, 0.0, 1.0]) - down * down[2]
    right /= np.linalg.norm(right)
    back = np.cross(down, right)
    return np.array(
        [back * np.cos(turn) + right * np.sin(turn), down, right * np.cos(turn) - back * np.sin(turn)]
    )


def _chain(variants: Variants) -> list[tuple[int, float]]:
    """Instance id and level of each vertebra, then of the five sacral segments."""
    ids = spine_ids(variants.transitional)
    levels = [24.5 if number == L6 else order(number) for number in ids]
    if variants.transitional == "L6":
        levels = [23.7 if number == 24 else level for number, level in zip(ids, levels)]
    return list(zip(ids, levels)) + [(SACRUM_INSTANCE, 26.0 + k) for k in range(5)]


def _disc_height(name: str, height: float, variants: Variants, *, last: bool) -> float:
    """Height of the disc below a vertebra after what the variants do to it."""
    if name in variants.fused:
        return 1.5
    if name in variants.missing_discs:
        return 1.0
    if name in variants.bridged:
        return height * 0.5
    if last and variants.transitional == "sacralised_L5":
        return height * 0.4
    return height * 0.72 if name in variants.degenerated else height


def lay_out(variants: Variants, names: dict[int, str], rng: np.random.Generator) -> list[Vertebra]:
    """Lay out the whole spine, C2 at the top, the centre of C2's body at the origin.

    Args:
        variants: Anatomy.
        names: Level name per instance id.
        rng: Source of randomness.

    Returns:
        Vertebrae from C2 downwards, then five sacral segments.
    """
    chain = _chain(variants)
    levels = np.array([level for _, level in chain])
    theta = np.radians(_sagittal(levels, variants, rng))
    lateral = np.radians(variants.scoliosis_deg) * np.sin(
        levels / rng.uniform(3.0, 6.0) + rng.uniform(0.0, 6.3)
    )
    bend = np.gradient(theta)
    share = np.interp(levels, *_WEDGE_SHARE)
    person = variants.scale * np.exp(rng.normal(0.0, 0.03, 3))
    spine: list[Vertebra] = []
    position = np.zeros(3)
    for k, (number, level) in enumerate(chain):
        name = names[number]
        last = k + 1 < len(chain) and chain[k + 1][0] == SACRUM_INSTANCE and number != SACRUM_INSTANCE
        sizes = np.array([_size(s, level) for s in ("depth", "height", "width")]) * 0.5 * person
        sizes *= np.exp(rng.normal(0.0, 0.02, 3))
        crushed = number != SACRUM_INSTANCE and name in variants.collapsed
        wedge = np.tan(share[k] * bend[k] / 2.0)
        if crushed:
            sizes[1] *= rng.uniform(0.62, 0.85)
            wedge -= rng.uniform(0.05, 0.2)
        canal = np.array([_size("canal_depth", level), _size("canal_width", level)]) * 0.5 * variants.scale
        disc = _size("disc", level) * person[1] * np.exp(rng.normal(0.0, 0.08))
        disc = _disc_height(name, disc, variants, last=last) if number != SACRUM_INSTANCE else disc
        frame = _frame(theta[k], lateral[k], -0.6 * lateral[k])
        if spine:
            middle = (spine[-1].frame[1] + frame[1]) / 2.0
            position = (
                spine[-1].point(0.0, float(spine[-1].half[1]), 0.0)
                + middle * spine[-1].disc
                + frame[1] * sizes[1]
            )
        grown = last and variants.transitional == "sacralised_L5"
        collapse = float(rng.uniform(1.0, 4.0)) if crushed else 0.0
        spine.append(
            Vertebra(number, level, position, frame, sizes, canal, disc, float(wedge), collapse, grown)
        )
    return spine


def _sagittal(levels: np.ndarray, variants: Variants, rng: np.random.Generator) -> np.ndarray:
    """Sagittal tilt of each vertebra in degrees: lordosis, kyphosis and sacral slope, varied per person."""
    knots = np.array(_THETA, dtype=float) * variants.curvature
    cervical, lumbar, sacral = rng.normal(1.0, [0.5, 0.2, 0.12])
    place = np.array(_THETA_LEVEL)
    knots = np.where(place < 8, knots * cervical, np.where(place >= 26, knots * sacral, knots * lumbar))
    smooth = np.interp(levels, place, knots + rng.normal(0.0, 1.2, len(knots)))
    return smooth + variants.tilt_deg


def stations(spine: list[Vertebra]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Path of the canal behind the bodies.

    Returns:
        Points (n, 3), frames (n, 3, 3), half depth and width (n, 2), levels (n,), about every 3 mm.
    """
    rows = []
    for v in spine:
        for down in (-0.9, 0.0, 0.9):
            back = v.half[0] * 0.93 + v.canal[0]
            rows.append((v.point(back, down * v.half[1], 0.0), v.frame, v.canal, v.level + 0.4 * down))
    points = np.array([r[0] for r in rows])
    frames, radii, levels = (np.array([r[i] for r in rows]) for i in (1, 2, 3))
    above = points[0] - frames[0][1] * np.arange(36.0, 0.0, -6.0)[:, None]
    points = np.concatenate([above, points])
    frames = np.concatenate([np.repeat(frames[:1], len(above), 0), frames])
    radii = np.concatenate([np.repeat(radii[:1], len(above), 0) * 1.05, radii])
    levels = np.concatenate([np.linspace(0.0, levels[0], len(above), endpoint=False), levels])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    dense = np.linspace(0.0, along[-1], int(along[-1] / 3.0) + 2)
    window = np.exp(-0.5 * ((dense[:, None] - along[None, :]) / 7.0) ** 2)
    window /= window.sum(1, keepdims=True)
    path = window @ points
    path[0] += path[0] - path[1]
    frame = np.einsum("nm,mij->nij", window, frames)
    frame /= np.linalg.norm(frame, axis=2, keepdims=True)
    return path, frame, window @ radii, window @ levels
