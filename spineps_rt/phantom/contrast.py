"""Grey values of tissues and the scanner's imperfections."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spineps_rt.phantom.tissues import Tissue

_T2 = {
    Tissue.AIR: 0.0, Tissue.FAT: 0.85, Tissue.MUSCLE: 0.16, Tissue.VESSEL: 0.05, Tissue.LIGAMENT: 0.07,
    Tissue.EPIDURAL_FAT: 0.80, Tissue.CSF: 1.0, Tissue.ROOT: 0.42, Tissue.CORD: 0.42, Tissue.CORTICAL: 0.05,
    Tissue.MARROW: 0.38, Tissue.POSTERIOR_MARROW: 0.46, Tissue.SACRAL_MARROW: 0.44, Tissue.NUCLEUS: 0.72,
    Tissue.NUCLEUS_MODERATE: 0.32, Tissue.NUCLEUS_DARK: 0.13, Tissue.ANNULUS: 0.09, Tissue.ENDPLATE: 0.08,
    Tissue.VEIN: 0.75, Tissue.BOWEL: 0.40, Tissue.ORGAN: 0.30, Tissue.GAS: 0.02, Tissue.VISCERAL_FAT: 0.72,
    Tissue.LUNG: 0.05, Tissue.FLUID: 1.0, Tissue.INTERSPINOUS: 0.38, Tissue.BRAIN: 0.5, Tissue.LESION: 0.75,
}  # fmt: skip
_T1 = {
    **_T2, Tissue.FAT: 1.0, Tissue.EPIDURAL_FAT: 0.95, Tissue.VISCERAL_FAT: 0.9, Tissue.CSF: 0.16,
    Tissue.ROOT: 0.25, Tissue.CORD: 0.34, Tissue.MARROW: 0.5, Tissue.POSTERIOR_MARROW: 0.58,
    Tissue.SACRAL_MARROW: 0.56, Tissue.NUCLEUS: 0.3,
    Tissue.NUCLEUS_MODERATE: 0.28, Tissue.NUCLEUS_DARK: 0.26, Tissue.ANNULUS: 0.2,
    Tissue.MUSCLE: 0.32, Tissue.VEIN: 0.25, Tissue.BOWEL: 0.35, Tissue.ORGAN: 0.4, Tissue.FLUID: 0.14,
    Tissue.INTERSPINOUS: 0.45, Tissue.BRAIN: 0.45, Tissue.LESION: 0.3,
}  # fmt: skip
_FAT_SAT = {
    **_T2, Tissue.FAT: 0.12, Tissue.EPIDURAL_FAT: 0.12, Tissue.VISCERAL_FAT: 0.12, Tissue.MARROW: 0.16,
    Tissue.POSTERIOR_MARROW: 0.15, Tissue.SACRAL_MARROW: 0.16, Tissue.INTERSPINOUS: 0.2, Tissue.MUSCLE: 0.22,
    Tissue.NUCLEUS: 0.7, Tissue.VEIN: 0.6, Tissue.LESION: 0.8,
}  # fmt: skip
_DEVIATION = {
    Tissue.FAT: 0.07, Tissue.MUSCLE: 0.05, Tissue.BOWEL: 0.2, Tissue.ORGAN: 0.05, Tissue.VISCERAL_FAT: 0.13,
    Tissue.LUNG: 0.04, Tissue.MARROW: 0.035, Tissue.POSTERIOR_MARROW: 0.07, Tissue.SACRAL_MARROW: 0.06,
    Tissue.CSF: 0.07, Tissue.CORD: 0.03, Tissue.NUCLEUS: 0.06, Tissue.NUCLEUS_MODERATE: 0.05,
    Tissue.NUCLEUS_DARK: 0.03, Tissue.ANNULUS: 0.03, Tissue.INTERSPINOUS: 0.2, Tissue.EPIDURAL_FAT: 0.08,
    Tissue.BRAIN: 0.06, Tissue.VEIN: 0.15, Tissue.LIGAMENT: 0.04, Tissue.VESSEL: 0.03, Tissue.FLUID: 0.04,
}  # fmt: skip


def _table(values: dict[Tissue, float]) -> tuple[float, ...]:
    """Values in the order of the tissues, 0 where none is given."""
    return tuple(float(values.get(tissue, 0.0)) for tissue in Tissue)


@dataclass(frozen=True)
class Contrast:
    """How tissues look and what the scanner adds; grey values are relative to cerebrospinal fluid in T2w."""

    means: tuple[float, ...] = _table(_T2)
    """Grey value per :class:`Tissue`."""
    deviations: tuple[float, ...] = _table(_DEVIATION)
    """Texture amplitude per :class:`Tissue`."""
    vertebra_deviation: float = 0.06
    """Spread of the brightness from one vertebra or disc to the next."""
    flow: float = 0.1
    """Signal that moving cerebrospinal fluid loses in places."""
    noise: float = 0.02
    """Standard deviation of the receiver noise (Rician)."""
    bias: float = 0.15
    """Amplitude of the smooth bias field."""
    coil_mm: float = 140.0
    """Distance from the back over which the surface coil's signal falls to 1/e."""
    saturation: float = 0.0
    """How much a band laid over the organs before the spine takes from their signal, 0 to 1."""
    blur_mm: float = 0.45
    """Standard deviation of the point-spread function in the slice plane."""
    gain: float = 400.0
    """Grey value of a mean of 1."""
    floor: float = 0.0
    """Offset that the scanner adds."""


T2W = Contrast()
T1W = Contrast(means=_table(_T1))
FAT_SAT = Contrast(means=_table(_FAT_SAT), noise=0.035)
PRESETS: dict[str, Contrast] = {"t2w": T2W, "t1w": T1W, "fatsat": FAT_SAT}


def random_contrast(rng: np.random.Generator, *, base: Contrast = T2W) -> Contrast:
    """Vary a contrast as protocols, coils and patients vary.

    Args:
        rng: Source of randomness.
        base: The contrast to vary.

    Returns:
        A contrast whose means keep their rough order.
    """
    means = np.array(base.means)
    gamma = rng.uniform(0.75, 1.35)
    means = np.clip(means, 0, None) ** gamma * np.exp(rng.normal(0.0, 0.13, len(means)))
    marrow = np.exp(rng.normal(0.0, 0.22))  # old marrow is fatty, young marrow is not
    means[[Tissue.MARROW, Tissue.POSTERIOR_MARROW, Tissue.SACRAL_MARROW]] *= marrow
    return replace(
        base,
        means=tuple(float(m) for m in means),
        deviations=tuple(float(d) for d in np.array(base.deviations) * rng.uniform(0.6, 1.6)),
        vertebra_deviation=rng.uniform(0.02, 0.1),
        flow=float(rng.choice([0.0, 0.15, 0.4])),
        noise=float(np.exp(rng.uniform(np.log(0.006), np.log(0.06)))),
        bias=rng.uniform(0.0, 0.35),
        coil_mm=float(np.exp(rng.uniform(np.log(50.0), np.log(400.0)))),
        saturation=rng.choice([0.0, 0.0, 0.7, 0.9]),
        blur_mm=rng.uniform(0.25, 0.7),
        gain=float(np.exp(rng.uniform(np.log(120.0), np.log(1200.0)))),
        floor=float(rng.choice([0.0, 0.0, 0.05])),
    )
