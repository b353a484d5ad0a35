"""Cutouts of label maps, spoiled the way a first network spoils them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from spineps_rt import labels as L
from training.folders import CUTOUT
from training.plans import SPACING

MAPPING = np.zeros(256, np.uint8)
MAPPING[L.ARCUS : L.CORPUS + 1] = np.arange(1, 10)
MAPPING[[L.CORPUS_INNER, L.DENS]] = 9
"""Semantic label -> network label; SPINEPS 2.1.3 ``DEFAULT_LABEL_MAPPING``."""


def neighbours(present: np.ndarray) -> dict[int, tuple[int, int]]:
    """Instance id -> (id above, id below), 0 where there is none."""
    order = [v for v in L.LEVEL_ORDER if v in present and v != L.SACRUM_INSTANCE]
    padded = [0, *order, 0]
    return {v: (padded[i], padded[i + 2]) for i, v in enumerate(order)}


def draw(
    semantic: np.ndarray, instance: np.ndarray, spacing: tuple[float, float, float], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut one vertebra and its neighbours out of a label map.

    Args:
        semantic: uint8 (P, I, R), semantic labels.
        instance: (P, I, R), vertebra ids; discs and endplates (ids over 100) are ignored.
        spacing: mm along P, I, R.
        rng: Source of randomness.

    Returns:
        ``(labels uint8 (P, I, R) 0..9, classes uint8 (P, I, R) 0..3)`` of :data:`CUTOUT` voxels.
    """
    corpus = np.where(semantic == L.CORPUS, instance, 0)
    present = np.flatnonzero(np.bincount(corpus.ravel(), minlength=101)[1:101] > 60) + 1
    chain = neighbours(present)
    centre = int(rng.choice(list(chain)))
    where = np.argwhere(corpus == centre).mean(0) + rng.normal(0, 1, 3) * (5, 4, 2)
    above, below = chain[centre]
    role = np.zeros(max(int(instance.max()), 30) + 1, np.uint8)
    role[[above, centre, below]] = (1, 2, 3)
    role[0] = 0
    stacked = np.stack([MAPPING[semantic], role[instance]]).astype(np.float32)
    cut = _gather(stacked, where, np.array(spacing), rng)
    labels, classes = cut[0].to(torch.uint8), cut[1].to(torch.uint8)
    if rng.random() < 0.5:
        labels, classes = _mirror(labels, classes)
    labels = spoil(labels, rng)
    classes = classes.masked_fill(labels == 0, 0)
    return labels, classes


def _gather(
    stacked: np.ndarray, where: np.ndarray, spacing: np.ndarray, rng: np.random.Generator
) -> torch.Tensor:
    shape = np.array(stacked.shape[1:])
    angle = np.deg2rad(rng.normal(0, 8))
    c, s = np.cos(angle), np.sin(angle)
    scale = np.exp(rng.normal(0, 0.1)) * np.exp(rng.normal(0, 0.05, 3))
    size = np.array(CUTOUT) * SPACING * scale
    matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * size / (shape * spacing)[:, None]
    shift = 2 * (where + 0.5) / shape - 1
    # grid_sample orders coordinates last axis first
    theta = np.concatenate([matrix[::-1, ::-1], shift[::-1, None]], 1)
    grid = F.affine_grid(torch.tensor(theta[None], dtype=torch.float32), [1, 1, *CUTOUT], align_corners=False)
    return F.grid_sample(torch.from_numpy(stacked)[None], grid, mode="nearest", align_corners=False)[0]


def _mirror(labels: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Left becomes right, and the paired labels change places."""
    swap = torch.tensor([0, 1, 2, 4, 3, 6, 5, 8, 7, 9], dtype=torch.uint8)
    return swap[labels.flip(2).long()], classes.flip(2)


def spoil(labels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Damage a cutout: lost slices, holes, ragged rims, wrong and missing structures, bridged discs.

    Args:
        labels: uint8 (P, I, R), network labels 0..9.
        rng: Source of randomness.

    Returns:
        A damaged copy.
    """
    labels = labels.clone()
    depth = labels.shape[2]
    if rng.random() < 0.35:  # a narrow slab of slices
        keep = int(rng.integers(7, depth))
        first = int(rng.integers(0, depth - keep + 1)) if rng.random() < 0.5 else (depth - keep) // 2
        labels[:, :, :first] = 0
        labels[:, :, first + keep :] = 0
    if rng.random() < 0.25:  # the field of view ends above or below
        edge = int(rng.integers(8, 48))
        labels[:, :edge] = 0 if rng.random() < 0.5 else labels[:, :edge]
        labels[:, -edge:] = 0 if rng.random() < 0.5 else labels[:, -edge:]
    for chance, amount in ((0.5, 1.6), (0.4, 1.2)):  # regions where the first network says something else
        if rng.random() < chance:
            region = _blobs(labels.shape, rng) > amount
            labels[region & (labels > 0)] = int(rng.integers(1, 10)) if rng.random() < 0.5 else 0
    if rng.random() < 0.3:  # a structure that was not found at all
        labels[labels == int(rng.integers(1, 9))] = 0
    if rng.random() < 0.35:  # bodies grown together, rims too wide
        labels = _grow(labels, int(rng.integers(1, 5)), _blobs(labels.shape, rng) > 0.6)
    if rng.random() < 0.5:  # ragged surface
        noise = torch.from_numpy(rng.random(tuple(labels.shape), np.float32))
        labels[noise < rng.uniform(0, 0.06)] = 0
    return labels


def _blobs(shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    """Smooth standard noise."""
    coarse = [max(2, s // int(rng.integers(6, 24))) for s in shape]
    field = torch.from_numpy(rng.standard_normal((1, 1, *coarse)).astype(np.float32))
    return F.interpolate(field, size=tuple(shape), mode="trilinear", align_corners=False)[0, 0]


def _grow(labels: torch.Tensor, times: int, where: torch.Tensor) -> torch.Tensor:
    """Grow every label along I into background inside ``where``."""
    for _ in range(times):
        for step in (1, -1):
            moved = torch.roll(labels, step, 1)
            labels = torch.where((labels == 0) & where, moved, labels)
    return labels
