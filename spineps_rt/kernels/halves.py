"""Intensities as float16, with what their normalisation needs, in one pass."""

from __future__ import annotations

from functools import cache

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each, slabs

_SMALLEST_NORMAL = 0x38800000
"""2**-14 in float32's bits."""
_LARGEST = 0x477FE000
"""65504, float16's largest value, in float32's bits."""
_INFINITE = 0x7F800000


def round_and_measure(image: np.ndarray) -> tuple[np.ndarray, float, float, int]:
    """Round to float16 and measure what was rounded.

    Args:
        image: float32, 3-D, C-contiguous. What float16 cannot hold becomes its largest value of that sign.

    Returns:
        float16, same shape, halves rounded to even as numpy does; mean and variance of these; how many voxels
        were NaN or infinite.

    Raises:
        ContractError: The image is not as described.
    """
    if image.ndim != 3 or image.dtype != np.float32 or not image.flags.c_contiguous or not image.size:
        raise ContractError(
            f"An image of {image.dtype} and shape {image.shape} came; expected contiguous float32, 3-D."
        )
    halves, values = np.empty(image.shape, np.uint16), _values()
    anchor = float(values[_half(image.view(np.uint32)[0, 0, 0], image[0, 0, 0])])
    spans = slabs(len(image), image.size)
    sums = np.zeros((len(spans), 3))
    each(
        _round_part,
        [(image, halves, values, anchor, (*span, n), sums) for n, span in enumerate(spans)],
    )
    first, second, odd = (float(total) for total in sums.sum(axis=0))
    mean = first / image.size
    return halves.view(np.float16), anchor + mean, max(second / image.size - mean * mean, 0.0), int(odd)


@cache
def _values() -> np.ndarray:
    """What float16 of every bit pattern is, as float32."""
    with np.errstate(invalid="ignore"):
        return np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16).astype(np.float32)


@njit
def _half(bits: int, value: float) -> int:
    """Bits of a float32 number as float16's, to the nearest, halves to even."""
    sign = (bits >> 16) & 0x8000
    size = bits & 0x7FFFFFFF
    if size > _LARGEST:
        return sign | 0x7BFF
    if size < _SMALLEST_NORMAL:
        return sign | int(np.rint(abs(value) * np.float32(1 << 24)))
    rounded = size + 0xFFF + ((size >> 13) & 1)
    return sign | ((rounded - 0x38000000) >> 13)


@njit
def _round_part(
    image: np.ndarray,
    halves: np.ndarray,
    values: np.ndarray,
    anchor: float,
    part: tuple[int, int, int],
    sums: np.ndarray,
) -> None:
    """Round a slab; its sums of differences to the anchor, of their squares, and what is not finite."""
    first, second, odd, bits = 0.0, 0.0, 0, image.view(np.uint32)
    for i in range(part[0], part[1]):
        for j in range(image.shape[1]):
            for k in range(image.shape[2]):
                word = np.int64(bits[i, j, k])
                odd += (word & 0x7FFFFFFF) >= _INFINITE
                half = _half(word, image[i, j, k])
                halves[i, j, k] = half
                difference = np.float64(values[half]) - anchor
                first += difference
                second += difference * difference
    sums[part[2], 0], sums[part[2], 1], sums[part[2], 2] = first, second, odd
