"""Cuts that follow the spine: each row of the picture is sampled at the spine's own centre in that row.

A flat cut through a scoliotic spine leaves it after a few levels; these follow it. Arrays are in (P, I, R)
axis order; a cut's rows run from head to foot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spineps_rt.kernels.statistics import region_statistics
from spineps_rt.labels import CORPUS, CORPUS_INNER, DISC_OFFSET, SACRUM_INSTANCE, VERTEBRAE

_SMOOTHING_MM = 20.0


@dataclass(frozen=True)
class Cut:
    """One cut through image and masks; rows run from head to foot."""

    image: np.ndarray
    """float32 (rows, columns)."""
    semantic: np.ndarray
    """uint8 (rows, columns)."""
    instances: np.ndarray
    """uint16 (rows, columns)."""
    spacing: tuple[float, float]
    """Millimetres per row and per column."""
    corner: tuple[int, int] = (0, 0)
    """First row and column that are left of the whole cut."""


@dataclass(frozen=True)
class Centreline:
    """Where the spine's centre lies, and where its vertebrae are."""

    posterior: np.ndarray
    """float64 (I,): position along axis 0 for each row."""
    right: np.ndarray
    """float64 (I,): position along axis 2 for each row."""
    vertebrae: dict[int, tuple[float, ...]]
    """Instance id -> centre of its body in voxels (P, I, R); of all its voxels where it has no body."""


def _centres(labels: np.ndarray) -> dict[int, tuple[float, ...]]:
    found = region_statistics(labels)
    return {v: tuple(found.centroids[v].tolist()) for v in found.present}


def find_centreline(semantic: np.ndarray, instances: np.ndarray, *, spacing: float) -> Centreline:
    """Follow the centres of bodies, discs and sacrum from head to foot.

    Args:
        semantic: uint8 (P, I, R), final semantic mask.
        instances: uint16 (P, I, R), final instance mask.
        spacing: Millimetres per row (axis 1).

    Returns:
        The centreline; the middle of the grid where the masks hold nothing.
    """
    body = (semantic == CORPUS) | (semantic == CORPUS_INNER)
    centres, bodies = _centres(instances), _centres(np.where(body, instances, 0))
    vertebrae = {v: bodies.get(v, c) for v, c in centres.items() if v in VERTEBRAE}
    nodes = [c for v, c in vertebrae.items() if v in bodies or v == SACRUM_INSTANCE]
    nodes += [c for v, c in centres.items() if v - DISC_OFFSET in VERTEBRAE]
    nodes = sorted(
        nodes or list(vertebrae.values()) or [tuple(n / 2 for n in semantic.shape)], key=lambda c: c[1]
    )
    rows = np.arange(semantic.shape[1])
    path = np.array(nodes)
    width = max(1, round(_SMOOTHING_MM / spacing / 2)) * 2 + 1
    posterior, right = (_smooth(np.interp(rows, path[:, 1], path[:, axis]), width) for axis in (0, 2))
    return Centreline(posterior, right, vertebrae)


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    window = np.hanning(width + 2)[1:-1]
    return np.convolve(np.pad(values, width // 2, mode="edge"), window / window.sum(), mode="valid")


def cut_along(
    volumes: tuple[np.ndarray, ...],
    centres: np.ndarray,
    *,
    axis: int,
    spacing: tuple[float, ...],
) -> Cut:
    """Sample image and masks at ``centres[i]`` along ``axis`` for every row ``i``.

    Args:
        volumes: Image float32, semantic uint8 and instances uint16, each (P, I, R).
        centres: float64 (I,), positions along ``axis`` in voxels.
        axis: 2 for a sagittal cut (columns A to P), 0 for a coronal one (R to L, as radiologists look).
        spacing: Millimetres along P, I and R.

    Returns:
        The cut; the image interpolated linearly, labels taken from the nearest voxel.
    """
    stacks = [np.moveaxis(volume, (1, axis), (0, 1)) for volume in volumes]  # rows, axis, columns
    rows = np.arange(len(centres))
    last = stacks[0].shape[1] - 1
    position = np.clip(centres, 0, last)
    low = np.minimum(position.astype(np.intp), max(last - 1, 0))
    weight = (position - low)[:, None].astype(np.float32)
    image = stacks[0][rows, low] * (1 - weight) + stacks[0][rows, np.minimum(low + 1, last)] * weight
    nearest = np.rint(position).astype(np.intp)
    step = -1 if axis == 0 else 1
    column_mm = spacing[2] if axis == 0 else spacing[0]
    semantic, instances = (stack[rows, nearest][:, ::step] for stack in stacks[1:])
    return Cut(image[:, ::step].astype(np.float32), semantic, instances, (spacing[1], column_mm))
