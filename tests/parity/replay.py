"""Replay a recorded run of SPINEPS through the stages of spineps-rt and count the voxels that differ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from spineps_rt.kernels.boxes import cut_windows
from spineps_rt.labels import CORPUS, CORPUS_INNER
from spineps_rt.options import AS_SPINEPS, LabelingOptions, ReconcileOptions
from spineps_rt.stages import semantic_cleaning
from spineps_rt.stages.instance.cutouts import ClassifyWindows
from spineps_rt.stages.instance.segment import InstanceLimits, segment_instances
from spineps_rt.stages.labeling import name_levels
from spineps_rt.stages.points import centroids
from spineps_rt.stages.reconcile.reconcile import Reconciled, reconcile
from spineps_rt.volume import resample_to
from tests.parity.golden import Golden, digest

RULES = (
    "split_top_by_height",
    "gap_for_missing_body",
    "spare_sacrum_id",
    "discs_above_first_body",
    "keep_contested_endplates",
)
"""Rules that an option exchanges for a better one than SPINEPS's."""
ROUNDING = 0.005 + 1e-6
"""SPINEPS rounds centres to two decimals of a voxel; so far apart may they lie along an axis, in voxels."""


class CutoutError(Exception):
    """The instance network was shown something that SPINEPS never showed it."""


@dataclass(frozen=True)
class Count:
    """How two arrays of one shape compare."""

    compared: int
    """Voxels."""
    labelled: int
    """Of these the ones that are background in neither or only one of them."""
    different: int
    """Voxels with different labels."""


@dataclass(frozen=True)
class Replay:
    """What a replay found."""

    masks: dict[str, Count]
    """Stage -> comparison."""
    distances_mm: dict[int, float]
    """Instance -> way between the two centres."""
    tolerance_mm: float
    """What SPINEPS's rounding explains."""
    rules: dict[str, Count]
    """Rule -> how the final masks (both together) change when spineps-rt's rule replaces SPINEPS's alone."""
    defaults: Count
    """The same for the rules that are on by default, together."""


def replay(golden: Golden) -> Replay:
    """Feed every stage with what SPINEPS's own stage before it answered, and compare what it makes of it.

    Args:
        golden: The recorded run.

    Returns:
        Voxels that differ, mask by mask, and how far the centres lie apart.

    Raises:
        CutoutError: A cutout is not the one that SPINEPS made at that place, or their number differs.
    """
    clean = semantic_cleaning.clean(
        golden.oracle.array, spacing=golden.oracle.spacing, options=AS_SPINEPS.semantic
    )
    answered, shown = _network(golden)
    found = segment_instances(
        golden.raw_semantic.array,
        spacing=golden.raw_semantic.spacing,
        classify=answered,
        options=AS_SPINEPS.instance,
    )
    if len(shown) != len(golden.cutouts):
        raise CutoutError(
            f"{golden.name}: {len(shown)} cutouts were made; SPINEPS made {len(golden.cutouts)}."
        )
    as_spineps = reconciled(golden, AS_SPINEPS.reconcile)
    cutouts = golden.answers.size
    masks = {
        "seg-spine-raw": count(clean, golden.raw_semantic.array),
        "cutouts": Count(cutouts, sum(shown), 0),  # another cutout would have been an error
        "seg-vert-raw": count(found.instances, golden.raw_instances.array),
        "seg-spine": count(as_spineps.semantic, golden.semantic.array),
        "seg-vert": count(as_spineps.instances, golden.instances.array),
    }
    rules = {rule: _changed(golden, replace(AS_SPINEPS.reconcile, **{rule: True})) for rule in RULES}
    rules["count_from"] = _changed(golden, AS_SPINEPS.reconcile, LabelingOptions())
    tolerance = ROUNDING * math.hypot(*golden.semantic.spacing)
    defaults = _changed(golden, ReconcileOptions(), LabelingOptions())
    return Replay(masks, _distances(golden), tolerance, rules, defaults)


def _network(golden: Golden) -> tuple[ClassifyWindows, list[int]]:
    """The recorded network, and a list that it fills with the labelled voxels of every cutout it is shown."""
    shown: list[int] = []

    def answer(labels: np.ndarray, table: np.ndarray, starts: np.ndarray) -> Iterator[np.ndarray]:
        for place, start in enumerate(starts):
            cutout = cut_windows(labels, table, start[None], InstanceLimits().cutout)[0]
            if place >= len(golden.cutouts) or digest(cutout) != golden.cutouts[place]:
                raise CutoutError(
                    f"{golden.name}: cutout {place + 1} of {len(golden.cutouts)} is not the one that SPINEPS "
                    "showed its network at that place."
                )
            shown.append(int(np.count_nonzero(cutout)))
            yield golden.answers[place]

    return answer, shown


def reconciled(golden: Golden, options: ReconcileOptions) -> Reconciled:
    """Resample the recorded masks to the scan's grid and let them clean each other.

    Args:
        golden: The recorded run.
        options: Steps and rules.
    """
    raw = golden.raw_semantic
    one_body = raw.with_array(np.where(raw.array == CORPUS_INNER, CORPUS, raw.array))
    both = [resample_to(v, golden.semantic, labels=True).array for v in (one_body, golden.raw_instances)]
    return reconcile(
        *both, spacing=golden.semantic.spacing, orientation=golden.semantic.orientation, options=options
    )


def count(ours: np.ndarray, theirs: np.ndarray) -> Count:
    """Compare two masks voxel by voxel.

    Args:
        ours: Label map.
        theirs: Label map of the same shape.
    """
    return Count(
        ours.size, int(np.count_nonzero((ours > 0) | (theirs > 0))), int(np.count_nonzero(ours != theirs))
    )


def _changed(
    golden: Golden, options: ReconcileOptions, labeling: LabelingOptions = AS_SPINEPS.labeling
) -> Count:
    """Voxels in which either final mask differs from SPINEPS's under other rules."""
    found = reconciled(golden, options)
    other = name_levels(found.semantic, found.instances, affine=golden.semantic.affine, options=labeling)
    semantic, instances = golden.semantic.array, golden.instances.array
    differ = (other.semantic != semantic) | (other.instances != instances)
    return Count(differ.size, int(np.count_nonzero(semantic | instances)), int(np.count_nonzero(differ)))


def _distances(golden: Golden) -> dict[int, float]:
    """Way in mm between the centres; infinite where only one side has one."""
    ours = {v: p for (v, _), p in centroids(golden.semantic.array, golden.instances.array).points.items()}
    spacing = np.array(golden.semantic.spacing)
    return {
        v: float(np.linalg.norm((np.array(ours[v]) - golden.points[v]) * spacing))
        if v in ours and v in golden.points
        else math.inf
        for v in sorted({*ours, *golden.points})
    }
