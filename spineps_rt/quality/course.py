"""A smooth course along the column, and what departs from it."""

from __future__ import annotations

import numpy as np

REACH = 3
"""Neighbours on either side that say what is to be expected."""
FEWEST = 2
"""Of fewer neighbours nothing is expected."""
STEEPEST = 0.15
"""Bodies grow by no more than this share from one to the next."""


def ratios_to_course(values: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Compare every value with what its neighbours let expect.

    In logarithms: the median of what neighbours say, each by the median slope of all pairs among them (Theil
    and Sen), so that one or two odd ones among six do no harm.

    Args:
        values: float64 (n,), positive, from the head downwards.
        sound: bool (n,): whether a value may speak for others.

    Returns:
        float64 (n,): value over expectation; NaN where too few neighbours are sound.
    """
    logs = np.log(np.maximum(values, 1e-6))
    answer = np.full(len(values), np.nan)
    for n in range(len(values)):
        near = np.array([m for m in range(n - REACH, n + REACH + 1) if m != n and 0 <= m < len(values)], int)
        near = near[sound[near]] if len(near) else near
        if len(near) >= FEWEST:
            answer[n] = np.exp(logs[n] - _expected(n, near, logs[near]))
    return answer


def _expected(n: int, places: np.ndarray, logs: np.ndarray) -> float:
    first, second = np.triu_indices(len(places), 1)
    slope = float(np.median((logs[second] - logs[first]) / (places[second] - places[first])))
    slope = min(max(slope, -STEEPEST), STEEPEST)
    return float(np.median(logs + slope * (n - places)))


def off_course(centres: np.ndarray) -> np.ndarray:
    """Distance of every centre from the line through the ones before and behind it.

    Args:
        centres: float64 (n, 3), mm, from the head downwards.

    Returns:
        float64 (n,), mm; NaN at both ends.
    """
    answer = np.full(len(centres), np.nan)
    for n in range(1, len(centres) - 1):
        line = centres[n + 1] - centres[n - 1]
        line = line / max(float(np.linalg.norm(line)), 1e-9)
        way = centres[n] - centres[n - 1]
        answer[n] = float(np.linalg.norm(way - line * (way @ line)))
    return answer
