"""Couple predictions that show the same vertebra: up to three cutouts see each one."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from spineps_rt.kernels.boxes import meet, within
from spineps_rt.stages.instance.cutouts import Prediction, Predictions

SAME_VERTEBRA_DICE = 0.3
REACH = 2
"""A vertebra is visible at most so many centres away."""
MOST_PARTNERS = 2

Member = tuple[int, int]
Couple = tuple[Member, ...]


def dice(a: Prediction, b: Prediction) -> float:
    """Dice coefficient of two masks, counted only where their boxes meet."""
    window = meet(a.box, b.box)
    if window is None:
        return 0.0
    common = np.count_nonzero(a.mask[within(a.box, window)] & b.mask[within(b.box, window)])
    return (2.0 * int(common)) / (a.size + b.size)


def couples(predictions: Predictions) -> dict[Couple, float]:
    """Group predictions that agree, the surest group first (SPINEPS 2.1.3 ``create_prediction_couples``).

    Args:
        predictions: Every class of every cutout.

    Returns:
        Couples of one to three members and their mean Dice, sorted by (members + 1) x agreement, descending.
        Two couples of the same members in another order count as two, as in SPINEPS: members are ordered by
        centre only, and of two from the same centre the better comes first.
    """
    found: dict[Couple, list[float]] = {}
    table = _dice_table(predictions)
    for anchor in sorted(predictions):
        couple, agreement = _couple_of(anchor, table[anchor], predictions)
        found.setdefault(couple, []).append(agreement)
    means = {couple: sum(values) / len(values) for couple, values in found.items()}
    return dict(sorted(means.items(), key=lambda item: (len(item[0]) + 1) * item[1], reverse=True))


def _dice_table(predictions: Predictions) -> dict[Member, dict[Member, float]]:
    """Dice of every prediction with those of the centres nearby, in the order of centre and class."""
    members = sorted(predictions)
    table: dict[Member, dict[Member, float]] = {member: {} for member in members}
    for first, second in combinations(members, 2):
        if 0 < second[0] - first[0] <= REACH:
            agreement = dice(predictions[first], predictions[second])
            table[first][second] = table[second][first] = agreement
    return table


def _couple_of(
    anchor: Member, agreements: dict[Member, float], predictions: Predictions
) -> tuple[Couple, float]:
    """Join a prediction with its best partners; of two that disagree only the better stays."""
    ranked = sorted(agreements.items(), key=lambda item: item[1], reverse=True)[:MOST_PARTNERS]
    partners = [(member, value) for member, value in ranked if value > SAME_VERTEBRA_DICE]
    if len(partners) == MOST_PARTNERS:
        first, second = (predictions[member] for member, _ in partners)
        if dice(first, second) < SAME_VERTEBRA_DICE:
            partners.pop()
    agreement = sum(value for _, value in partners) / len(partners) if partners else 0.0
    members = [*(member for member, _ in partners), anchor]
    return tuple(sorted(members, key=lambda member: member[0])), agreement
