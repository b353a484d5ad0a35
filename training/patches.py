"""Random patches: one gather does crop, rotation, scale, flip and the change of spacing.

Volumes are (P, I, R); patches come in network order (R, I, P), z-scored over the volume as the runtime
does, zero where the volume ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from training.spider import ALLOWED, IGNORED

_FOREGROUND = ~ALLOWED[:, 0]
_FOREGROUND[IGNORED] = False


class Source(NamedTuple):
    """A volume to sample from."""

    image: np.ndarray
    """float32 (P, I, R)."""
    codes: np.ndarray
    """uint8 (P, I, R); 0 = ignored."""
    spacing: tuple[float, float, float]
    """mm along P, I, R."""


def thick_slices(source: Source, rng: np.random.Generator) -> Source:
    """Average neighbouring slices of the image, as a protocol with 3 to 5 mm slices does.

    The codes stay fine: the network learns where structures end between thick slices.
    """
    factor = round(rng.uniform(2.6, 5.2) / source.spacing[2])
    slices = source.image.shape[2] // max(factor, 1)
    if factor < 2 or slices < 3:
        return source
    first = rng.integers(0, source.image.shape[2] - slices * factor + 1)
    fine = source.image[:, :, first : first + slices * factor]
    thick = fine.reshape(*fine.shape[:2], slices, factor).mean(3)
    codes = source.codes[:, :, first : first + slices * factor]
    return Source(thick, codes, source.spacing)


def draw(
    source: Source, shape: tuple[int, int, int], spacing: tuple[float, float, float], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut one randomly placed, rotated and scaled patch.

    Args:
        source: The volume; ``image`` may have fewer, thicker slices than ``codes``.
        shape: Patch in network order (R, I, P).
        spacing: Spacing of the patch in mm along P, I, R.
        rng: Source of randomness.

    Returns:
        ``(image float32 (R, I, P), codes uint8 (R, I, P))``.
    """
    image = source.image
    values = image[image != 0] if (image != 0).any() else image
    mean, std = float(values.mean()), float(values.std()) + 1e-6
    extent = np.array(source.codes.shape) * source.spacing
    theta = _affine(source, extent, np.array(shape[::-1]) * spacing, rng)
    grid = F.affine_grid(theta[None], [1, 1, *shape], align_corners=False)
    # grid_sample wants its last coordinate along the volume's last axis: volumes go in as (R, I, P) views
    volume = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 1, 0)))[None, None]
    codes = torch.from_numpy(np.ascontiguousarray(source.codes.transpose(2, 1, 0)))[None, None]
    patch = F.grid_sample((volume - mean) / std, grid, padding_mode="zeros", align_corners=False)[0, 0]
    target = F.grid_sample(codes.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)[
        0, 0
    ]
    return patch, target.to(torch.uint8)


def _affine(source: Source, extent: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Normalised patch coordinates -> normalised volume coordinates, both ordered P, I, R."""
    angle = np.deg2rad(rng.normal(0, 9))
    tilt = np.deg2rad(rng.normal(0, 3, 2))
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, tilt[0]], [0, 1, tilt[1]], [-tilt[0], -tilt[1], 1]])
    scale = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.04, 3))
    flip = np.array([1.0, 1.0, rng.choice([-1.0, 1.0]) if not _sided(source) else 1.0])
    matrix = turn @ np.diag(flip * size * scale) / extent[:, None]
    shift = _centre(source, size * scale, rng)
    return torch.tensor(np.concatenate([matrix, shift[:, None]], 1), dtype=torch.float32)


def _sided(source: Source) -> bool:
    """Whether the codes know left from right (exact classes do, expert labels do not)."""
    return bool(source.codes.max() >= 16)


def _centre(source: Source, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normalised centre of the patch: mostly around a foreground voxel, never wholly outside."""
    shape = np.array(source.codes.shape)
    if rng.random() < 0.7:
        for _ in range(200):
            voxel = rng.integers(0, shape)
            if _FOREGROUND[source.codes[tuple(voxel)]]:
                break
        voxel = voxel + rng.normal(0, 0.15, 3) * size / source.spacing
    else:
        voxel = rng.uniform(0, shape)
    half = size / source.spacing / 2
    if rng.random() < 0.7:  # keep the patch inside where it fits
        voxel = np.where(shape > 2 * half, np.clip(voxel, half, shape - half), voxel)
    if rng.random() < 0.8:
        voxel[2] = shape[2] / 2 if shape[2] <= 2 * half[2] else voxel[2]
    return 2 * (voxel + 0.5) / shape - 1


def disturb(patch: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Change what a scanner could have changed: gain, bias, contrast, sharpness, noise.

    Args:
        patch: float32 (R, I, P), z-scored.
        rng: Source of randomness.

    Returns:
        A new patch; exact zeros (outside the volume) stay zero.
    """
    outside = patch == 0
    low, high = patch.amin(), patch.amax()
    unit = (patch - low) / (high - low + 1e-6)
    if rng.random() < 0.5:
        unit = unit ** float(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.15:
        unit = _remap(unit, rng)
    if rng.random() < 0.06:
        unit = 1 - unit
    patch = unit * (high - low) + low
    if rng.random() < 0.6:
        patch = (patch - low) * _bias(patch.shape, rng) + low
    if rng.random() < 0.25:
        patch = _blur(patch, float(rng.uniform(0.4, 1.1)))
    if rng.random() < 0.5:
        sigma = float(rng.uniform(0, 0.12)) * float(patch.std())
        noise = torch.from_numpy(rng.standard_normal(tuple(patch.shape), np.float32))
        patch = patch + sigma * noise
    patch = patch * float(np.exp(rng.normal(0, 0.15))) + float(rng.normal(0, 0.15))
    return patch.masked_fill(outside, 0)


def _remap(unit: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A random piecewise linear curve through five knots."""
    knots = torch.tensor(np.clip(np.linspace(0, 1, 5) + rng.normal(0, 0.2, 5), 0, 1), dtype=torch.float32)
    position = unit.clamp(0, 1) * 4
    left = position.floor().clamp(max=3).long()
    return torch.lerp(knots[left], knots[left + 1], position - left)


def _bias(shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    """A smooth positive field, as a surface coil leaves it."""
    coarse = torch.from_numpy(rng.normal(0, 0.3, (1, 1, 3, 4, 4)).astype(np.float32))
    field = F.interpolate(coarse, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]
    return field.exp()


def _blur(patch: torch.Tensor, sigma: float) -> torch.Tensor:
    """In-plane Gaussian blur."""
    x = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    stack = patch[:, None]
    stack = F.conv2d(F.pad(stack, (0, 0, 3, 3), mode="replicate"), kernel[None, None, :, None])
    return F.conv2d(F.pad(stack, (3, 3, 0, 0), mode="replicate"), kernel[None, None, None, :])[:, 0]
