"""Boxes: one slice an axis, of voxels that belong together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

Box = tuple[slice, ...]


def meet(a: Box, b: Box) -> Box | None:
    """Intersect two boxes; None where they are apart."""
    common = tuple(slice(max(x.start, y.start), min(x.stop, y.stop)) for x, y in zip(a, b))
    return common if all(side.start < side.stop for side in common) else None


def hull(boxes: Iterable[Box]) -> Box:
    """Smallest box around boxes."""
    return tuple(slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes))


def within(outer: Box, box: Box) -> Box:
    """Express a box in the coordinates of another that holds it."""
    return tuple(slice(b.start - o.start, b.stop - o.start) for o, b in zip(outer, box))


def overlap(first: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> tuple[Box, Box]:
    """Find what a window and an array share.

    Args:
        first: The window's first voxel in the array; it may hang over on either side.
        size: The window's shape.
        shape: The array's.

    Returns:
        The shared box in the array, and the same in the window.
    """
    inside = tuple(slice(max(a, 0), min(a + n, end)) for a, n, end in zip(first, size, shape))
    return inside, tuple(slice(side.start - a, side.stop - a) for side, a in zip(inside, first))


def cut_windows(labels: np.ndarray, table: np.ndarray, starts: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Cut windows out of a label map and rename their labels.

    Args:
        labels: uint8 (n0, n1, n2).
        table: uint8 (256,): label -> new label.
        starts: Integers (N, 3): the windows' first voxels; may be negative.
        size: A window's shape.

    Returns:
        uint8 (N, *size); zeros beyond the map.
    """
    windows = np.zeros((len(starts), *size), np.uint8)
    for window, start in zip(windows, starts):
        source, target = overlap(start, size, labels.shape)
        window[target] = table[labels[source]]
    return windows
