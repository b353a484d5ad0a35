"""The image in numbers: grey levels, lost and shuffled slices, mirrored halves, contrast under the masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spineps_rt import labels as L
from spineps_rt.kernels import statistics

COARSE_MM = 3.0
"""In the slice plane every so many mm a voxel is looked at where slices are compared."""
FEWEST_SLICES = 4
"""Of fewer nothing is said about their order."""
NEARER = 0.8
"""A slice counts as nearer than the neighbours if its decorrelation is below this share of theirs."""
ALIKE = 1e-3
"""And lower by at least this."""
ROW_MM = 0.9
"""Rows at least so far apart are looked for mirror images; across the slice plane every :data:`COARSE_MM`."""
MIRROR_MM = (20.0, 60.0)
"""Rows that far on both sides of a plane are compared with each other."""


@dataclass(frozen=True)
class ImageFacts:
    """What an image looks like, and where the masks say there is tissue."""

    levels: int
    """Grey values that differ in the box of the masks; counted up to 4096."""
    spike: float
    """Range of all intensities over that of all but the outermost thousandth at both ends."""
    stray: float
    """Share of slices whose most similar slice is no neighbour; NaN of too few slices."""
    constant_slices: int
    """Slices without signal between ones with signal."""
    blank_mm: float
    """Length of rows without signal that the spine runs into; 0 of none."""
    mirrored: float
    """Highest mean correlation of rows with their mirror images, along the spine."""
    csf_to_body: float
    """Signal of the canal (its brighter quarter) over that of the bodies; NaN where either lacks."""
    disc_to_body: float
    """Signal of discs over that of bodies."""
    contrast: float
    """Difference of bodies and canal over the spread within both."""


def image_facts(
    image: np.ndarray, semantic: np.ndarray, *, spacing: tuple[float, float, float]
) -> ImageFacts:
    """Look at an image.

    Args:
        image: Real (P, I, R).
        semantic: uint8 (P, I, R), structures.
        spacing: mm, (P, I, R).

    Returns:
        The facts.
    """
    box = statistics.nonzero_box(semantic) or tuple(slice(0, n) for n in image.shape)
    steps = tuple(max(int(COARSE_MM / mm), 1) for mm in spacing[:2])
    part = image[box[0], box[1]]
    coarse = np.asarray(part[:: steps[0], :: steps[1]], np.float64)
    whole = np.asarray(image[:: steps[0], :: steps[1]], np.float64)
    tissue = _tissue(image[box], semantic[box])
    return ImageFacts(
        levels=_levels(image[box]),
        spike=_spike(whole, float(image.min()), float(image.max())),
        stray=_stray(coarse),
        constant_slices=_constant_slices(coarse),
        blank_mm=_blank(whole, box[1], steps[1]) * steps[1] * spacing[1],
        mirrored=_mirrored(image, steps[0], spacing[1]),
        csf_to_body=tissue[0],
        disc_to_body=tissue[1],
        contrast=tissue[2],
    )


def shown_box(image: np.ndarray, *, spacing: tuple[float, ...]) -> np.ndarray:
    """Find where an image has signal.

    Args:
        image: Real (P, I, R).
        spacing: mm, (P, I, R).

    Returns:
        int64 (2, 2): first voxel with signal and the one behind the last, along P and along I, up to a margin
        that only makes the box smaller.
    """
    steps = [max(int(COARSE_MM / mm), 1) for mm in spacing[:2]]
    coarse = image[:: steps[0], :: steps[1]]
    signal = coarse > coarse.min()
    ends = []
    for axis, (step, size) in enumerate(zip(steps, image.shape)):
        seen = np.flatnonzero(signal.any(axis=(1 - axis, 2)))
        first, last = (int(seen[0]), int(seen[-1])) if len(seen) else (0, len(signal) - 1)
        ends.append([first * step if first else 0, min((last + 1) * step, size) if last else size])
    return np.array(ends)


def _levels(image: np.ndarray) -> int:
    some = image.reshape(-1)[:: max(image.size // 200_000, 1)]
    return min(len(np.unique(some)), 4096)


def _spike(coarse: np.ndarray, low: float, high: float) -> float:
    ends = np.percentile(coarse, (0.1, 99.9))
    return float((high - low) / max(ends[1] - ends[0], 1e-9))


def _stray(coarse: np.ndarray) -> float:
    """Share of slices that look most like one that is not beside them."""
    slices = coarse.reshape(-1, coarse.shape[2]).T
    slices = slices[slices.std(axis=1) > 0]
    n = len(slices)
    if n < FEWEST_SLICES:
        return float("nan")
    alike = np.corrcoef(slices)
    beside = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    near = np.where(beside == 1, alike, -1).max(axis=1)
    far = np.where(beside > 1, alike, -1).max(axis=1)
    return float(np.mean(1 - far < NEARER * (1 - near) - ALIKE))


def _constant_slices(coarse: np.ndarray) -> int:
    shown = np.flatnonzero(coarse.reshape(-1, coarse.shape[2]).std(axis=0) > 0)
    return int(shown[-1] - shown[0] + 1 - len(shown)) if len(shown) else coarse.shape[2]


def _blank(coarse: np.ndarray, rows: slice, step: int) -> int:
    """Rows without signal that begin where the masks end, in coarse rows."""
    silent = coarse.std(axis=(0, 2)) == 0
    longest = 0
    for edge, direction in ((rows.start // step - 2, -1), (rows.stop // step + 2, 1)):
        # the outermost row of a mask may lie a little off the border of the signal
        for first in (edge - direction * k for k in range(4)):
            count, at = 0, first
            while 0 <= at < len(silent) and silent[at]:
                count, at = count + 1, at + direction
            longest = max(longest, count)
    return longest


def _mirrored(image: np.ndarray, columns: int, mm: float) -> float:
    """Find the plane across the spine about which rows are most alike."""
    skip = max(int(ROW_MM / mm), 1)
    step = skip * mm
    coarse = np.asarray(image[:: 4 * columns, ::skip], np.float32)
    rows = coarse.transpose(1, 0, 2).reshape(coarse.shape[1], -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    size = np.linalg.norm(rows, axis=1)
    rows = rows / np.where(size > 0, size, 1)[:, None]
    alike = rows @ rows.T
    near, far = (round(mm / step) for mm in MIRROR_MM)
    best = 0.0
    for plane in range(far, len(rows) - far):
        for gap in (0, 1):  # the plane may lie on a row or between two
            up = plane - np.arange(near, far)
            down = plane + gap + np.arange(near, far)
            if down[-1] < len(rows):
                best = max(best, float(alike[up, down].mean()))
    return best


def _tissue(image: np.ndarray, semantic: np.ndarray) -> tuple[float, float, float]:
    """CSF over body, disc over body, and how far body and canal are apart."""
    canal, body, disc = (image[semantic == label] for label in (L.CANAL, L.CORPUS, L.DISC))
    if not canal.size or not body.size:
        return (float("nan"),) * 3
    low = float(np.percentile(image, 0.5))
    marrow, fluid = float(np.median(body)) - low, float(np.percentile(canal, 75)) - low
    soft = float(np.median(disc)) - low if disc.size else float("nan")
    spread = float(np.hypot(body.std(), canal.std()))
    scale = max(marrow, 1e-9)
    return fluid / scale, soft / scale, (fluid - marrow) / max(spread, 1e-9)
