"""What the masks say about themselves: sizes, heights and distances along the column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from spineps_rt import labels as L
from spineps_rt.quality.column import Column
from spineps_rt.quality.course import off_course, ratios_to_course
from spineps_rt.quality.limits import AnatomyLimits, Limits
from spineps_rt.quality.verdict import CHECK, GOOD, REJECT, Reason


def above(value: float, limits: Limits) -> str:
    """Verdict of a value that should not be high; of NaN ``good``."""
    return REJECT if value > limits.reject else CHECK if value > limits.check else GOOD


def below(value: float, limits: Limits) -> str:
    """Verdict of a value that should not be low; of NaN ``good``."""
    return REJECT if value < limits.reject else CHECK if value < limits.check else GOOD


def check_anatomy(column: Column, limits: AnatomyLimits, names: Mapping[int, str]) -> list[Reason]:
    """Look for what no spine is like.

    Args:
        column: The measured column.
        limits: Thresholds.
        names: Label of the vertebra mask -> name.

    Returns:
        Reasons, remarks among them.
    """
    found = [
        *_sizes(column, limits, names),
        *_distances(column, limits, names),
        *_discs(column, limits, names),
        *_sacrum(column, limits),
        *_canal(column, limits, names),
        *_whole(column, limits),
        *_borders(column, names),
    ]
    return found


def _sizes(column: Column, limits: AnatomyLimits, names: Mapping[int, str]) -> Iterator[Reason]:
    """Fragments, fusions, bodies too tall or too low."""
    bodies = column.bodies
    sound = np.array([not part.cut for part in bodies], bool)
    volume = ratios_to_course(np.array([part.ml for part in bodies]), sound)
    height = ratios_to_course(np.array([part.height for part in bodies]), sound)
    for part, ml, mm in zip(bodies, volume, height):
        name = names[part.label]
        if (verdict := above(ml, limits.fusion)) != GOOD:
            text = f"the body of {name} has {part.ml:.1f} ml, {ml:.1f} times what its neighbours let expect"
            yield Reason(verdict, "fusion", name, ml, f"at most {limits.fusion.check:g}", text, part.label)
        if (verdict := above(mm, limits.tall)) != GOOD:
            text = f"the body of {name} is {part.height:.0f} mm high, {mm:.1f} times what is expected there"
            yield Reason(verdict, "height", name, mm, f"at most {limits.tall.check:g}", text, part.label)
        if part.cut:
            continue
        if (verdict := below(ml, limits.fragment)) != GOOD:
            text = f"the body of {name} has only {part.ml:.1f} ml, {ml:.2f} of what its neighbours let expect"
            yield Reason(
                verdict, "fragment", name, ml, f"at least {limits.fragment.check:g}", text, part.label
            )
        if (verdict := below(mm, limits.low)) != GOOD:
            text = f"the body of {name} is only {part.height:.0f} mm high, {mm:.2f} of what is expected there"
            yield Reason(verdict, "height", name, mm, f"at least {limits.low.check:g}", text, part.label)


def _distances(column: Column, limits: AnatomyLimits, names: Mapping[int, str]) -> Iterator[Reason]:
    """Missing and doubled vertebrae, and ones that stand beside the column."""
    bodies, pitches = column.bodies, column.pitches
    sound = np.array([not (a.cut or b.cut) for a, b in pairwise(bodies)], bool)
    for upper, lower, ratio, mm in zip(bodies, bodies[1:], ratios_to_course(pitches, sound), pitches):
        name = names[lower.label]
        pair = f"{names[upper.label]} and {name}"
        if (verdict := above(ratio, limits.far)) != GOOD:
            text = f"{pair} are {mm:.0f} mm apart, {ratio:.1f} times what is expected: one may be missing"
            yield Reason(verdict, "gap", name, ratio, f"at most {limits.far.check:g}", text, lower.label)
        if not (upper.cut or lower.cut) and (verdict := below(ratio, limits.near)) != GOOD:
            text = f"{pair} are {mm:.0f} mm apart, {ratio:.2f} of what is expected: they may be one"
            yield Reason(verdict, "split", name, ratio, f"at least {limits.near.check:g}", text, lower.label)
    for upper, lower in pairwise(bodies):
        if missing := _between(upper.label, lower.label):
            name, count = names[lower.label], len(missing)
            text = f"vertebrae that are missing between {names[upper.label]} and {name}: {count}"
            yield Reason(CHECK, "gap", name, count, "none", text, lower.label)
    centres = np.array([part.centre for part in bodies]).reshape(-1, 3)
    for part, mm in zip(bodies, off_course(centres)):
        if not part.cut and (verdict := above(mm, limits.off_course_mm)) != GOOD:
            name = names[part.label]
            text = f"{name} lies {mm:.0f} mm off the line of its neighbours"
            expected = f"at most {limits.off_course_mm.check:g} mm"
            yield Reason(verdict, "off course", name, float(mm), expected, text, part.label)


def _between(upper: int, lower: int) -> list[int]:
    """Numbers that are left free between two vertebrae; T13 is there in few."""
    places = L.LEVEL_ORDER.index(upper) + 1, L.LEVEL_ORDER.index(lower)
    return [
        v for v in L.LEVEL_ORDER[slice(*places)] if v not in (L.VERTEBRA_IDS["T13"], L.VERTEBRA_IDS["L6"])
    ]


def _discs(column: Column, limits: AnatomyLimits, names: Mapping[int, str]) -> Iterator[Reason]:
    """One disc between two neighbours, of a size that fits."""
    bodies, discs = column.bodies, column.discs
    for upper, lower in pairwise(bodies):
        place = f"disc {names[upper.label]}/{names[lower.label]}"
        pieces = discs[upper.label].pieces if upper.label in discs else 0
        if not pieces and not (upper.cut or lower.cut):
            text = f"no disc between {names[upper.label]} and {names[lower.label]}: they may be one vertebra"
            yield Reason(CHECK, "missing disc", place, 0, "1 disc", text, upper.label)
        elif pieces > 1:
            text = f"{pieces} discs between {names[upper.label]} and {names[lower.label]}"
            label = L.DISC_OFFSET + upper.label
            yield Reason(CHECK, "doubled disc", place, pieces, "1 disc", text, label)
    between = [discs[v.label] for v in bodies if v.label in discs]
    volumes = np.array([part.ml for part in between])
    for part, ratio in zip(between, ratios_to_course(volumes, np.array([not p.cut for p in between], bool))):
        name = names.get(part.label, f"disc {part.label}")
        if (verdict := above(ratio, limits.disc_large)) != GOOD:
            text = f"{name} has {part.ml:.1f} ml, {ratio:.1f} times what its neighbours let expect"
            expected = f"at most {limits.disc_large.check:g}"
            yield Reason(verdict, "disc size", name, ratio, expected, text, part.label)
        elif not part.cut and (verdict := below(ratio, limits.disc_small)) != GOOD:
            text = f"{name} has {part.ml:.2f} ml, {ratio:.2f} of what its neighbours let expect"
            expected = f"at least {limits.disc_small.check:g}"
            yield Reason(verdict, "disc size", name, ratio, expected, text, part.label)


def _sacrum(column: Column, limits: AnatomyLimits) -> Iterator[Reason]:
    """A sacrum that has swallowed a vertebra."""
    if column.sacrum is None or len(column.bodies) < FEW:
        return
    usual = float(np.median(column.pitches[-4:]))
    ratio = column.sacrum.height / max(usual, 1e-9)
    if (verdict := above(ratio, limits.sacrum_tall)) != GOOD:
        text = (
            f"the sacrum is {column.sacrum.height:.0f} mm long, {ratio:.1f} times the distance of lumbar "
            "vertebrae: it may hold L5"
        )
        expected = f"at most {limits.sacrum_tall.check:g}"
        yield Reason(verdict, "tall sacrum", "sacrum", ratio, expected, text, L.SACRUM_INSTANCE)


WIDE_MM = 60.0
"""Scans narrower than this show one side's processes only by chance."""
FEW = 3
"""Of fewer bodies nothing is said about their course."""


def _canal(column: Column, limits: AnatomyLimits, names: Mapping[int, str]) -> Iterator[Reason]:
    """A canal that runs along all bodies, close to each."""
    if len(column.bodies) < 2:
        return
    first, last = (part.centre[1] for part in (column.bodies[0], column.bodies[-1]))
    step = column.voxel[1]
    rows = column.rows[round(first / step) : round(last / step) + 1]
    missing = float(np.count_nonzero(rows == 0) * step)
    if (verdict := above(missing, limits.canal_gap_mm)) != GOOD:
        text = f"{missing:.0f} mm of the column have no canal"
        expected = f"at most {limits.canal_gap_mm.check:g} mm"
        yield Reason(verdict, "canal gap", "spinal canal", missing, expected, text)
    if not len(column.canal):
        return
    for part in column.bodies:
        if part.cut:
            continue
        away = float(np.linalg.norm(column.canal - part.centre, axis=1).min())
        if (verdict := above(away, limits.from_canal_mm)) != GOOD:
            name = names[part.label]
            text = f"the body of {name} lies {away:.0f} mm from the canal"
            expected = f"at most {limits.from_canal_mm.check:g} mm"
            yield Reason(verdict, "far from canal", name, away, expected, text, part.label)


def _whole(column: Column, limits: AnatomyLimits) -> Iterator[Reason]:
    """Number of bodies, their usual distance, left against right."""
    count = len(column.bodies)
    if (verdict := below(count, limits.fewest)) != GOOD:
        text = f"{count} vertebral bodies were found"
        yield Reason(verdict, "few vertebrae", "scan", count, f"at least {FEW}", text)
    if count >= FEW:
        pitch = float(np.median(column.pitches))
        short, long = limits.pitch_mm
        if (verdict := max(below(pitch, short), above(pitch, long), key=(GOOD, CHECK, REJECT).index)) != GOOD:
            text = f"vertebrae are {pitch:.0f} mm apart: the header's voxel size may be wrong"
            expected = f"{short.check:g} to {long.check:g} mm"
            yield Reason(verdict, "vertebra distance", "scan", pitch, expected, text)
    if column.across < WIDE_MM:
        return
    left, right = (max(column.sides.get(side, 0.0), 0.1) for side in ("left", "right"))
    ratio = max(left / right, right / left)
    if (verdict := above(ratio, limits.lopsided)) != GOOD:
        text = f"processes of the left have {left:.1f} ml, those of the right {right:.1f}"
        yield Reason(verdict, "lopsided", "scan", ratio, f"at most {limits.lopsided.check:g}", text)


def _borders(column: Column, names: Mapping[int, str]) -> Iterator[Reason]:
    """Remarks on what the scan's edge cuts."""
    for part in (*column.bodies, *column.discs.values()):
        if part.cut:
            name = names.get(part.label, str(part.label))
            text = f"{name} is cut by the edge of the scan"
            yield Reason(GOOD, "cut", name, 1, "whole", text, part.label)
