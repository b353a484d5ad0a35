"""Centres of the vertebral bodies and of the sacrum, and volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from spineps_rt import labels
from spineps_rt.errors import ContractError
from spineps_rt.kernels import statistics
from spineps_rt.kernels.boxes import Box

BODY = labels.CORPUS_INNER
"""Structure id of a centre: TPTBox files the whole body, border included, under ``Vertebra_Corpus``."""

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Centroids:
    """Points in the voxel grid of the masks that they were measured on."""

    points: Mapping[tuple[int, int], Point]
    """{(instance, structure): voxel index per array axis, with fractions}, ascending by key; read-only."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", MappingProxyType(dict(sorted(self.points.items()))))


def centroids(semantic: np.ndarray, instances: np.ndarray) -> Centroids:
    """Find the centre of each vertebra's body, and the sacrum's as a whole.

    As SPINEPS 2.1.3 (``predict_centroids_from_both``), but not rounded to two decimals.

    Args:
        semantic: uint8, 3-D, any axis order.
        instances: uint16, same shape, as :func:`spineps_rt.stages.reconcile.reconcile.reconcile` returns it.

    Returns:
        A point (instance, :data:`BODY`) for each vertebra with a body, and for the sacrum.

    Raises:
        ContractError: The shapes differ.
    """
    if semantic.shape != instances.shape:
        raise ContractError(
            f"Semantic mask {semantic.shape} and instance mask {instances.shape} must have one shape; pass "
            "both on the same grid."
        )
    box = statistics.nonzero_box(instances)
    if box is None:
        return Centroids({})
    found = semantic[box], instances[box]
    body = (found[0] == labels.CORPUS) | (found[0] == labels.CORPUS_INNER)
    bodies = statistics.region_statistics(np.where(body & (found[1] < labels.DISC_OFFSET), found[1], 0))
    points = {(i, BODY): _shifted(bodies.centroids[i], box) for i in bodies.present}
    sacrum = statistics.region_statistics(found[1] == labels.SACRUM_INSTANCE, 1)
    if sacrum.sizes[1]:
        points[labels.SACRUM_INSTANCE, BODY] = _shifted(sacrum.centroids[1], box)
    return Centroids(points)


def volumes_in_ml(mask: np.ndarray, affine: np.ndarray) -> dict[int, float]:
    """Measure what a mask holds.

    Args:
        mask: 3-D label map.
        affine: (4, 4), voxel -> mm.

    Returns:
        {label: millilitres} of the labels that occur, ascending.
    """
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    found = statistics.region_statistics(mask)
    return {label: float(found.sizes[label]) * voxel_ml for label in found.present}


def _shifted(centre: np.ndarray, box: Box) -> Point:
    p, i, r = (float(x) + part.start for x, part in zip(centre, box))
    return (p, i, r)
