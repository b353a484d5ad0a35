"""Numbers of the bias field correction, as SPINEPS 2.1.3 calls ANTs."""

from __future__ import annotations

from dataclasses import dataclass

BINS = 200
"""Bins of the histogram of log intensities."""
FWHM = 0.15
"""Full width at half maximum of the field's assumed distribution, in log intensities."""
WIENER_NOISE = 0.01
"""Noise term of the Wiener filter that sharpens the histogram."""


@dataclass(frozen=True)
class N4Settings:
    """How the field is fitted. A run takes the defaults; tests and studies may not."""

    threshold: float = 60.0
    """The field is estimated and corrected in the box of the voxels at or above this intensity."""
    spline_mm: float = 100.0
    """Distance of the spline's knots at the first level; it halves from level to level."""
    shrink: int = 4
    """Shrink factor: of this many voxels along each axis one takes part in the estimate."""
    iterations: tuple[int, ...] = (50, 50, 50, 50)
    """Iterations at most, one number a level."""
    convergence: float = 1e-7
    """A level ends when the coefficient of variation of the field's change falls to this."""


DEFAULTS = N4Settings()
