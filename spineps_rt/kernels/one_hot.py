"""Convolution of one-hot labels without the zeros: a voxel adds its label's weights to its neighbourhood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each, slabs


class OneHotConvolution(NamedTuple):
    """Weights, prepared for one size of label map by :func:`prepare`."""

    shape: tuple[int, ...]
    """Of the label map (n0, n1, n2)."""
    background: np.ndarray
    """float32 (kinds of 0, kinds of 1, n2 * features): rows of the answer where all labels are 0."""
    kinds: tuple[np.ndarray, np.ndarray]
    """int64: kind of every position along axis 0 and 1; beside a border the kernel hangs over it."""
    steps: np.ndarray
    """float32 (channels, k0, k1, k2 * features): what a label adds more than label 0, around its voxel."""


def prepare(weights: np.ndarray, bias: np.ndarray, shape: tuple[int, ...]) -> OneHotConvolution:
    """Turn a convolution's weights into tables.

    Args:
        weights: float32 (features, channels, k0, k1, k2), the kernel's sizes odd; stride 1, padded to keep
            the size.
        bias: float32 (features,).
        shape: Of the label map (n0, n1, n2).

    Returns:
        The tables; differences and sums of weights are rounded once, from float64.

    Raises:
        ContractError: The weights are not as described.
    """
    if weights.ndim != 5 or any(k % 2 == 0 for k in weights.shape[2:]) or bias.shape != weights.shape[:1]:
        raise ContractError(
            f"Weights {weights.shape} and bias {bias.shape} came; expected a 3-D convolution of odd kernel."
        )
    exact = weights.astype(np.float64)
    inside = [_inside(n, k) for n, k in zip(shape, weights.shape[2:])]
    rows, kinds = zip(*(np.unique(i, axis=0, return_inverse=True) for i in inside[:2]))
    background = np.einsum("oabc,pa,ib,rc->piro", exact[:, 0], *rows, inside[2], optimize=True) + bias
    steps = (exact - exact[:, :1]).transpose(1, 2, 3, 4, 0)[:, :, :, ::-1]
    return OneHotConvolution(
        tuple(shape),
        background.astype(np.float32).reshape(*background.shape[:2], -1),
        (kinds[0].reshape(-1), kinds[1].reshape(-1)),
        np.ascontiguousarray(steps, np.float32).reshape(*steps.shape[:3], -1),
    )


def _inside(size: int, kernel: int) -> np.ndarray:
    """(size, kernel) 0 or 1: whether the kernel's element lies inside when it is centred on a position."""
    at = np.arange(size)[:, None] + np.arange(kernel) - kernel // 2
    return ((at >= 0) & (at < size)).astype(np.float64)


def convolve(labels: np.ndarray, convolution: OneHotConvolution) -> np.ndarray:
    """Convolve the one-hot channels of a label map.

    Args:
        labels: uint8 of the shape that was prepared; labels beyond the channels count as 0.
        convolution: The tables.

    Returns:
        float32 (n0, n1, n2, features), new; equal to the convolution up to the order of its sums.

    Raises:
        ContractError: The label map has another shape or dtype.
    """
    if labels.shape != convolution.shape or labels.dtype != np.uint8:
        raise ContractError(f"Labels {labels.dtype} {labels.shape} came; expected uint8 {convolution.shape}.")
    known = np.where(labels < len(convolution.steps), labels, np.uint8(0))
    answer = np.empty((*labels.shape[:2], convolution.background.shape[2]), np.float32)
    spans = slabs(len(labels), labels.size)
    each(_convolve, [(known, convolution, _ends(known), answer, span) for span in spans])
    return answer.reshape(*labels.shape, -1)


def _ends(labels: np.ndarray) -> np.ndarray:
    """int64 (n0, n1, 2): first label of every row that is not 0, and the place behind the last."""
    found = labels != 0
    last = labels.shape[2] - found[:, :, ::-1].argmax(2)
    return np.stack([found.argmax(2), np.where(found.any(2), last, 0)], axis=-1)


@njit
def _convolve(
    labels: np.ndarray,
    convolution: OneHotConvolution,
    ends: np.ndarray,
    answer: np.ndarray,
    span: tuple[int, int],
) -> None:
    """Sum up the rows of span, each in a buffer that is as much longer as a row's last kernel hangs over."""
    (rows0, rows1), steps = convolution.kinds, convolution.steps
    n0, n1, n2 = labels.shape
    k0, k1, size = steps.shape[1:]
    features = answer.shape[2] // n2
    margin = (size - features) // 2
    sums = np.zeros(answer.shape[2] + 2 * margin, np.float32)
    for x in range(span[0], span[1]):
        for y in range(n1):
            sums[margin : margin + answer.shape[2]] = convolution.background[rows0[x], rows1[y]]
            for a in range(max(k0 // 2 - x, 0), min(k0, n0 - x + k0 // 2)):
                for b in range(max(k1 // 2 - y, 0), min(k1, n1 - y + k1 // 2)):
                    at, row = x + a - k0 // 2, y + b - k1 // 2
                    for z in range(ends[at, row, 0], ends[at, row, 1]):
                        if labels[at, row, z]:
                            _add(sums[z * features : z * features + size], steps[labels[at, row, z], a, b])
            answer[x, y] = sums[margin : margin + answer.shape[2]]


@njit
def _add(sums: np.ndarray, values: np.ndarray) -> None:
    for k in range(values.size):
        sums[k] += values[k]
