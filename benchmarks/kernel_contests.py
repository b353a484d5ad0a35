"""What is timed by ``benchmarks.kernels``: each kernel, its rivals, and when two answers count as equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cc3d
import fastremap
import fill_voids
import numpy as np
import skimage.measure
import skimage.morphology
from scipy import ndimage
from TPTBox.core import np_utils as tptbox

from spineps_rt.kernels import components, contacts, holes, morphology, relabel, resample, statistics

DUST = 50
"""Components of fewer voxels are removed."""
FULL = np.ones((3, 3, 3), bool)
NEIGHBOURS = {1: 6, 2: 18, 3: 26}
LEVELS = {6: 1, 18: 2, 26: 3}
ZOOM = (0.85, 1.2, 0.5)
"""Output voxel in input voxels."""


@dataclass(frozen=True)
class Contest:
    """One job for several runners."""

    job: str
    ours: Callable[[], Any]
    rivals: dict[str, Callable[[], Any]]
    same: Callable[[Any, Any], bool] = field(default=lambda a, b: bool(np.array_equal(a, b)))
    """Called with our answer and a rival's."""


def label_map_contests(labels: np.ndarray) -> list[Contest]:
    """Jobs on a label map (3-D, uint8 or uint16, C order)."""
    mask = labels != 0
    return [
        *_components(labels),
        *_measures(labels),
        *_selections(labels),
        *_shapes(labels),
        *_masks(mask),
        *_grids(labels),
    ]


def _components(labels: np.ndarray) -> list[Contest]:
    def each_label(connectivity: int) -> Contest:
        return Contest(
            f"components, {connectivity} neighbours",
            lambda: components.label(labels, connectivity=connectivity)[0],
            {
                "cc3d": lambda: cc3d.connected_components(labels, connectivity=connectivity),
                "scikit-image": lambda: skimage.measure.label(labels, connectivity=LEVELS[connectivity]),
            },
        )

    merged = Contest(
        "components of the merged labels, 26",
        lambda: components.label(labels, merged=True)[0],
        {
            "cc3d": lambda: cc3d.connected_components(labels != 0, binary_image=True),
            "scipy": lambda: ndimage.label(labels, FULL)[0],
        },
    )
    return [*(each_label(n) for n in (6, 18, 26)), merged]


def _measures(labels: np.ndarray) -> list[Contest]:
    present = [int(v) for v in np.unique(labels) if v]
    same = lambda a, b: all(  # noqa: E731
        np.allclose(x, y, rtol=1e-6, equal_nan=True) for x, y in zip(a, b)
    )

    def ours() -> Any:
        found = statistics.region_statistics(labels)
        return found.sizes[present], found.centroids[present], found.boxes[present]

    def with_cc3d() -> Any:
        found = cc3d.statistics(labels)
        boxes = np.array([[(s.start, s.stop) for s in found["bounding_boxes"][v]] for v in present])
        return found["voxel_counts"][present], found["centroids"][present], boxes

    def with_scipy() -> Any:
        boxes = ndimage.find_objects(labels)
        return (
            np.bincount(labels.ravel())[present],
            np.array(ndimage.center_of_mass(labels != 0, labels, present)),
            np.array([[(s.start, s.stop) for s in boxes[v - 1]] for v in present]),
        )

    return [
        Contest("sizes, boxes and centroids", ours, {"cc3d": with_cc3d, "scipy": with_scipy}, same),
        Contest(
            "contacts, 26",
            lambda: contacts.contacts(labels),
            {"cc3d": lambda: cc3d.contacts(labels), "TPTBox": lambda: tptbox.np_contacts(labels, 3)},
            lambda a, b: a == {tuple(map(int, k)): v for k, v in b.items()},
        ),
    ]


def _selections(labels: np.ndarray) -> list[Contest]:
    mapping = {int(v): int(v) % 7 + 1 for v in np.unique(labels) if v}
    return [
        Contest(
            f"removal of components below {DUST} voxels, 26",
            lambda: components.dust(labels, DUST),
            {
                "cc3d": lambda: cc3d.dust(labels, DUST),
            },
        ),
        Contest(
            "largest 5 components, 26",
            lambda: components.keep_largest(labels, 5, per_label=False) != 0,
            {"cc3d": lambda: cc3d.largest_k(labels, 5) != 0},
        ),
        Contest(
            "largest component of each label, 26",
            lambda: components.keep_largest(labels, 1),
            {"TPTBox": lambda: tptbox.np_filter_connected_components(labels.copy(), 1, connectivity=3)},
        ),
        Contest(
            "remapping of labels",
            lambda: relabel.map_labels(labels, mapping),
            {
                "fastremap": lambda: fastremap.remap(labels, mapping, preserve_missing_labels=True),
                "TPTBox": lambda: tptbox.np_map_labels(labels, mapping),
            },
        ),
    ]


def _shapes(labels: np.ndarray) -> list[Contest]:
    def grow(n: int, level: int) -> Contest:
        return Contest(
            f"dilation of each label by {n}, {NEIGHBOURS[level]}",
            lambda: morphology.dilate(labels, iterations=n, connectivity=NEIGHBOURS[level]),
            {
                "TPTBox": lambda: tptbox.np_dilate_msk(
                    labels.copy(), n_pixel=n, connectivity=level, use_crop=False
                )
            },
        )

    def shrink(n: int, level: int) -> Contest:
        return Contest(
            f"erosion of each label by {n}, {NEIGHBOURS[level]}",
            lambda: morphology.erode(labels, iterations=n, connectivity=NEIGHBOURS[level]),
            {"TPTBox": lambda: tptbox.np_erode_msk(labels.copy(), n_pixel=n, connectivity=level)},
        )

    filled = Contest(
        "holes of each label",
        lambda: holes.fill_holes(labels),
        {"TPTBox with fill-voids": lambda: tptbox.np_fill_holes(labels.copy())},
    )
    return [grow(1, 1), shrink(1, 1), shrink(2, 3), filled]


def dilation_within_a_mask(labels: np.ndarray) -> Contest:
    """Growing labels that may not leave a mask."""
    mask = ndimage.binary_dilation(labels != 0, FULL)
    return Contest(
        "dilation of each label by 2 within a mask, 26",
        lambda: morphology.dilate(labels, iterations=2, connectivity=26, mask=mask),
        {"TPTBox": lambda: tptbox.np_dilate_msk(labels.copy(), n_pixel=2, mask=mask, use_crop=False)},
    )


def _masks(mask: np.ndarray) -> list[Contest]:
    return [
        Contest(
            "dilation of a mask by 1, 26",
            lambda: morphology.dilate(mask, connectivity=26),
            {
                "scipy": lambda: ndimage.binary_dilation(mask, FULL),
                "scikit-image": lambda: skimage.morphology.dilation(mask, FULL),
            },
        ),
        Contest(
            "erosion of a mask by 1, 26",
            lambda: morphology.erode(mask, connectivity=26),
            {"scipy": lambda: ndimage.binary_erosion(mask, FULL)},
        ),
        Contest(
            "holes of a mask",
            lambda: holes.fill_holes(mask),
            {"fill-voids": lambda: fill_voids.fill(mask), "scipy": lambda: ndimage.binary_fill_holes(mask)},
        ),
    ]


def _grids(labels: np.ndarray) -> list[Contest]:
    matrix, shape = np.diag(ZOOM), tuple(int((n - 1) / z) + 1 for n, z in zip(labels.shape, ZOOM))
    image = np.random.default_rng(1).random(labels.shape, np.float32)

    def with_scipy(array: np.ndarray, order: int) -> np.ndarray:
        return ndimage.affine_transform(array, matrix, 0.0, shape, order=order, mode="nearest")

    return [
        Contest(
            "resampling of labels, nearest",
            lambda: resample.affine_nearest(labels, matrix, np.zeros(3), shape),
            {"scipy": lambda: with_scipy(labels, 0)},
        ),
        Contest(
            "resampling of an image, cubic",
            lambda: resample.affine_cubic(image, matrix, np.zeros(3), shape),
            {"scipy": lambda: with_scipy(image, 3)},
            lambda a, b: float(np.abs(a - b).max()) < 1e-5,
        ),
    ]
