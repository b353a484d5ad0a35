"""What the two networks themselves say about how sure they were, in places of the scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spineps_rt.stages.instance.segment import Agreement


@dataclass(frozen=True, eq=False)
class MarginTable:
    """By how much structures won over the second best, row by row along the spine."""

    labels: np.ndarray
    """uint8 (classes,): structure of each class."""
    table: np.ndarray
    """float64 (classes, rows, 2): voxels of a class in a row, and the sum of their margins, 0 to about 1."""
    to_row: np.ndarray
    """float64 (4,): ``to_row[:3] @ point + to_row[3]`` is the row of a point in mm, with fractions."""

    def of_structure(self, label: int) -> float:
        """Mean margin of a structure; NaN where no voxel has it."""
        return self._mean(label, slice(None))

    def near(self, label: int, point: np.ndarray, reach: float) -> float:
        """Mean margin of a structure's voxels in the rows around a point; NaN where there are none.

        Args:
            label: Structure.
            point: float64 (3,), mm.
            reach: mm along the rows' direction, to both sides.
        """
        row = float(self.to_row[:3] @ point + self.to_row[3])
        rows = reach * float(np.linalg.norm(self.to_row[:3]))
        low, high = max(round(row - rows), 0), min(round(row + rows) + 1, self.table.shape[1])
        return self._mean(label, slice(low, max(high, low)))

    def _mean(self, label: int, rows: slice) -> float:
        voxels, margins = self.table[self.labels == label, rows].sum(axis=(0, 1))
        return float(margins / voxels) if voxels else float("nan")


@dataclass(frozen=True)
class SeenTogether:
    """A vertebra as several overlapping cutouts of phase two show it."""

    point: tuple[float, ...]
    """Its centre, mm."""
    cutouts: int
    """That show it, 1 to 3."""
    dice: float
    """Mean agreement of one with the others; 0 of a single one."""


@dataclass(frozen=True)
class NetworkEvidence:
    """Everything that is known about the networks' doubts."""

    margins: MarginTable | None
    """Of the semantic network; None where nobody counted."""
    vertebrae: tuple[SeenTogether, ...]
    """Of the instance network."""


def seen_together(agreements: Sequence[Agreement], affine: np.ndarray) -> tuple[SeenTogether, ...]:
    """Give the vertebrae of phase two their place in mm.

    Args:
        agreements: Of the instance stage.
        affine: float64 (4, 4), voxels of its mask -> mm.
    """
    return tuple(
        SeenTogether(tuple((affine[:3, :3] @ one.centre + affine[:3, 3]).tolist()), one.cutouts, one.dice)
        for one in agreements
    )
