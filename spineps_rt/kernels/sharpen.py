"""Histogram sharpening of log intensities: how far each voxel lies from the tissue that it is taken for.

A bias field blurs the histogram of log intensities. Wiener deconvolution by a narrow Gaussian gives the
histogram back, and from it the expected true value of every observed one (Sled, Zijdenbos and Evans 1998,
doi:10.1109/42.668698; Tustison et al. 2010, doi:10.1109/TMI.2010.2046908).
"""

from __future__ import annotations

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels.jit import njit

_NEGLIGIBLE = 1e-12
"""Share of the fullest bin below which a blurred bin holds nothing but the transform's rounding."""


def blur_residual(values: np.ndarray, *, bins: int, fwhm: float, noise: float) -> np.ndarray:
    """Subtract from each value its expected true value.

    Args:
        values: float32 log intensities, any shape, finite.
        bins: Bins of the histogram, two or more.
        fwhm: Full width at half maximum of the Gaussian, in log intensities.
        noise: Wiener filter's noise term.

    Returns:
        float32 array of the same shape; zeros where all values are the same.

    Raises:
        ContractError: If there are fewer than two bins.
    """
    if bins < 2:
        raise ContractError(f"A histogram to sharpen has at least two bins; got {bins}.")
    values = np.ascontiguousarray(values, np.float32)
    residual = np.zeros_like(values)
    if not values.size:
        return residual
    low = values.min()
    width = (values.max() - low) / np.float32(bins - 1)
    if width <= 0:
        return residual
    counts = np.zeros(bins)
    _count(values.ravel(), low, width, counts)
    expected = expected_values(counts, float(low), float(width), fwhm=fwhm, noise=noise)
    _subtract_expected(values.ravel(), low, width, expected, residual.ravel())
    return residual


def expected_values(counts: np.ndarray, low: float, width: float, *, fwhm: float, noise: float) -> np.ndarray:
    """Tell which true value stands behind each bin's.

    Args:
        counts: float64 (bins,), the histogram.
        low: Value of the first bin.
        width: Distance from bin to bin, positive.
        fwhm: As for :func:`blur_residual`.
        noise: As for :func:`blur_residual`.

    Returns:
        float64 (bins,); a bin that no true value can have led to keeps its own. ITK divides noise by noise
        there.
    """
    bins = len(counts)
    length = 2 << (bins - 1).bit_length()  # the power of two above twice the bins: room for the Gaussian
    before = (length - bins) // 2
    histogram = np.zeros(length)
    histogram[before : before + bins] = counts
    blur = _gaussian(length, fwhm / width)
    wiener = blur / (blur * blur + noise)
    sharp = np.maximum(np.fft.irfft(np.fft.rfft(histogram) * wiener, length), 0)
    values = low + (np.arange(length) - before) * width
    above = np.fft.irfft(np.fft.rfft(values * sharp) * blur, length)
    below = np.fft.irfft(np.fft.rfft(sharp) * blur, length)
    known = below > _NEGLIGIBLE * below.max()
    return np.divide(above, below, out=values, where=known)[before : before + bins]


def _gaussian(length: int, fwhm: float) -> np.ndarray:
    """Transform of a centred Gaussian of the given width in bins; it is even, so the transform is real."""
    at = np.arange(length)
    distance = np.minimum(at, length - at)
    height = 2 * np.sqrt(np.log(2) / np.pi) / fwhm
    return np.fft.rfft(height * np.exp(-4 * np.log(2) * (distance / fwhm) ** 2)).real


@njit
def _count(values: np.ndarray, low: np.float32, width: np.float32, counts: np.ndarray) -> None:
    """Share each value between the two bins beside it.

    Positions are float32, as in ITK, in which rounding may put the highest value past the last bin. ITK does
    not count it then, which moves the bias field by up to a thousandth, and so it is here.
    """
    last = len(counts) - 1
    for value in values:
        at = (value - low) / width
        left = int(at)
        right = at - np.float32(left)
        if left < last:
            counts[left] += 1.0 - right
            counts[left + 1] += right
        elif left == last and right == 0:
            counts[last] += 1.0


@njit
def _subtract_expected(
    values: np.ndarray, low: np.float32, width: np.float32, expected: np.ndarray, out: np.ndarray
) -> None:
    """Interpolate between the two bins beside each value."""
    last = len(expected) - 1
    for i in range(len(values)):
        at = (values[i] - low) / width
        left = min(int(at), last - 1)
        right = min(at - np.float32(left), np.float32(1.0))
        out[i] = values[i] - (expected[left] + (expected[left + 1] - expected[left]) * right)
