"""Random stacks of slices for the second generation: one gather a scan, then what scanners do to slices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from training.network import neighbours
from training.samples import Gallery, Sample, mirrored_codes

SPACING = 0.9375
"""In plane, mm."""
ACROSS = (1.8, 5.5)
"""Spacing of the slices of a volume, mm."""
SHAPES = ((192, 128), (256, 192), (384, 256))
"""Rows and columns of a step's stack."""
SHAPE_ODDS = (0.6, 0.25, 0.15)
MOST_SLICES = 8
"""Of one volume in a stack."""
_SWAP = torch.from_numpy(mirrored_codes())


class Stack(NamedTuple):
    """What one step trains on."""

    image: torch.Tensor
    """float32 (slices, 1, rows, columns)."""
    codes: torch.Tensor
    """uint8 (slices, rows, columns)."""
    around: torch.Tensor
    """int64 (2, slices), of :func:`training.network.neighbours`."""


def draw(gallery: Gallery, voxels: int, odds: dict[str, float], rng: np.random.Generator) -> Stack:
    """Fill a stack with slabs of volumes and with single slices.

    Args:
        gallery: The samples.
        voxels: Size of the stack.
        odds: How often a slice of the stack is of which kind.
        rng: Source of randomness.
    """
    rows, columns = SHAPES[rng.choice(len(SHAPES), p=SHAPE_ODDS)]
    left = max(3, round(voxels / (rows * columns)))
    kinds = [kind for kind in odds if gallery.count(kind)]
    weights = np.array([odds[kind] / (1.0 if kind == "slice" else 4.0) for kind in kinds])
    images, codes, sizes = [], [], []
    while left > 0:
        kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
        most = 1 if kind == "slice" else min(left, int(rng.integers(3, MOST_SLICES + 1)))
        image, code = _slab(gallery.pick(kind, rng), (most, rows, columns), rng)
        image, code = _spoil(disturb(image, rng), code, rng)
        images.append(image)
        codes.append(code)
        sizes.append(len(image))
        left -= len(image)
    around = neighbours(sizes).to(images[0].device)
    return Stack(torch.cat(images)[:, None], torch.cat(codes), around)


def _slab(
    sample: Sample, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut randomly placed, turned and scaled slices: float32 and uint8 (slices, rows, columns)."""
    extent = np.array(sample.image.shape) * sample.spacing
    across = float(np.clip(rng.uniform(*ACROSS), sample.spacing[0], None))
    slices = int(np.clip(extent[0] / across, 1, shape[0]))
    thick = max(1, round(across / sample.spacing[0])) if slices > 1 else 1
    size = np.array([across * slices, *(np.array(shape[1:]) * SPACING)])
    theta = _affine(sample, size, rng)
    offset = np.array([1.0, 1.0, 1.0])
    if rng.random() < 0.5:  # left and right change places
        offset[0] = -1
    axes = [torch.linspace(-1 + 1 / n, 1 - 1 / n, n) for n in (slices * thick, *shape[1:])]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).to(sample.image.device)
    matrix = torch.tensor(theta[:, :3] * offset[None], dtype=torch.float32, device=grid.device)
    place = grid @ matrix.T + torch.tensor(theta[:, 3], dtype=torch.float32, device=grid.device)
    fine = F.grid_sample(sample.image[None, None], place.flip(-1)[None], align_corners=False)[0, 0]
    image = fine.unflatten(0, (slices, thick)).mean(1)
    code = _nearest(sample.codes, place[thick // 2 :: thick])
    if offset[0] < 0:
        code = _SWAP.to(code.device)[code.long()]
    return image, code


def _nearest(codes: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Code at each place (normalised R, I, P); 0 outside."""
    shape = torch.tensor(codes.shape, device=place.device)
    index = ((place + 1) / 2 * shape).floor().long()
    inside = ((index >= 0) & (index < shape)).all(-1)
    r, i, p = torch.minimum(index.clamp(min=0), shape - 1).unbind(-1)
    return codes[r, i, p] * inside


def _affine(sample: Sample, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normalised stack coordinates to normalised volume coordinates, (3, 4), both ordered R, I, P."""
    angle = np.deg2rad(rng.normal(0, 10) if rng.random() < 0.8 else rng.uniform(-25, 25))
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    if sample.image.shape[0] > 1:
        tilt = np.deg2rad(rng.normal(0, 2.5, 2))
        turn = turn @ np.array([[1, tilt[0], tilt[1]], [-tilt[0], 1, 0], [-tilt[1], 0, 1]])
    scale = np.exp(rng.normal(0, 0.14)) * np.exp(rng.normal(0, 0.05, 3))
    scale[0] = 1.0
    extent = np.array(sample.image.shape) * sample.spacing
    matrix = turn @ np.diag(size * scale) / extent[:, None]
    return np.concatenate([matrix, _centre(sample, size * scale, rng)[:, None]], 1)


def _centre(sample: Sample, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normalised centre of a stack: mostly near a structure, mostly inside, now and then over the border."""
    shape = np.array(sample.image.shape)
    half = size / sample.spacing / 2
    if rng.random() < 0.85:
        voxel = sample.inside[rng.integers(len(sample.inside))] + rng.normal(0, 0.2, 3) * 2 * half
    else:
        voxel = rng.uniform(0, shape)
    kept = np.where(shape > 2 * half, np.clip(voxel, half, shape - half), shape / 2)
    if rng.random() < 0.7:
        voxel = kept
    voxel[0] = kept[0]
    return 2 * voxel / shape - 1


def disturb(stack: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Change what a scanner could have changed: gain, contrast, bias, sharpness, noise.

    Args:
        stack: float32 (slices, rows, columns), z-scored, 0 outside the scan.
        rng: Source of randomness.

    Returns:
        A new stack; exact zeros stay zero.
    """
    outside = stack == 0
    low, high = float(stack.amin()), float(stack.amax()) + 1e-6
    unit = (stack - low) / (high - low)
    if rng.random() < 0.5:
        unit = unit ** float(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.12:
        unit = _curve(unit, rng)
    if rng.random() < 0.05:
        unit = 1 - unit
    if rng.random() < 0.6:
        unit = unit * _bias(stack, rng)
    if rng.random() < 0.3:
        unit = _soften(unit, rng)
    if rng.random() < 0.5:
        noise = torch.randn(stack.shape, device=stack.device)
        unit = unit + float(rng.uniform(0, 0.05)) * noise
    stack = unit * (high - low) + low
    mean, deviation = (
        (float(v) for v in (stack[~outside].mean(), stack[~outside].std()))
        if (~outside).any()
        else (0.0, 1.0)
    )
    gain = float(np.exp(rng.normal(0, 0.15))) / (deviation + 1e-3)
    blend = float(rng.uniform(0, 1))  # between the contrast of this crop and that of its scan
    stack = torch.lerp(stack, (stack - mean) * gain + float(rng.normal(0, 0.2)), blend)
    return stack.masked_fill(outside, 0)


def _curve(unit: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A random piecewise linear curve through five knots."""
    knots = np.clip(np.linspace(0, 1, 5) + rng.normal(0, 0.22, 5), 0, 1)
    table = torch.tensor(knots, dtype=torch.float32, device=unit.device)
    position = unit.clamp(0, 1) * 4
    left = position.floor().clamp(max=3).long()
    return torch.lerp(table[left], table[left + 1], position - left)


def _bias(stack: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A smooth positive field over rows and columns, as a surface coil leaves it."""
    coarse = torch.tensor(rng.normal(0, 0.35, (1, 1, 4, 4)), dtype=torch.float32, device=stack.device)
    return F.interpolate(coarse, size=stack.shape[1:], mode="bilinear", align_corners=True)[0].exp()


def _soften(stack: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Coarser rows or columns, interpolated back."""
    rows, columns = (max(8, round(n * float(rng.uniform(0.5, 1)))) for n in stack.shape[1:])
    small = F.interpolate(stack[:, None], size=(rows, columns), mode="bilinear", antialias=False)
    return F.interpolate(small, size=stack.shape[1:], mode="bilinear")[:, 0]


def _spoil(
    image: torch.Tensor, codes: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut margins off, lose a slice, add slabs of zeros before and behind."""
    if rng.random() < 0.2:
        image, codes = image.clone(), codes.clone()
        axis, share = int(rng.integers(1, 3)), float(rng.uniform(0.05, 0.4))
        cut = int(image.shape[axis] * share)
        gone = [slice(None)] * 3
        gone[axis] = slice(0, cut) if rng.random() < 0.5 else slice(image.shape[axis] - cut, None)
        image[tuple(gone)] = 0
        codes[tuple(gone)] = 0
    if len(image) > 3 and rng.random() < 0.05:
        lost = int(rng.integers(1, len(image) - 1))
        image, codes = image.clone(), codes.clone()
        image[lost] = 0
        codes[lost] = 0
    if rng.random() < 0.25:
        before, behind = (int(n) for n in rng.integers(0, 3, 2))
        image = F.pad(image, (0, 0, 0, 0, before, behind))
        codes = F.pad(codes, (0, 0, 0, 0, before, behind))
    return image, codes
