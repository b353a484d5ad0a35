"""Turn tissue into an MR image."""

from __future__ import annotations

import numpy as np

from spineps_rt.phantom.anatomy import Anatomy
from spineps_rt.phantom.contrast import Contrast
from spineps_rt.phantom.noise import blur, smooth_noise
from spineps_rt.phantom.tissues import Tissue


def render(anatomy: Anatomy, contrast: Contrast, *, seed: int) -> np.ndarray:
    """Render an anatomy at its own resolution, noise included.

    Args:
        anatomy: Truth in (P, I, R).
        contrast: Grey values and imperfections.
        seed: Seed of texture, bias and noise.

    Returns:
        float32 (P, I, R), not negative.
    """
    return degrade(signal(anatomy, contrast, seed=seed), contrast, seed=seed)


def signal(anatomy: Anatomy, contrast: Contrast, *, seed: int) -> np.ndarray:
    """Noise-free signal: means, brightness per vertebra, texture, partial volume and coil.

    Args:
        anatomy: Truth in (P, I, R).
        contrast: Grey values.
        seed: Seed of texture and bias.

    Returns:
        float32 (P, I, R); a mean of 1 is 1.
    """
    rng = np.random.default_rng([seed, 11])
    spacing = np.abs(anatomy.affine[[1, 2, 0], [0, 1, 2]])
    shape = anatomy.tissue.shape
    means = np.array(contrast.means, np.float32)
    deviations = np.array(contrast.deviations, np.float32)
    texture = rng.standard_normal(shape, dtype=np.float32)
    texture += 0.6 * smooth_noise(rng, shape, spacing, (9.0, 9.0, 9.0))
    image = means[anatomy.tissue] + deviations[anatomy.tissue] * texture
    gains = np.exp(rng.normal(0.0, contrast.vertebra_deviation, 512)).astype(np.float32)
    gains[0] = 1.0
    image *= gains[np.minimum(anatomy.instance, 511)]
    fluid = anatomy.tissue == Tissue.CSF
    moving = smooth_noise(rng, shape, spacing, (5.0, 14.0, 5.0))[fluid]
    image[fluid] *= 1.0 - contrast.flow * np.clip(moving, 0.0, 2.0)
    np.maximum(image, 0.0, out=image)
    image = blur(image, contrast.blur_mm / spacing)
    image *= _coil(anatomy, spacing, contrast, rng)
    return image


def _coil(anatomy: Anatomy, spacing: np.ndarray, contrast: Contrast, rng: np.random.Generator) -> np.ndarray:
    """Receive sensitivity and saturation band, broadcastable to the image."""
    shape = anatomy.tissue.shape
    bias = np.exp(contrast.bias * smooth_noise(rng, shape, spacing, (120.0, 120.0, 120.0)))
    body = anatomy.semantic > 0
    behind = np.flatnonzero(body.any(axis=(1, 2)))
    back = float(behind[-1] if len(behind) else shape[0]) * spacing[0]
    away = np.arange(shape[0]) * spacing[0] - back
    fall = np.exp(np.clip(away, -300.0, 30.0) / contrast.coil_mm)
    image = bias * fall[:, None, None].astype(np.float32)
    if contrast.saturation > 0.0 and len(behind):
        front = np.where(body.any(axis=0), body.argmax(axis=0), shape[0]).min(axis=1).astype(float)
        known = front < shape[0]
        front = np.interp(np.arange(shape[1]), np.flatnonzero(known), front[known]) * spacing[0]
        window = np.exp(
            -0.5 * ((np.arange(shape[1])[:, None] - np.arange(shape[1])[None, :]) * spacing[1] / 40) ** 2
        )
        edge = (window / window.sum(1, keepdims=True)) @ front - rng.uniform(6.0, 25.0)
        inside = 1.0 / (1.0 + np.exp(-((np.arange(shape[0])[:, None] * spacing[0]) - edge[None, :]) / 4.0))
        image = image * (1.0 - contrast.saturation * (1.0 - inside))[:, :, None].astype(np.float32)
    return np.asarray(image, np.float32)


def degrade(image: np.ndarray, contrast: Contrast, *, seed: int) -> np.ndarray:
    """Add Rician noise, gain and floor.

    Args:
        image: Noise-free signal, float32 (P, I, R).
        contrast: Imperfections.
        seed: Seed of the noise.

    Returns:
        float32 (P, I, R), not negative.
    """
    rng = np.random.default_rng([seed, 12])
    real = image + contrast.noise * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = contrast.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(contrast.gain * (np.sqrt(real**2 + imaginary**2) + contrast.floor), np.float32)
