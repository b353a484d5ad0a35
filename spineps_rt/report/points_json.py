"""The centroid file: JSON that TPTBox reads with ``POI.load``."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from spineps_rt._version import __version__
from spineps_rt.errors import ContractError
from spineps_rt.stages.points import Centroids
from spineps_rt.volume import Volume

DECIMALS = 7
"""Digits after the point, as TPTBox 1.1.0 writes grids and points."""

SOURCE = "spineps-rt"


def to_json(centroids: Centroids, volume: Volume, meta: Mapping[str, object] | None = None) -> bytes:
    """Write points and the grid that they live in.

    The layout is that of TPTBox 1.1.0 (format ``POI``): a list of a header and
    ``{instance: {structure: [index, index, index]}}`` with ids as decimal strings. The same input gives the
    same bytes.

    Args:
        centroids: In voxels of ``volume``.
        volume: Its shape and affine are written; its array is not read.
        meta: What else the header shall say, for instance ``{"models": {...}}``; JSON values. Source and
            version are added.

    Returns:
        UTF-8, ending in a line feed.

    Raises:
        ContractError: A point is not finite, meta is not JSON, or it holds what the file says itself.
    """
    header = {**_grid(volume), "source": SOURCE, "version": __version__}
    clash = sorted(set(header) & set(meta or {}))
    if clash:
        raise ContractError(f"Meta may not hold {', '.join(clash)}: the file says these itself; rename them.")
    body: dict[str, dict[str, list[float]]] = {}
    for (instance, structure), point in centroids.points.items():
        body.setdefault(str(instance), {})[str(structure)] = _rounded(point)
    try:
        text = json.dumps([{**header, **(meta or {})}, body], indent=4, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContractError(f"The centroid file takes JSON values and finite points only: {error}") from error
    return text.encode() + b"\n"


def _grid(volume: Volume) -> dict[str, object]:
    """Describe a grid in TPTBox's words; the rotation maps voxel axes to NIfTI world axes."""
    exact = np.sqrt(np.sum(volume.affine[:3, :3] ** 2, axis=0))
    return {
        "direction": list(volume.orientation),
        "zoom": list(volume.spacing),
        "origin": _rounded(volume.affine[:3, 3]),
        "rotation": [_rounded(row) for row in volume.affine[:3, :3] / exact],
        "shape": list(volume.shape),
        "format": "POI",
        "level_one_info": "Any",
        "level_two_info": "Any",
    }


def _rounded(numbers: np.ndarray | tuple[float, ...]) -> list[float]:
    # + 0.0 turns -0.0 into 0.0
    return [round(float(number), DECIMALS) + 0.0 for number in numbers]
