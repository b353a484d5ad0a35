"""Cleaning of the semantic network's mask, in the order of SPINEPS 2.1.3 ``predict_semantic_mask``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spineps_rt.errors import NoSpineError
from spineps_rt.kernels import components, morphology, relabel, statistics
from spineps_rt.labels import CANAL, CORD, CORPUS, DISC, SACRUM, VERTEBRA_STRUCTURES
from spineps_rt.options import SemanticOptions
from spineps_rt.stages import small_components, thresholds
from spineps_rt.stages.thresholds import REFERENCE_SPACING, REFERENCE_VOXEL_MM3, Spacing

SMALLEST_COMPONENT_MM3 = 30 * REFERENCE_VOXEL_MM3
CLEANED = (*(s for s in VERTEBRA_STRUCTURES if s <= CORPUS), CANAL, DISC)
"""Structures whose small components go. Cord, sacrum and endplates stay: thin, or cut by the image."""
FILLED = (CORPUS, CANAL, DISC, CORD)
"""Structures whose holes are filled, in this order, because a voxel goes to the first that encloses it."""
BOX_MARGIN_MM = 4 * min(REFERENCE_SPACING)
CANAL_MARGIN_MM = 64.0
_DEFAULTS = SemanticOptions()


def clean(
    labels: np.ndarray, *, spacing: Sequence[float], options: SemanticOptions = _DEFAULTS
) -> np.ndarray:
    """Remove what is no spine from a semantic mask and fill its holes.

    Args:
        labels: What the network answered: label ids, (P, I, R), uint8, at the model's resolution.
        spacing: Voxel size in mm, (P, I, R).
        options: Which steps are done.

    Returns:
        The cleaned mask, a new array of the same shape and type.

    Raises:
        NoSpineError: The mask is empty, or nothing of it survives the cleaning.
        ContractError: The mask or the spacing is not as described.
    """
    size = thresholds.checked(labels, spacing)
    box = statistics.nonzero_box(labels, margin=1)
    if box is None:
        raise NoSpineError(
            "The semantic network found no spine in the image; check that the image shows a spine"
            " and that the model was made for its contrast."
        )
    inner = np.ascontiguousarray(labels[box])
    if options.remove_inferior_beyond_canal:
        inner = remove_beyond_canal(inner, spacing=size)
    if options.clean_small_components:
        minimum = thresholds.volume_in_voxels(SMALLEST_COMPONENT_MM3, size)
        inner = small_components.drop_small(inner, minimum=minimum, only=CLEANED)
    if options.remove_inferior_beyond_canal:
        inner = remove_beyond_canal(inner, spacing=size)
    if options.clean_beyond_largest_box:
        inner = keep_chain(inner, spacing=size)
    if options.remove_inferior_beyond_canal and options.clean_beyond_largest_box:
        inner = keep_chain(remove_beyond_canal(inner, spacing=size), spacing=size)
    if options.fill_holes:
        inner = morphology.fill_holes(inner, FILLED)
    if not inner.any():
        raise NoSpineError("The semantic mask holds nothing but fragments that are too small to be a spine.")
    result = np.zeros_like(labels, order="C")
    result[box] = inner
    return result


def keep_chain(labels: np.ndarray, *, spacing: Spacing) -> np.ndarray:
    """Keep the largest component and those that continue it, box by box.

    A component joins when its box touches the box of one that has joined; along the spine a gap is allowed.
    SPINEPS 2.1.3 (``semantic_bounding_box_clean``) then crops to the union of the boxes, which removes
    nothing more.

    Args:
        labels: Label map, (P, I, R), uint8.
        spacing: Voxel size in mm.

    Returns:
        A copy without the components that did not join.
    """
    ids, n = components.label(labels, connectivity=26, merged=True)
    if n <= 1:
        return labels.copy()
    regions = statistics.region_statistics(ids, n)
    margin_mm = thresholds.length_in_voxels(BOX_MARGIN_MM, spacing)
    margin, gap = int(margin_mm), np.array([0, round(margin_mm), 0])
    starts = regions.boxes[:, :, 0].astype(np.int64) - margin
    stops = regions.boxes[:, :, 1].astype(np.int64) + margin
    joined = np.zeros(n + 1, dtype=bool)
    queue = [int(np.argmax(regions.sizes[1:])) + 1]
    joined[queue] = True
    while queue:
        k = queue.pop()
        near = ((starts <= stops[k] + gap) & (stops >= starts[k] - gap)).all(axis=1) & ~joined
        near[0] = False
        joined |= near
        queue.extend(np.flatnonzero(near).tolist())
    if joined[1:].all():
        return labels.copy()
    return np.where(relabel.look_up(ids, joined), labels, np.uint8(0))


def remove_beyond_canal(labels: np.ndarray, *, spacing: Spacing) -> np.ndarray:
    """Remove everything but the sacrum that lies far above or below canal and cord.

    Args:
        labels: Label map, (P, I, R), uint8.
        spacing: Voxel size in mm.

    Returns:
        A cleaned copy; an unchanged one where there is neither canal nor cord.
    """
    result = labels.copy()
    rows = np.flatnonzero(((labels == CANAL) | (labels == CORD)).any(axis=(0, 2)))
    if rows.size == 0:
        return result
    margin = int(CANAL_MARGIN_MM / spacing[1])
    for far in (result[:, : max(int(rows[0]) - margin, 0)], result[:, int(rows[-1]) + margin + 1 :]):
        far[far != SACRUM] = 0
    return result
