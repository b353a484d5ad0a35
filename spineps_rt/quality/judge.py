"""From masks, image and what the networks say to a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spineps_rt import labels as L
from spineps_rt.quality.anatomy import above, below, check_anatomy
from spineps_rt.quality.column import Column, measure_column
from spineps_rt.quality.image import ImageFacts, image_facts, shown_box
from spineps_rt.quality.limits import AnatomyLimits, ImageLimits, NetworkLimits, QualityLimits
from spineps_rt.quality.networks import NetworkEvidence
from spineps_rt.quality.verdict import GOOD, Quality, Reason, judged, worst
from spineps_rt.volume import Volume, turned

if TYPE_CHECKING:
    from spineps_rt.stages.reconcile.apart import Removed

SAME_MM = 22.0
"""A vertebra of phase two is the one whose centre lies within so many mm of a body's."""
MARGIN_MM = 8.0
"""Rows so far above and below a body's centre tell how sure the network was there."""
LIMITS = QualityLimits()


def judge(
    image: Volume,
    masks: tuple[np.ndarray, np.ndarray],
    *,
    names: Mapping[int, str],
    evidence: NetworkEvidence,
    removed: Sequence[Removed] = (),
    model: str = "",
) -> Quality:
    """Judge a result.

    Args:
        image: The scan.
        masks: Structures uint8 and vertebrae uint16, on the scan's grid, final.
        names: Label of the vertebra mask -> name, vertebrae and discs.
        evidence: How sure the networks were.
        removed: What was taken away as apart from the column.
        model: The semantic model's name.

    Returns:
        Reasons and verdicts, for the scan and for each vertebra and disc.
    """
    views = [turned(volume, ("P", "I", "R")) for volume in (image, *map(image.with_array, masks))]
    spacing = views[0].spacing
    size = (spacing[0], spacing[1], spacing[2])
    shown = shown_box(views[0].array, spacing=size)
    column = measure_column(views[1].array, views[2].array, spacing=size, shown=shown)
    facts = image_facts(views[0].array, views[1].array, spacing=size)
    reasons = check_anatomy(column, LIMITS.anatomy, names)
    reasons += check_image(facts, LIMITS.image)
    reasons += _apart(removed, LIMITS.anatomy)
    if model in LIMITS.networks:
        to_world = views[0].affine[:3, :3] / np.array(size)
        places = {
            part.label: to_world @ part.centre + views[0].affine[:3, 3]
            for part in column.bodies
            if not part.cut
        }
        reasons += check_networks(evidence, places, LIMITS.networks[model], names)
    return judged(reasons, _labels(column, names))


def _labels(column: Column, names: Mapping[int, str]) -> list[int]:
    discs = [L.DISC_OFFSET + v for v in column.discs if L.DISC_OFFSET + v in names]
    vertebrae = [v for v in names if v < L.DISC_OFFSET]
    return [*vertebrae, *discs]


def check_image(facts: ImageFacts, limits: ImageLimits) -> list[Reason]:
    """Look for what no T2-weighted scan looks like."""
    low, high = limits.csf_to_body
    contrast = worst((below(facts.csf_to_body, low), above(facts.csf_to_body, high)))
    checks = [
        (below(facts.levels, limits.levels), "grey levels", facts.levels, f"at least {limits.levels.check:g}",
         f"the image has only {facts.levels} grey levels"),
        (above(facts.spike, limits.spike), "spike", facts.spike, f"at most {limits.spike.check:g}",
         f"a few voxels reach {facts.spike:.0f} times the range of all others, which get few grey levels"),
        (above(facts.stray, limits.stray), "slice order", facts.stray, f"at most {limits.stray.check:g}",
         f"{facts.stray:.0%} of slices look most like one that is not beside them: is their order right?"),
        (above(facts.constant_slices, limits.constant_slices), "empty slices", facts.constant_slices, "none",
         f"{facts.constant_slices} slices between others are without signal"),
        (above(facts.blank_mm, limits.blank_mm), "no signal", facts.blank_mm,
         f"at most {limits.blank_mm.check:g} mm",
         f"the spine runs into {facts.blank_mm:.0f} mm without signal"),
        (above(facts.mirrored, limits.mirrored), "mirrored", facts.mirrored,
         f"at most {limits.mirrored.check:g}",
         "one part of the image is the mirror image of another"),
        (contrast, "contrast", facts.csf_to_body, f"{low.check:g} to {high.check:g}",
         f"the canal is {facts.csf_to_body:.2f} times as bright as the bodies: this may be no T2w image"),
    ]  # fmt: skip
    return [
        Reason(verdict, kind, "scan", float(value), expected, text)
        for verdict, kind, value, expected, text in checks
        if verdict != GOOD
    ]


def check_networks(
    evidence: NetworkEvidence,
    places: Mapping[int, np.ndarray],
    limits: NetworkLimits,
    names: Mapping[int, str],
) -> list[Reason]:
    """Look for doubts of the networks.

    Args:
        evidence: What they say.
        places: Vertebra -> centre of its body, mm, of those that are whole.
        limits: Of this model.
        names: Label of the vertebra mask -> name.
    """
    return [*_margins(evidence, places, limits, names), *_agreements(evidence, places, limits, names)]


def _margins(
    evidence: NetworkEvidence,
    places: Mapping[int, np.ndarray],
    limits: NetworkLimits,
    names: Mapping[int, str],
) -> Iterator[Reason]:
    margins = evidence.margins
    if margins is None:
        return
    for structure, limit in limits.margins.items():
        value = margins.of_structure(structure)
        if (verdict := below(value, limit)) != GOOD:
            name = L.structure_name(structure)
            text = f"the network was unsure of {name}: margin {value:.2f}"
            yield Reason(verdict, "margin", name, value, f"at least {limit.check:g}", text)
    for label, point in places.items():
        value = margins.near(L.CORPUS, point, MARGIN_MM)
        if (verdict := below(value, limits.body_margin)) != GOOD:
            text = f"the network was unsure of the body of {names[label]}: margin {value:.2f}"
            expected = f"at least {limits.body_margin.check:g}"
            yield Reason(verdict, "margin", names[label], value, expected, text, label)


def _agreements(
    evidence: NetworkEvidence,
    places: Mapping[int, np.ndarray],
    limits: NetworkLimits,
    names: Mapping[int, str],
) -> Iterator[Reason]:
    points = np.array([one.point for one in evidence.vertebrae]).reshape(-1, 3)
    inner = list(places)[1:-1]
    for label, place in places.items():
        if not len(points):
            return
        away = np.linalg.norm(points - place, axis=1)
        one = evidence.vertebrae[int(away.argmin())]
        if away.min() > SAME_MM or (one.cutouts == 1 and label not in inner):
            continue
        if (verdict := below(one.dice, limits.agreement)) != GOOD:
            text = f"overlapping predictions of {names[label]} agree to {one.dice:.2f} only"
            expected = f"at least {limits.agreement.check:g}"
            yield Reason(verdict, "agreement", names[label], one.dice, expected, text, label)


def _apart(removed: Sequence[Removed], limits: AnatomyLimits) -> list[Reason]:
    """False bodies make the rest doubtful; crumbs of other structures are cured by taking them."""
    if not removed:
        return []
    total = sum(one.ml for one in removed)
    bodies = sum(one.ml for one in removed if one.structure in (L.CORPUS, L.CORPUS_INNER))
    place = L.structure_name(max(removed, key=lambda one: one.ml).structure)
    text = f"{total:.1f} ml apart from the column were taken away, most of it {place}"
    expected = f"at most {limits.removed_ml.check:g} ml of bodies"
    return [Reason(above(bodies, limits.removed_ml), "apart", place, bodies, expected, text)]
