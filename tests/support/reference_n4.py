"""N4 the slow, obvious way: a scattered-data B-spline fit, point by point (Tustison et al. 2010)."""

from __future__ import annotations

from itertools import product

import numpy as np


def basis(position, spans):
    """First node and weights of the four nodes around a position, by the Cox-de Boor recursion."""
    span = min(int(position), spans - 1)
    knots = np.arange(-3, spans + 4, dtype=float)

    def value(i, degree):
        if degree == 0:
            return float(i == span + 3)
        left = (position - knots[i]) / degree * value(i, degree - 1)
        return left + (knots[i + degree + 1] - position) / degree * value(i + 1, degree - 1)

    return span, np.array([value(span + k, 3) for k in range(4)])


def weigh_points(positions, spans):
    """For every point its 64 nodes and weights."""
    axes = [[basis(p, n) for p in line] for line, n in zip(positions, spans)]
    for parts in product(*axes):
        nodes = tuple(slice(start, start + 4) for start, _ in parts)
        yield nodes, np.einsum("i,j,k", *(weights for _, weights in parts))


def fit(values, positions, spans):
    above, below = (np.zeros([n + 3 for n in spans]) for _ in range(2))
    for value, (nodes, w) in zip(values.ravel(), weigh_points(positions, spans)):
        above[nodes] += w**2 * (w * value / (w**2).sum())
        below[nodes] += w**2
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def evaluate(lattice, positions, spans):
    values = [(w * lattice[nodes]).sum() for nodes, w in weigh_points(positions, spans)]
    return np.reshape(values, [len(line) for line in positions])


def expected(counts, low, width, fwhm, noise):
    """Wiener deconvolution with plain complex transforms of length 512 (200 bins)."""
    length, bins = 2 ** (int(np.ceil(np.log2(len(counts)))) + 1), len(counts)
    before = (length - bins) // 2
    padded = np.zeros(length)
    padded[before : before + bins] = counts
    at = np.minimum(np.arange(length), length - np.arange(length))
    scaled = fwhm / width
    gauss = 2 * np.sqrt(np.log(2) / np.pi) / scaled * np.exp(-4 * np.log(2) / scaled**2 * at**2)
    blur = np.fft.fft(gauss)
    wiener = np.conj(blur) / (np.conj(blur) * blur + noise)
    sharp = np.fft.ifft(np.fft.fft(padded) * wiener.real).real.clip(0)
    values = low + (np.arange(length) - before) * width
    above = np.fft.ifft(np.fft.fft(values * sharp) * blur).real
    below = np.fft.ifft(np.fft.fft(sharp) * blur).real
    return np.divide(above, below, out=np.zeros(length), where=below != 0)[before : before + bins]


def residual(values, bins, fwhm, noise):
    low, high = values.min(), values.max()
    width = (high - low) / (bins - 1)
    counts = np.zeros(bins)
    for value in values.ravel():
        left = min(int((value - low) / width), bins - 2)
        right = (value - low) / width - left
        counts[left] += 1 - right
        counts[left + 1] += right
    mapping = expected(counts, low, width, fwhm, noise)
    return values - np.interp(values, low + width * np.arange(bins), mapping)


def n4(logs, positions, spans, iterations, settings):
    """Lattice of the log field after all levels, and its spans; levels are fitted anew, not subdivided."""
    fields = []  # every level's lattice, with its spans: their sum is the field
    for level, count in enumerate(iterations):
        lines = [np.asarray(line) * 2**level for line in positions]
        fine = [n * 2**level for n in spans]
        fields.append((np.zeros([n + 3 for n in fine]), 2**level))
        for _ in range(count):
            field = total(fields, positions, spans)
            fields[-1][0][...] += fit(residual(logs - field, *settings), lines, fine)
    return fields


def total(fields, positions, spans):
    return sum(
        evaluate(lattice, [np.asarray(line) * f for line in positions], [n * f for n in spans])
        for lattice, f in fields
    )


def phantom(shape, seed):
    """Two tissues with noise under a smooth gain."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    tissue = 100 + 200 * (rng.random(shape) > 0.5) + 20 * rng.random(shape)
    return (tissue * np.exp(0.3 * x - 0.2 * y + 0.1 * z * x)).astype(np.float32)
