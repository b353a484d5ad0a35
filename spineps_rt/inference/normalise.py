"""Intensity normalisation as a model's manifest names it."""

from __future__ import annotations

import math

import numpy as np

from spineps_rt.errors import ContractError, NotFiniteError
from spineps_rt.kernels.halves import round_and_measure
from spineps_rt.models.manifest import NORMALISATIONS

_SMALLEST_DEVIATION = 1e-8
_LARGEST = float(np.finfo(np.float16).max)
_NOT_FINITE = "The image holds NaN or infinity; repair or convert it again before segmenting it."


def normalise(image: np.ndarray, scheme: str, *, overwrite: bool = False) -> np.ndarray:
    """Bring an image's intensities to what the network was trained on.

    ``zscore`` is nnU-Net's ``ZScoreNormalization`` without a mask: mean 0 and standard deviation 1 over the
    whole array, which the caller has cropped to its non-zero box before. As TPTBox 1.1.0 does, intensities
    are rounded to float16 before and after, so that the network sees bit for bit what SPINEPS shows it. What
    float16 cannot hold is clipped to its largest value, where TPTBox lets it become infinite.

    Args:
        image: Any shape of at least one axis and any real dtype.
        scheme: ``zscore``.
        overwrite: The image may be overwritten; if it is float32, no copy is made.

    Returns:
        float32, same shape; a new array unless ``overwrite`` spares it.

    Raises:
        ContractError: The scheme is unknown.
        NotFiniteError: The image holds NaN or infinity.
    """
    _check(image, scheme)
    normal = np.asarray(image, np.float32) if overwrite else np.array(image, np.float32)
    mean, deviation = _round_and_measure(normal)
    for slab in normal:  # views: what is temporary is one slab long
        slab[...] = _rounded((slab - np.float32(mean)) / np.float32(deviation))
    return normal


def measured(image: np.ndarray, scheme: str) -> tuple[np.ndarray, tuple[float, float]]:
    """What :func:`normalise` would need, for a device that subtracts and divides by itself.

    Args:
        image: 3-D, any real dtype.
        scheme: As :func:`normalise`.

    Returns:
        The intensities as float16, C-contiguous, and their mean and standard deviation.

    Raises:
        ContractError, NotFiniteError: As :func:`normalise`.
    """
    _check_scheme(scheme)
    wide = image.dtype.itemsize > np.dtype(np.float32).itemsize  # its large values become infinite
    if wide:
        _check_finite(image)
    with np.errstate(over="ignore"):
        halves, mean, variance, odd = round_and_measure(np.array(image, np.float32, order="C"))
    if odd and not wide:
        raise NotFiniteError(_NOT_FINITE)
    return halves, (mean, max(math.sqrt(variance), _SMALLEST_DEVIATION))


def _check(image: np.ndarray, scheme: str) -> None:
    _check_scheme(scheme)
    _check_finite(image)


def _check_scheme(scheme: str) -> None:
    if scheme not in NORMALISATIONS:
        raise ContractError(f"The normalisation {scheme!r} came; this runtime knows 'zscore'.")


def _check_finite(image: np.ndarray) -> None:
    # Two reductions need no temporary array, and both carry NaN.
    if not (np.isfinite(image.min()) and np.isfinite(image.max())):
        raise NotFiniteError(_NOT_FINITE)


def _round_and_measure(image: np.ndarray) -> tuple[float, float]:
    """Round to float16 in place; return mean and standard deviation."""
    for slab in image:
        slab[...] = _rounded(slab)
    mean = sum(float(slab.sum(dtype=np.float64)) for slab in image) / image.size
    squares = sum(float(np.square(slab - mean, dtype=np.float64).sum()) for slab in image)
    return mean, max(math.sqrt(squares / image.size), _SMALLEST_DEVIATION)


def _rounded(image: np.ndarray) -> np.ndarray:
    return np.clip(image, -_LARGEST, _LARGEST).astype(np.float16)
