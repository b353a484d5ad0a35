"""Draw phantoms as patients and protocols vary, for training and tests."""

from __future__ import annotations

import numpy as np

from spineps_rt.labels import VERTEBRAE
from spineps_rt.phantom.options import TRANSITIONAL, PhantomOptions, Variants, spine_ids

_REGIONS = {  # first and last level are drawn between these ids
    "lumbar": ((16, 19), (24, 24)),
    "lumbar_part": ((18, 21), (22, 24)),
    "thoracic": ((7, 11), (16, 20)),
    "cervical": ((2, 3), (7, 10)),
    "whole": ((2, 3), (24, 24)),
}
_SHARES = (0.55, 0.1, 0.12, 0.12, 0.11)


def random_variants(rng: np.random.Generator) -> Variants:
    """Draw the anatomy of a patient.

    Args:
        rng: Source of randomness.

    Returns:
        Mostly a normal spine, at times with transitional anatomy, fractures or worn discs.
    """
    transitional = "none" if rng.random() < 0.85 else str(rng.choice(TRANSITIONAL[1:]))
    ids = spine_ids(transitional)
    names = [VERTEBRAE[number] for number in ids]

    def pick(chance: float, many: int) -> tuple[str, ...]:
        if rng.random() >= chance:
            return ()
        return tuple(str(n) for n in rng.choice(names, rng.integers(1, many + 1), replace=False))

    worn = rng.random() ** 2
    weight = np.interp(np.arange(len(names)), [0, 5, 14, len(names) - 1], [0.5, 0.8, 0.4, 1.0])
    degenerated = tuple(n for n, w in zip(names, weight) if rng.random() < worn * w)
    return Variants(
        transitional=transitional,
        collapsed=pick(0.12, 3),
        fused=pick(0.05, 2),
        missing_discs=pick(0.06, 2),
        bridged=pick(0.08, 4),
        degenerated=degenerated,
        herniated=pick(0.25, 4),
        osteophytes=float(rng.beta(1.2, 3.0)),
        scoliosis_deg=float(rng.choice([1.5, 4.0, 12.0], p=[0.6, 0.3, 0.1]) * rng.normal()),
        curvature=float(rng.normal(1.0, 0.15)),
        tilt_deg=float(rng.normal(0.0, 4.0)),
        scale=float(np.clip(rng.normal(1.0, 0.08), 0.8, 1.2)),
        fat_mm=float(np.exp(rng.normal(2.7, 0.5))),
        muscle_fat=float(rng.beta(1.5, 3.0)),
        coccyx=bool(rng.random() < 0.8),
    )


def random_options(
    rng: np.random.Generator, *, spacing: tuple[float, float, float] | None = None, region: str | None = None
) -> PhantomOptions:
    """Draw a scan: patient, region, field of view and voxel size.

    Args:
        rng: Source of randomness.
        spacing: Voxel size in mm along P, I, R; None draws a sagittal protocol.
        region: ``lumbar``, ``lumbar_part``, ``thoracic``, ``cervical`` or ``whole``; None draws one.

    Returns:
        Options for :func:`~spineps_rt.phantom.make_phantom`, in (P, I, R).
    """
    variants = random_variants(rng)
    ids = spine_ids(variants.transitional)
    region = region or str(rng.choice(list(_REGIONS), p=_SHARES))
    upper, lower = _REGIONS[region]
    first, last = int(rng.integers(upper[0], upper[1] + 1)), int(rng.integers(lower[0], lower[1] + 1))
    first = first if first in ids else 18
    last = ids[-1] if last == 24 or last not in ids else last
    if spacing is None:
        plane = float(rng.uniform(0.55, 1.1))
        spacing = (plane, plane, float(rng.choice([0.9, 1.2, 1.8, 3.3, 4.0, 4.4])))
    wide = float(rng.uniform(18.0, 45.0)) if rng.random() < 0.3 else float(rng.uniform(45.0, 110.0))
    shift = (float(rng.normal(0.0, 15.0)), 0.0, float(rng.normal(0.0, 5.0)))
    return PhantomOptions(
        levels=(VERTEBRAE[first], VERTEBRAE[last]),
        sacrum=None if rng.random() < 0.9 else False,
        spacing=spacing,
        margin_mm=(float(rng.uniform(-12.0, 30.0)), float(rng.uniform(-12.0, 40.0))),
        fov_mm=(float(rng.uniform(120.0, 260.0)), 0.0, wide),
        offset_mm=shift,
        variants=variants,
    )
