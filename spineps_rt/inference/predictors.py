"""What the pipeline asks of its two networks."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np

from spineps_rt.models.manifest import InstanceModel, SemanticModel
from spineps_rt.options import SemanticOptions

TileProgress = Callable[[int, int], None]
"""Called with tiles done and tiles in all."""


@dataclass(frozen=True, eq=False)
class Margins:
    """By how much the classes of a semantic network won, row by row; tile by tile no volume is kept."""

    labels: np.ndarray
    """uint8 (classes,): label of each class."""
    table: np.ndarray
    """float64 (classes, rows, 2): voxels of a class in a row, and the sum of their margins; a margin is the
    lead of the best logit over the second as a share of its lead over the mean of all."""
    axis: int
    """Axis of the classified image along which the rows lie."""


@dataclass(frozen=True, eq=False)
class RunStats:
    """What a network ran for one scan."""

    provider: str
    """What really ran it."""
    samples: int
    """Tiles or cutouts that it was shown, mirrored ones included."""
    planned: int
    """As ``samples``, with the tiles that were left out because the spine does not reach them."""
    seconds: float
    """Wall time that it took for them."""
    margins: Margins | None = None
    """How sure a semantic network was; None where nobody counted."""


class SemanticPredictor(Protocol):
    """A semantic network over a whole volume."""

    @property
    def model(self) -> SemanticModel:
        """Its contract."""

    @property
    def provider(self) -> str:
        """What runs it."""

    def classify(
        self,
        image: np.ndarray,
        options: SemanticOptions,
        *,
        overwrite: bool = False,
        progress: TileProgress | None = None,
    ) -> tuple[np.ndarray, RunStats]:
        """Segment an image that already has the model's orientation and spacing.

        Args:
            image: 3-D real array, axes as the model's ``orientation``.
            options: Tile step, mirroring, which tiles are run, type of the sums.
            overwrite: The image may be overwritten, which spares a copy.
            progress: Called with tiles done and tiles in all.

        Returns:
            uint8 label map of the image's shape and axes, C-contiguous, and what was run.
        """


class InstancePredictor(Protocol):
    """An instance network over windows of a semantic mask."""

    @property
    def model(self) -> InstanceModel:
        """Its contract."""

    @property
    def provider(self) -> str:
        """What runs it."""

    def classify_windows(
        self, labels: np.ndarray, table: np.ndarray, starts: np.ndarray
    ) -> Generator[np.ndarray, None, RunStats]:
        """Answer windows of a semantic mask, one after the other.

        Args:
            labels: uint8 (P, I, R), the semantic mask.
            table: uint8 (256,): semantic label -> the network's label.
            starts: int64 (N, 3): the windows' first voxels; may be negative. Beyond the mask there are zeros.

        Yields:
            uint8 of the model's cutout (P, I, R), to be read before the next: 0 none, 1 above, 2 centre,
            3 below.

        Returns:
            What was run.
        """


@dataclass(frozen=True)
class Predictors:
    """The two networks of a pipeline; a context manager that closes what it opened."""

    semantic: SemanticPredictor
    """Says which structure a voxel belongs to."""
    instance: InstancePredictor
    """Says which vertebra."""
    opened: ExitStack | None = None
    """Closes the engines behind them; None where they are somebody else's."""

    @property
    def provider(self) -> str:
        """What really runs the networks; both where they differ."""
        return " and ".join(dict.fromkeys((self.semantic.provider, self.instance.provider)))

    def __enter__(self) -> Predictors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the engines' memory back."""
        if self.opened:
            self.opened.close()
