"""Find the centre of every vertebral body; the instance network looks at one cutout around each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spineps_rt.errors import NoSpineError
from spineps_rt.kernels import components, morphology, statistics
from spineps_rt.labels import CORPUS, CORPUS_INNER, DENS, DISC, ENDPLATE
from spineps_rt.stages import small_components
from spineps_rt.stages.instance import split_bodies
from spineps_rt.stages.thresholds import REFERENCE_SPACING, Spacing

SAME_HEIGHT_MM = 10 * REFERENCE_SPACING[1]
NEIGHBOURS = (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)
"""Places up and down the spine from which a body's usual volume is estimated."""
FEWEST_NEIGHBOURS = 3
"""Bodies that are needed, beside the largest, to know what is usual."""
MERGED_VOLUME_RATIO = 1.5


class Structure(NamedTuple):
    """A body or a disc on the way down the spine."""

    height: float
    is_disc: bool
    volume: int
    component: int


def corpus_centres(labels: np.ndarray, *, spacing: Spacing, minimum: int, split_merged: bool) -> np.ndarray:
    """Locate the vertebral bodies, as SPINEPS 2.1.3 ``get_corpus_coms`` does.

    Args:
        labels: Semantic mask, (P, I, R), uint8.
        spacing: Voxel size in mm.
        minimum: Eroded bodies of fewer voxels are artefacts; 0 keeps them all.
        split_merged: Use the alternation of bodies and discs to find and split bodies that grew together.

    Returns:
        Centres in voxels, float64 (n, 3), from the bottom of the image to its top; where a dense model
        answered a dens its centre comes first, as in SPINEPS.

    Raises:
        NoSpineError: No body is left.
    """
    bodies = _body_mask(labels, minimum)
    ids, n = components.label(bodies, connectivity=26)
    if n == 0:
        raise NoSpineError(
            "The semantic mask holds no vertebral body that is thick enough to find its centre; check that"
            " the image shows a spine in the model's contrast and resolution."
        )
    if split_merged:
        ids, n = _split_merged(ids, n, labels, spacing)
    centres = _centres(ids, n)
    centres = centres[np.argsort(centres[:, 1], kind="stable")]
    if (labels == CORPUS_INNER).any():
        centres = np.concatenate([centres, _centres(*components.label(labels == DENS, connectivity=26))])
    return np.ascontiguousarray(centres[::-1])


def _body_mask(labels: np.ndarray, minimum: int) -> np.ndarray:
    """Mask whose components are bodies: the inner bodies of a dense model, else the bodies eroded twice."""
    inner = labels == CORPUS_INNER
    if inner.any():
        return inner.view(np.uint8)
    bodies = morphology.erode((labels == CORPUS).view(np.uint8), iterations=2, connectivity=18)
    return small_components.drop_small(bodies, minimum=minimum) if minimum > 0 else bodies


def _centres(ids: np.ndarray, n: int) -> np.ndarray:
    """Centroids of the components that exist, float64 (n, 3)."""
    regions = statistics.region_statistics(ids, n)
    return regions.centroids[regions.present]


def _split_merged(ids: np.ndarray, n: int, labels: np.ndarray, spacing: Spacing) -> tuple[np.ndarray, int]:
    """Split bodies where two bodies or two discs follow each other although they should alternate.

    Volumes stay those of before any split, and a structure beside another at the same height leaves the list
    but not the map, as in SPINEPS 2.1.3.
    """
    discs = ((labels == DISC) | (labels == ENDPLATE)).view(np.uint8)
    disc_ids, n_discs = components.label(discs, connectivity=26)
    if n_discs == 0:
        return ids, n
    regions = statistics.region_statistics(ids, n)
    order = _structures(statistics.region_statistics(disc_ids, n_discs), is_disc=True)
    order += _structures(regions, is_disc=False)
    order.sort(key=lambda structure: structure.height)
    place = 0
    while place + 1 < len(order):
        here, below = order[place], order[place + 1]
        if here.is_disc == below.is_disc:
            if below.height - here.height < SAME_HEIGHT_MM / spacing[1]:
                order.pop(place)
                continue
            merged = _oversized_neighbour(order, place)
            part = None if merged is None else split_bodies.part_below(ids, merged, box=regions.box(merged))
            if part is not None and part.any():
                n += 1
                ids[part] = n
        place += 1
    return ids, n


def _structures(regions: statistics.RegionStatistics, *, is_disc: bool) -> list[Structure]:
    return [
        Structure(float(regions.centroids[i, 1]), is_disc, int(regions.sizes[i]), i) for i in regions.present
    ]


def _oversized_neighbour(order: Sequence[Structure], place: int) -> int | None:
    """Component of the largest body around a place if it is much larger than the others there."""
    near = [order[place + o] for o in NEIGHBOURS if 0 <= place + o < len(order)]
    bodies = [structure for structure in near if not structure.is_disc]
    if len(bodies) - 1 < FEWEST_NEIGHBOURS:
        return None
    largest = max(bodies, key=lambda structure: structure.volume)
    usual = sum(b.volume for b in bodies if b is not largest) / (len(bodies) - 1)
    return largest.component if largest.volume / usual > MERGED_VOLUME_RATIO else None
