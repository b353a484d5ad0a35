"""Cut a window around every vertebral body, ask the instance network, keep its answers where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels import components, statistics
from spineps_rt.kernels.boxes import Box, overlap

ClassifyWindows = Callable[[np.ndarray, np.ndarray, np.ndarray], Iterable[np.ndarray]]
"""The instance network: semantic mask uint8 (P, I, R), network label of each of its labels uint8 (256,),
first voxels of windows int64 (N, 3; may be negative, beyond the mask there are zeros) -> classes of one
window after the other, uint8 of the cutout's size: 0 none, 1 above, 2 centre, 3 below."""
CLASSES = 3
STEP_DOWN = 5
"""Voxels by which a centre that lies beside the spine moves down until it meets a structure."""


class Window(NamedTuple):
    """Where a cutout lies: ``volume[inside]`` goes to ``cutout[place]``; the rest of it is padding."""

    inside: Box
    place: Box
    centre: tuple[int, ...]


class Prediction(NamedTuple):
    """One class of one cutout's answer: a tight mask and its place in the volume."""

    box: Box
    mask: np.ndarray
    size: int


Predictions = dict[tuple[int, int], Prediction]
"""(index of the centre, class - 1) -> prediction; classes that a cutout does not show are missing."""


def place_window(labels: np.ndarray, centre: np.ndarray, size: tuple[int, ...]) -> tuple[Window, bool]:
    """Centre a window of fixed size on a body (SPINEPS 2.1.3 ``collect_vertebra_predictions``).

    Args:
        labels: Network labels, (P, I, R), uint8.
        centre: Centre of the body in voxels, float64 (3,).
        size: Voxels of the window, even.

    Returns:
        The window, and whether a structure was met: a curved body's centre may lie outside it, so it moves
        down until it hits something.
    """
    p, row, r = int(centre[0]), float(centre[1]), int(centre[2])
    while row < labels.shape[1] and labels[p, int(row), r] == 0:
        row += STEP_DOWN
    met = row < labels.shape[1]
    middle = (p, int(row if met else centre[1]), r)
    first = [position - side // 2 for position, side in zip(middle, size)]
    return Window(*overlap(first, size, labels.shape), middle), met


def first_voxels(windows: list[Window], size: tuple[int, ...]) -> np.ndarray:
    """First voxel of every window in the volume, int64 (N, 3); negative where padding comes before it."""
    return np.array([window.centre for window in windows], np.int64).reshape(-1, 3) - np.array(size) // 2


def collect(
    windows: list[Window], answers: Iterable[np.ndarray], *, size: tuple[int, ...], largest: int
) -> tuple[Predictions, list[int]]:
    """Keep what the network says to every window, one after the other, so that memory does not grow.

    Args:
        windows: The windows, in order.
        answers: What the network says to each, as :data:`ClassifyWindows` returns it.
        size: Voxels of a window.
        largest: Keep that many components of each class of a cutout; 0 keeps all.

    Returns:
        The predictions, and the windows whose centre voxel got no class.

    Raises:
        ContractError: An answer is not of the shape, type or classes that were agreed, or one is missing.
    """
    predictions: Predictions = {}
    blank, count = [], 0
    for index, answer in enumerate(answers):
        _check_answer(answer, size)
        count += 1
        if count > len(windows):
            break
        window = windows[index]
        classes = components.keep_largest(answer, largest) if largest > 0 else answer
        classes = np.ascontiguousarray(classes[window.place])
        if classes[tuple(c - side.start for c, side in zip(window.centre, window.inside))] == 0:
            blank.append(index)
        regions = statistics.region_statistics(classes, CLASSES)
        for value in regions.present:
            box = regions.box(value)
            moved = tuple(slice(b.start + w.start, b.stop + w.start) for b, w in zip(box, window.inside))
            mask = classes[box] == value
            predictions[index, value - 1] = Prediction(moved, mask, int(regions.sizes[value]))
    if count != len(windows):
        raise ContractError(f"The instance network answered {count} windows; expected {len(windows)}.")
    return predictions, blank


def _check_answer(answer: np.ndarray, size: tuple[int, ...]) -> None:
    if answer.shape != size or answer.dtype != np.uint8 or answer.max(initial=0) > CLASSES:
        raise ContractError(
            f"The instance network answered {answer.dtype} {answer.shape} with values up to"
            f" {answer.max(initial=0)}; expected uint8 {size} with values up to {CLASSES}."
        )
