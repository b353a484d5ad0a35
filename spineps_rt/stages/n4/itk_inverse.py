"""The inverse of a 3 x 3 matrix, rounded in every bit as ITK rounds it.

ITK inverts the matrix of an image by LINPACK's singular value decomposition (Dongarra et al. 1979, chapter
11: Householder reflections to two diagonals, then implicit QR steps). Any other way differs in the last bit,
and where two voxels lie equally near to a point that bit chooses one; see
:mod:`spineps_rt.stages.n4.sample_grid`. So the order of all operations is LINPACK's. Its branches for
singular matrices are not needed.
"""

from __future__ import annotations

from math import copysign, sqrt

import numpy as np

_SIZE = 3


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Invert a regular matrix.

    Args:
        matrix: (3, 3) float64, regular.

    Returns:
        (3, 3) float64.
    """
    diagonal, above, left, right = _two_diagonals(np.array(matrix, np.float64))
    last = _SIZE - 1
    while last > 0:
        first = _first_of_block(diagonal, above, last)
        if first < last:
            _qr_step(diagonal, above, (left, right), (first, last))
        else:
            _settle(diagonal, (left, right), last)
            last -= 1
    _settle(diagonal, (left, right), 0)
    scaled = right * [1 / value for value in diagonal]
    result = np.zeros_like(scaled)
    for axis in range(_SIZE):
        result = result + scaled[:, axis, None] * left[None, :, axis]
    return result


def _two_diagonals(x: np.ndarray) -> tuple[list[float], list[float], np.ndarray, np.ndarray]:
    """Reflect from both sides until two diagonals are left; return them and the reflections' products."""
    diagonal = [0.0] * _SIZE
    diagonal[0] = _reflector(x[:, 0])
    for column in (1, 2):
        _reflect(x[:, 0], x[:, column])
    row = x[0, 1:].copy()
    above = [_reflector(row), 0.0, 0.0]
    if above[0]:
        mixed = 0.0 + row[0] * x[1:, 1] + row[1] * x[1:, 2]
        for column in (1, 2):
            x[1:, column] += -row[column - 1] / row[0] * mixed
    diagonal[1] = _reflector(x[1:, 1])
    _reflect(x[1:, 1], x[1:, 2])
    above[1], diagonal[2] = float(x[1, 2]), float(x[2, 2])
    left, right = np.eye(_SIZE), np.eye(_SIZE)
    for axis in (1, 0):
        vector = x[axis:, axis]
        for column in range(axis + 1, _SIZE):
            _reflect(vector, left[axis:, column])
        left[axis:, axis] = -vector
        left[axis, axis] += 1
    if above[0]:
        for column in (1, 2):
            _reflect(row, right[1:, column])
    return diagonal, above, left, right


def _reflector(vector: np.ndarray) -> float:
    """Turn a vector, in place, into the one whose reflection leaves its first element alone; return that."""
    norm = _norm(vector)
    if norm == 0:
        return 0.0
    if vector[0] != 0:
        norm = copysign(norm, vector[0])
    vector *= 1 / norm
    vector[0] += 1
    return -norm


def _norm(vector: np.ndarray) -> float:
    scale, squares = 0.0, 1.0
    for value in np.abs(vector[vector != 0]).tolist():
        if scale < value:
            squares = squares * (scale / value) ** 2 + 1
            scale = value
        else:
            squares += (value / scale) ** 2
    return scale * sqrt(squares)


def _reflect(vector: np.ndarray, other: np.ndarray) -> None:
    """Reflect another vector in place."""
    product = 0.0
    for a, b in zip(vector.tolist(), other.tolist()):
        product += a * b
    other += -product / vector[0] * vector


def _first_of_block(diagonal: list[float], above: list[float], last: int) -> int:
    """Find where the block that ends at ``last`` begins; what is negligible beside the diagonal becomes 0."""
    for axis in reversed(range(last)):
        size = abs(diagonal[axis]) + abs(diagonal[axis + 1])
        if size + abs(above[axis]) == size:
            above[axis] = 0.0
            return axis + 1
    return 0


def _qr_step(
    s: list[float], e: list[float], bases: tuple[np.ndarray, np.ndarray], block: tuple[int, int]
) -> None:
    """Turn the diagonals ``s`` and ``e`` by one shifted QR step, in place."""
    left, right = bases
    first, last = block
    f, g = _shifted(s, e, block)
    for k in range(first, last):
        f, cosine, sine = _rotation(f, g)
        if k != first:
            e[k - 1] = f
        f, e[k] = cosine * s[k] + sine * e[k], cosine * e[k] - sine * s[k]
        g, s[k + 1] = sine * s[k + 1], cosine * s[k + 1]
        _rotate(right, k, cosine, sine)
        s[k], cosine, sine = _rotation(f, g)
        f, s[k + 1] = cosine * e[k] + sine * s[k + 1], -sine * e[k] + cosine * s[k + 1]
        g, e[k + 1] = sine * e[k + 1], cosine * e[k + 1]
        _rotate(left, k, cosine, sine)
    e[last - 1] = f


def _shifted(s: list[float], e: list[float], block: tuple[int, int]) -> tuple[float, float]:
    """First two elements of the shifted matrix's first column."""
    first, last = block
    numbers = (s[last], s[last - 1], e[last - 1], s[first], e[first])
    scale = max(abs(number) for number in numbers)
    low, before, beside, top, next_ = (number / scale for number in numbers)
    half = ((before + low) * (before - low) + beside * beside) / 2
    square = (low * beside) * (low * beside)
    shift = 0.0
    if half != 0 or square != 0:
        shift = square / (half + copysign(sqrt(half * half + square), half))
    return (top + low) * (top - low) + shift, top * next_


def _rotation(a: float, b: float) -> tuple[float, float, float]:
    """Length of (a, b), and the cosine and sine of the turn that brings it to the first axis."""
    scale = abs(a) + abs(b)
    if scale == 0:
        return 0.0, 1.0, 0.0
    length = scale * sqrt((a / scale) * (a / scale) + (b / scale) * (b / scale))
    length = copysign(length, a if abs(a) > abs(b) else b)
    return length, a / length, b / length


def _rotate(basis: np.ndarray, column: int, cosine: float, sine: float) -> None:
    one, two = basis[:, column].copy(), basis[:, column + 1].copy()
    basis[:, column] = cosine * one + sine * two
    basis[:, column + 1] = cosine * two - sine * one


def _settle(diagonal: list[float], bases: tuple[np.ndarray, np.ndarray], axis: int) -> None:
    """Make a singular value positive and bring it to its place among the later ones."""
    left, right = bases
    if diagonal[axis] < 0:
        diagonal[axis] = -diagonal[axis]
        right[:, axis] *= -1
    while axis + 1 < _SIZE and diagonal[axis] < diagonal[axis + 1]:
        diagonal[axis], diagonal[axis + 1] = diagonal[axis + 1], diagonal[axis]
        for basis in (left, right):
            basis[:, [axis, axis + 1]] = basis[:, [axis + 1, axis]]
        axis += 1
