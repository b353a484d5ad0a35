"""Discs and endplates get the id of the vertebra above them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from spineps_rt import labels
from spineps_rt.errors import NoSpineError
from spineps_rt.kernels import components, relabel, statistics

PLATES = (labels.ENDPLATE, labels.ENDPLATE_SUPERIOR, labels.ENDPLATE_INFERIOR)

NOWHERE = -np.inf
"""Height of an instance without a body: above everything. SPINEPS takes 0, to the same effect."""


def attach_discs(
    semantic: np.ndarray, instances: np.ndarray, heights: dict[int, float], *, above_first: bool = True
) -> tuple[np.ndarray, dict[int, int]]:
    """Write ``DISC_OFFSET + v`` into every disc component below vertebra v.

    A disc above all bodies gets the id before the topmost vertebra's. Where an instance has no body (the
    sacrum never has one), SPINEPS 2.1.3 (``add_ivd_ep_vert_label``) gives such a disc that instance's id.

    Args:
        semantic: uint8, 3-D, in P, I, R order.
        instances: uint16, same shape, final vertebra ids.
        heights: From :func:`body_heights`, and those of missing bodies.
        above_first: Leave instances without a body aside; else as SPINEPS.

    Returns:
        New instance mask, and the vertebrae that got another number of components than one.
    """
    ids, centres = _components(semantic, (labels.DISC,))
    if not centres:
        return instances.copy(), {}
    known = _with_body(heights) if above_first else heights
    mapping = _owned(centres, known, labels.DISC_OFFSET, above_first=True)
    counts = Counter(mapping.values())
    odd = {}
    for vertebra in heights:
        got = counts[labels.DISC_OFFSET + vertebra]
        if got != 1 and vertebra not in (1, labels.SACRUM_INSTANCE):
            odd[vertebra] = got
    return _written(instances, ids, mapping), odd


def attach_plates(
    semantic: np.ndarray, instances: np.ndarray, heights: dict[int, float], *, above_first: bool = True
) -> np.ndarray:
    """Write ``ENDPLATE_OFFSET + v`` into every endplate component below the centre of vertebra v's body.

    One above all bodies gets the id before the topmost vertebra's, as the disc there does; SPINEPS 2.1.3
    (``add_ivd_ep_vert_label``) gives it the topmost vertebra's, or that of an instance without a body (the
    sacrum never has one). Where the model already tells superior from inferior endplates, they get the
    vertebra's own id, superior ones that of the vertebra below, as in SPINEPS.

    Args:
        semantic: uint8, 3-D, in P, I, R order.
        instances: uint16, same shape, final vertebra ids.
        heights: From :func:`body_heights`, and those of missing bodies.
        above_first: As in :func:`attach_discs`.

    Returns:
        A new instance mask.
    """
    ids, centres = _components(semantic, PLATES)
    if not centres:
        return instances.copy()
    known = _with_body(heights) if above_first else heights
    if is_split(semantic):
        superior = statistics.joint_counts(ids, semantic)[:, labels.ENDPLATE_SUPERIOR] > 0
        mapping = {c: _below(known, h) if superior[c] else _above(known, h) for c, h in centres.items()}
        return _written(instances, ids, mapping)
    mapping = _owned(centres, known, labels.ENDPLATE_OFFSET, above_first=above_first)
    return _written(instances, ids, mapping)


def is_split(semantic: np.ndarray) -> bool:
    """Tell whether the model already answered superior and inferior endplates."""
    return bool(np.any((semantic == labels.ENDPLATE_SUPERIOR) | (semantic == labels.ENDPLATE_INFERIOR)))


def body_heights(semantic: np.ndarray, instances: np.ndarray) -> dict[int, float]:
    """Find how far down the centre of each vertebra's body lies.

    Args:
        semantic: uint8, 3-D, in P, I, R order.
        instances: uint16, same shape.

    Returns:
        {instance: index along axis 1}, ascending by instance; :data:`NOWHERE` for one without a body.

    Raises:
        NoSpineError: There is no vertebra.
    """
    present = statistics.region_statistics(instances).present
    vertebrae = [i for i in present if i in labels.LEVEL_ORDER]
    if not vertebrae:
        raise NoSpineError(
            "Structures of a spine were found but no vertebra; check that the scan shows one and that the "
            "instance model fits the semantic model."
        )
    bodies = statistics.region_statistics(instances * (semantic == labels.CORPUS), max(present))
    return {i: float(bodies.centroids[i, 1]) if bodies.sizes[i] else NOWHERE for i in vertebrae}


def _with_body(heights: dict[int, float]) -> dict[int, float]:
    """Leave out the instances without a body, unless none has one."""
    return {i: h for i, h in heights.items() if h != NOWHERE} or heights


def _components(semantic: np.ndarray, wanted: tuple[int, ...]) -> tuple[np.ndarray, dict[int, float]]:
    """Number the components of some structures; also return {component: height}."""
    ids, n = components.label(relabel.map_labels(semantic, {s: s for s in wanted}, keep_others=False))
    regions = statistics.region_statistics(ids, n)
    return ids, {i: float(regions.centroids[i, 1]) for i in regions.present}


def _owned(
    centres: dict[int, float], heights: dict[int, float], offset: int, *, above_first: bool
) -> dict[int, int]:
    """Component -> offset plus the instance above it; with above_first one above all gets the id before."""
    first = min(heights.values()) if above_first else NOWHERE
    owners = {c: min(heights) - 1 if h < first else _above(heights, h) for c, h in centres.items()}
    return {c: offset + owner if owner else 0 for c, owner in owners.items()}


def _above(heights: dict[int, float], height: float) -> int:
    """Instance whose body is the nearest strictly above a height; the topmost if none is."""
    higher = [i for i, h in heights.items() if h < height]
    return max(higher, key=heights.__getitem__) if higher else min(heights, key=heights.__getitem__)


def _below(heights: dict[int, float], height: float) -> int:
    """Instance whose body is the nearest strictly below a height; the lowest if none is."""
    lower = [i for i, h in heights.items() if h > height]
    return min(lower, key=heights.__getitem__) if lower else max(heights, key=heights.__getitem__)


def _written(instances: np.ndarray, ids: np.ndarray, mapping: dict[int, int]) -> np.ndarray:
    """Replace the instances where there are components by what the mapping says of them."""
    table = relabel.table_of(mapping, highest=max(mapping), dtype=np.dtype(np.uint16), keep_others=False)
    return np.where(ids != 0, relabel.look_up(ids, table), instances)
