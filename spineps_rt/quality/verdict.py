"""A verdict, the reasons behind it, and how both add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from spineps_rt.errors import QualityError

GOOD, CHECK, REJECT = VERDICTS = ("good", "check", "reject")
"""From the best to the worst: use it; look at it before use; do not use it."""


def worst(verdicts: Iterable[str]) -> str:
    """The worst of some verdicts; ``good`` of none."""
    return max(verdicts, key=VERDICTS.index, default=GOOD)


@dataclass(frozen=True)
class Reason:
    """Something that speaks against a mask, or that a reader should know."""

    verdict: str
    """What it leads to; ``good`` is a remark that alarms nobody."""
    kind: str
    """Name of the check, as docs/quality.md lists them."""
    place: str
    """Name of the vertebra, disc or structure, or ``scan``."""
    value: float
    """What was measured."""
    expected: str
    """What was expected, with its unit."""
    text: str
    """One sentence for a reader."""
    label: int | None = None
    """The place's label in the vertebra mask; None where it has none."""


@dataclass(frozen=True)
class Quality:
    """How far a result can be trusted."""

    reasons: tuple[Reason, ...] = ()
    """The worst first."""
    places: Mapping[int, str] = field(default_factory=dict)
    """Label of each vertebra and disc of the vertebra mask -> its verdict; read-only."""

    def __post_init__(self) -> None:
        ranked = sorted(self.reasons, key=lambda reason: -VERDICTS.index(reason.verdict))
        object.__setattr__(self, "reasons", tuple(ranked))
        object.__setattr__(self, "places", MappingProxyType(dict(self.places)))

    @property
    def verdict(self) -> str:
        """Of the scan: the worst of all reasons."""
        return worst(reason.verdict for reason in self.reasons)

    @property
    def alarms(self) -> tuple[Reason, ...]:
        """The reasons that are more than a remark."""
        return tuple(reason for reason in self.reasons if reason.verdict != GOOD)

    @property
    def doubtful(self) -> tuple[int, ...]:
        """Labels of the vertebrae and discs that are not good."""
        return tuple(label for label, verdict in self.places.items() if verdict != GOOD)

    def demand(self, refused: str) -> None:
        """Refuse a verdict, and what is worse.

        Args:
            refused: ``check`` or ``reject``.

        Raises:
            QualityError: The scan's verdict is that or worse.
        """
        if VERDICTS.index(self.verdict) < VERDICTS.index(refused):
            return
        first = "; ".join(reason.text for reason in self.alarms[:3])
        left = len(self.alarms) - 3
        more = f"; and {left} more" if left > 0 else ""
        raise QualityError(
            f"The verdict on the masks is {self.verdict!r}: {first}{more}. "
            f"Expected better than {refused!r}: look at the scan, or leave --strict out to get the masks."
        )

    def with_reasons(self, reasons: Iterable[Reason]) -> Quality:
        """Add reasons that other stages found; places follow."""
        more = tuple(reasons)
        places = dict(self.places)
        for reason in more:
            if reason.label in places:
                places[reason.label] = worst((places[reason.label], reason.verdict))
        return replace(self, reasons=self.reasons + more, places=places)

    def as_record(self, names: Mapping[int, str]) -> dict[str, Any]:
        """Describe it for the run record.

        Args:
            names: Label of the vertebra mask -> name.
        """
        return {
            "verdict": self.verdict,
            "places": {names.get(label, str(label)): verdict for label, verdict in self.places.items()},
            "reasons": [
                {
                    "verdict": reason.verdict,
                    "kind": reason.kind,
                    "place": reason.place,
                    "value": round(reason.value, 4),
                    "expected": reason.expected,
                    "text": reason.text,
                }
                for reason in self.reasons
            ],
        }


def judged(reasons: Iterable[Reason], labels: Iterable[int]) -> Quality:
    """Sum up reasons.

    Args:
        reasons: All of them.
        labels: Of the vertebrae and discs that there are.

    Returns:
        Verdicts for the scan and for each of these.
    """
    return Quality(places=dict.fromkeys(labels, GOOD)).with_reasons(reasons)
