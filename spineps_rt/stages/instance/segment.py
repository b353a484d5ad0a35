"""From the semantic mask to one label a vertebra, in the order of SPINEPS 2.1.3 ``predict_instance_mask``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spineps_rt.errors import ContractError, NoSpineError
from spineps_rt.kernels import morphology, relabel, statistics
from spineps_rt.kernels.boxes import Box
from spineps_rt.labels import CORPUS, CORPUS_INNER, DENS, SACRUM
from spineps_rt.options import InstanceOptions
from spineps_rt.stages import small_components, thresholds
from spineps_rt.stages.instance import body_centres, coupling, cutouts, merge
from spineps_rt.stages.instance.cutouts import ClassifyWindows
from spineps_rt.stages.thresholds import REFERENCE_SPACING, REFERENCE_VOXEL_MM3, Spacing

CROP_MARGIN_MM = 5 * min(REFERENCE_SPACING)
LEAST_CLEANING_MM3 = 40 * REFERENCE_VOXEL_MM3
FEW_CORPORA = 3
_DEFAULTS = InstanceOptions()


@dataclass(frozen=True)
class InstanceLimits:
    """What an instance model's manifest says about its input and its cleaning; defaults are SPINEPS's."""

    cutout: tuple[int, ...] = (248, 304, 64)
    """Voxels of a cutout, (P, I, R), even."""
    mapping: Mapping[int, int] = field(
        default_factory=lambda: {
            **{structure: structure - 40 for structure in range(41, CORPUS + 1)},
            CORPUS_INNER: 9,
            DENS: 9,
            SACRUM: 0,
        }
    )
    """Semantic label -> network label, 0 to 9; labels that are missing become 0."""
    spacing: tuple[float, ...] | None = None
    """The model's spacing in mm (of a range the lower end), for which both sizes hold; None: the mask's."""
    corpus_size_cleaning: float = 100
    """Eroded bodies of fewer voxels are artefacts."""
    vert_size_threshold: float = 250
    """Components of a merged vertebra of fewer voxels are artefacts."""


@dataclass(frozen=True)
class Agreement:
    """How well the cutouts that show a vertebra agree about it."""

    centre: tuple[float, ...]
    """Of the vertebra, voxels of the mask."""
    cutouts: int
    """That show it, 1 to 3."""
    dice: float
    """Of one cutout's answer with the others', mean; 0 of a single cutout."""


@dataclass(frozen=True)
class InstanceAnswer:
    """What the stage found."""

    instances: np.ndarray
    """Vertebrae 1..n, uint16, of the mask's shape; numbered by how sure they are, not by height."""
    n_corpora: int
    """Vertebral bodies that were looked at, one cutout each."""
    agreements: tuple[Agreement, ...]
    """Of the vertebrae, in the order of their numbers."""
    warnings: tuple[str, ...]
    """What a reader of the result should know, a sentence each."""


def segment_instances(
    labels: np.ndarray,
    *,
    spacing: Sequence[float],
    classify: ClassifyWindows,
    limits: InstanceLimits | None = None,
    options: InstanceOptions = _DEFAULTS,
) -> InstanceAnswer:
    """Separate the vertebrae of a semantic mask.

    Args:
        labels: Cleaned semantic mask, (P, I, R), uint8, at the instance model's resolution.
        spacing: Voxel size in mm, (P, I, R).
        classify: The instance network; it is called once, with a window a body, from the lowest upwards.
        limits: The model's cutout size, label mapping and thresholds.
        options: Which steps are done.

    Returns:
        Instance mask, number of bodies and warnings.

    Raises:
        NoSpineError: The mask holds no vertebral body, or the network saw no vertebra.
        ContractError: An argument or the network's answer is not as described.
    """
    size = thresholds.checked(labels, spacing)
    limits = limits or InstanceLimits()
    _check_limits(limits)
    box = statistics.nonzero_box(labels, margin=int(thresholds.length_in_voxels(CROP_MARGIN_MM, size)))
    if box is None or not (labels == CORPUS).any():
        raise NoSpineError(
            f"The semantic mask holds no vertebral body (label {CORPUS}); without one no vertebra can be told"
            " from another. Check that the image shows a spine in the model's contrast."
        )
    cropped = np.ascontiguousarray(labels[box])
    centres = body_centres.corpus_centres(
        cropped,
        spacing=size,
        minimum=_voxels(limits.corpus_size_cleaning, limits, size) if options.clean_corpora else 0,
        split_merged=options.split_merged_corpora,
    )
    table = relabel.table_of(limits.mapping, highest=255, dtype=np.dtype(np.uint8), keep_others=False)
    network_labels = relabel.look_up(cropped, table)
    placed = [cutouts.place_window(network_labels, centre, limits.cutout) for centre in centres]
    windows = [window for window, _ in placed]
    answers = classify(cropped, table, cutouts.first_voxels(windows, limits.cutout))
    predictions, blank = cutouts.collect(
        windows, answers, size=tuple(limits.cutout), largest=options.largest_components
    )
    ranked = coupling.couples(predictions)
    merged, written = merge.merge(predictions, ranked, cropped.shape)
    merged, numbers, places = _finish(merged, _voxels(limits.vert_size_threshold, limits, size), options)
    agreements = _agreements(places, [written[n] for n in numbers], ranked, box)
    instances = np.zeros(labels.shape, dtype=np.uint16)
    instances[box] = merged
    beside = [index for index, (_, met) in enumerate(placed) if not met]
    warnings = _warnings(len(centres), len(numbers), beside, blank)
    return InstanceAnswer(instances, len(centres), agreements, warnings)


def _agreements(
    centres: np.ndarray, couples: list[coupling.Couple], ranked: Mapping[coupling.Couple, float], box: Box
) -> tuple[Agreement, ...]:
    first = [side.start for side in box]
    return tuple(
        Agreement(tuple((centre + first).tolist()), len(couple), ranked[couple])
        for centre, couple in zip(centres, couples)
    )


def _check_limits(limits: InstanceLimits) -> None:
    if len(limits.cutout) != 3 or any(side <= 0 or side % 2 for side in limits.cutout):
        raise ContractError(
            f"The cutout is {limits.cutout} voxels; expected three even sizes, as (248, 304, 64)."
        )
    if any(not 0 <= new <= 9 for new in limits.mapping.values()):
        raise ContractError(f"The mapping {dict(limits.mapping)} leads beyond the network's labels 0 to 9.")


def _voxels(threshold: float, limits: InstanceLimits, spacing: Spacing) -> int:
    """Scale a model's voxel threshold to the mask's grid.

    SPINEPS 2.1.3 multiplies it by the model's voxel volume when it reads the model, divides it by the mask's
    here, truncates, and never goes below 40 reference voxels.
    """
    scaled = threshold * math.prod(limits.spacing or spacing) / math.prod(spacing)
    return max(int(scaled), thresholds.volume_in_voxels(LEAST_CLEANING_MM3, spacing))


def _finish(
    merged: np.ndarray, minimum: int, options: InstanceOptions
) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Clean, fill and number the vertebrae; also return the numbers that they had, and their centres."""
    if options.clean_small_components:
        merged = small_components.drop_small(merged, minimum=minimum)
    if options.fill_holes:
        merged = morphology.fill_holes(merged)
    regions = statistics.region_statistics(merged)
    present = regions.present
    if not present:
        raise NoSpineError(
            "The instance network recognised no vertebra around the bodies of the semantic mask; check that"
            " the image shows a spine in the model's contrast and resolution."
        )
    renamed = relabel.map_labels(merged, {old: new for new, old in enumerate(present, 1)})
    return renamed, present, regions.centroids[present]


def _warnings(n_corpora: int, found: int, beside: list[int], blank: list[int]) -> tuple[str, ...]:
    """Say what may be wrong with the result; bodies are counted from 1, from the lowest upwards."""
    warnings = []
    if n_corpora < FEW_CORPORA:
        warnings.append(
            f"Only {n_corpora} vertebral bodies were found; with fewer than {FEW_CORPORA} some may merge."
        )
    warnings += [f"The cutout of body {index + 1} from below lies beside the spine." for index in beside]
    warnings += [
        f"The instance network saw no vertebra at the centre of body {index + 1} from below."
        for index in blank
    ]
    if found < n_corpora:
        warnings.append(f"{found} vertebrae were found, fewer than the {n_corpora} vertebral bodies.")
    return tuple(warnings)
