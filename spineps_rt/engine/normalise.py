"""Intensity normalisation as a model's manifest names it."""

from __future__ import annotations

import numpy as np

from spineps_rt.errors import ContractError, NotFiniteError

_SMALLEST_DEVIATION = 1e-8


def normalise(image: np.ndarray, scheme: str) -> np.ndarray:
    """Bring an image's intensities to what the network was trained on.

    ``zscore`` is nnU-Net's ``ZScoreNormalization`` without a mask: mean 0 and standard deviation 1 over the
    whole array, which the caller has cropped to its non-zero box before. TPTBox 1.1.0 casts the image to
    float16 before and after. Here it stays float32: the casts only round (steps of 1 above an intensity of
    1024, 0.001 above a z-score of 1), and they turn intensities above 65504 into infinity.

    Args:
        image: Any shape and real dtype.
        scheme: ``zscore``.

    Returns:
        float32, a new array of the same shape.

    Raises:
        ContractError: The scheme is unknown.
        NotFiniteError: The image holds NaN or infinity.
    """
    if scheme != "zscore":
        raise ContractError(f"The normalisation {scheme!r} came; this runtime knows 'zscore'.")
    with np.errstate(invalid="ignore"):  # infinity is told below, in words
        mean = image.mean(dtype=np.float64)
        deviation = image.std(dtype=np.float64)
    if not np.isfinite(deviation):
        raise NotFiniteError(
            "The image holds NaN or infinity; repair or convert it again before segmenting it."
        )
    normal = np.subtract(image, np.float32(mean), dtype=np.float32)
    normal /= np.float32(max(deviation, _SMALLEST_DEVIATION))
    return normal
