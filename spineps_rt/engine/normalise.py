"""Intensity normalisation as a model's manifest names it."""

from __future__ import annotations

import math

import numpy as np

from spineps_rt.errors import ContractError, NotFiniteError

_SMALLEST_DEVIATION = 1e-8
_LARGEST = float(np.finfo(np.float16).max)


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
    if scheme != "zscore":
        raise ContractError(f"The normalisation {scheme!r} came; this runtime knows 'zscore'.")
    # Two reductions need no temporary array, and both carry NaN.
    if not (np.isfinite(image.min()) and np.isfinite(image.max())):
        raise NotFiniteError(
            "The image holds NaN or infinity; repair or convert it again before segmenting it."
        )
    normal = np.asarray(image, np.float32) if overwrite else np.array(image, np.float32)
    slabs = list(normal)  # views: what is temporary is one slab long
    for slab in slabs:
        slab[...] = _rounded(slab)
    mean = sum(float(slab.sum(dtype=np.float64)) for slab in slabs) / normal.size
    squares = sum(float(np.square(slab - mean, dtype=np.float64).sum()) for slab in slabs)
    deviation = math.sqrt(squares / normal.size)
    for slab in slabs:
        slab[...] = _rounded((slab - np.float32(mean)) / np.float32(max(deviation, _SMALLEST_DEVIATION)))
    return normal


def _rounded(image: np.ndarray) -> np.ndarray:
    return np.clip(image, -_LARGEST, _LARGEST).astype(np.float16)
