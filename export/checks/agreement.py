"""How far two answers of a network agree. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spineps_rt.errors import ModelError

SAME_CLASS, SAME_DICE = 0.999, 0.999
"""What an exported model must reach against the network it was made from."""
COUNTED = 1000
"""Voxels from which a class has a Dice: one voxel more or less is then at most half of what is allowed."""


@dataclass(frozen=True)
class Agreement:
    """Of one answer with the reference."""

    same_class: float
    """Fraction of a sample's voxels whose class is the same, of the sample where it is smallest."""
    worst_dice: float
    """Smallest Dice over the classes of at least :data:`COUNTED` voxels (mean of both answers) in all samples
    together; else 1."""
    largest_difference: float
    """Of the logits; of classes, 1 where any differs."""

    def require(self, what: str, *, dice: float = SAME_DICE) -> None:
        """Refuse an answer that is not the reference's.

        Raises:
            ModelError: The agreement is below the limits.
        """
        if not (self.same_class >= SAME_CLASS and self.worst_dice >= dice):
            raise ModelError(
                f"{what} differs from the network it was made from: {self}; expected the same class in "
                f"{SAME_CLASS:.1%} and a Dice of {dice} or more."
            )

    def __str__(self) -> str:
        return (
            f"same class {self.same_class:.4%}, smallest Dice {self.worst_dice:.5f}, "
            f"largest difference {self.largest_difference:.2g}"
        )


def worst(agreements: Iterable[Agreement]) -> Agreement:
    """The smallest agreement in each respect.

    Args:
        agreements: At least one.
    """
    found = list(agreements)
    return Agreement(
        min(a.same_class for a in found),
        min(a.worst_dice for a in found),
        max(a.largest_difference for a in found),
    )


def compare(answer: np.ndarray, reference: np.ndarray) -> Agreement:
    """Compare two answers.

    Args:
        answer: (N, classes, ...) float logits, or (N, ...) uint8 classes.
        reference: Of the same shape and kind.

    Returns:
        The agreement; one of zeros where a logit is NaN or infinite.
    """
    if not np.isfinite(answer).all():
        return Agreement(0.0, 0.0, float("inf"))
    difference = float(np.abs(answer.astype(np.float32) - reference.astype(np.float32)).max())
    logits = answer.dtype.kind == "f"
    one, two = (a.argmax(1) if logits else a for a in (answer, reference))
    dice = [1.0]
    for c in np.union1d(one, two):
        both = np.count_nonzero(one == c) + np.count_nonzero(two == c)
        if both >= 2 * COUNTED:
            dice.append(2.0 * np.count_nonzero((one == c) & (two == c)) / both)
    return Agreement(
        min(float((a == b).mean()) for a, b in zip(one, two)),
        float(min(dice)),
        difference if logits else float(difference > 0),
    )
