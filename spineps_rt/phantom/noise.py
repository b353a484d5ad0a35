"""Smooth random fields and blurring, by separable interpolation: fast, seeded and without SciPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def _weights(n: int, spacing: float, wavelength: float, start: float) -> np.ndarray:
    """Cubic B-spline weights (n, knots) that carry a coarse lattice to n voxels."""
    position = start + np.arange(n) * spacing / max(wavelength, spacing)
    knots = int(position[-1]) + 4
    distance = np.abs(position[:, None] + 1.0 - np.arange(knots)[None, :])
    near = 2.0 / 3.0 - distance**2 + 0.5 * distance**3
    far = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
    return np.where(distance < 1.0, near, far).astype(np.float32)


def smooth_noise(
    rng: np.random.Generator, shape: Sequence[int], spacing: np.ndarray, wavelength: Sequence[float]
) -> np.ndarray:
    """Draw a smooth random field of zero mean and unit deviation.

    Args:
        rng: Source of randomness.
        shape: Voxels along the three axes.
        spacing: Voxel size in mm.
        wavelength: Distance of the random lattice's knots in mm along the three axes.

    Returns:
        float32 array of ``shape``.
    """
    w = [_weights(n, s, length, rng.random()) for n, s, length in zip(shape, spacing, wavelength)]
    lattice = rng.standard_normal([m.shape[1] for m in w]).astype(np.float32)
    lattice /= np.float32(0.33)  # what the B-spline takes from the deviation in three dimensions
    field = np.tensordot(w[0], lattice, axes=(1, 0))
    field = np.matmul(w[1], field)
    return (field.reshape(-1, w[2].shape[1]) @ w[2].T).reshape([len(m) for m in w])


def blur(image: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Blur with a separable Gaussian.

    Args:
        image: float32 array, three-dimensional.
        sigma: Standard deviation in voxels per axis; 0 leaves that axis alone.

    Returns:
        float32 array of the same shape; edges are repeated.
    """
    for axis, s in enumerate(sigma):
        if s < 0.05:
            continue
        radius = max(1, int(3.0 * s + 0.5))
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / s) ** 2).astype(np.float32)
        kernel /= kernel.sum()
        moved = np.moveaxis(image, axis, 0)
        padded = np.concatenate([moved[:1]] * radius + [moved] + [moved[-1:]] * radius)
        n = len(moved)
        total = kernel[0] * padded[:n]
        for offset in range(1, len(kernel)):
            total += kernel[offset] * padded[offset : offset + n]
        image = np.moveaxis(total, 0, axis)
    return np.ascontiguousarray(image)
