"""What a run gives back, and what passes between its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spineps_rt.labels import DISC_OFFSET, LEVEL_ORDER, SACRUM_INSTANCE, VERTEBRAE

if TYPE_CHECKING:
    from collections.abc import Container

    from spineps_rt.kernels.boxes import Box
    from spineps_rt.options import Options
    from spineps_rt.quality.networks import NetworkEvidence
    from spineps_rt.quality.verdict import Quality
    from spineps_rt.stages.points import Centroids
    from spineps_rt.timing import Clock, StageTime
    from spineps_rt.volume import Volume


def vertebra_names(present: Container[int], *, anatomical: bool) -> dict[int, str]:
    """Name the vertebrae of an instance mask.

    Args:
        present: Labels that occur.
        anatomical: Whether the numbers are levels.

    Returns:
        Instance id -> name, from the head downwards: ``L4``, or ``V3`` where the numbers are no levels.
    """
    found = [v for v in LEVEL_ORDER if v in present]
    if anatomical:
        return {v: VERTEBRAE[v] for v in found}
    return {v: VERTEBRAE[v] if v == SACRUM_INSTANCE else f"V{n}" for n, v in enumerate(found, 1)}


def place_names(present: Container[int], *, anatomical: bool) -> dict[int, str]:
    """Name vertebrae, and the discs below them: ``disc L4/L5``.

    Args:
        present: Labels of the instance mask that occur.
        anatomical: Whether the numbers are levels.
    """
    names = vertebra_names(present, anatomical=anatomical)
    ids = list(names)
    discs = {}
    for upper, lower in zip(ids, [*ids[1:], None]):
        if DISC_OFFSET + upper in present:
            discs[DISC_OFFSET + upper] = (
                f"disc {names[upper]}/{names[lower]}" if lower else f"disc below {names[upper]}"
            )
    above = [v for v in LEVEL_ORDER if DISC_OFFSET + v in present and v not in names]
    discs |= {DISC_OFFSET + v: f"disc above {names[ids[0]]}" for v in above if ids and v < ids[0]}
    return names | discs


@dataclass(frozen=True)
class Network:
    """A network that took part in a run."""

    kind: str
    """``semantic`` or ``instance``."""
    name: str
    """The model's name."""
    sha256: str
    """Of its graph."""
    provider: str
    """The engine that really ran."""
    samples: int
    """Tiles or cutouts that it was shown, mirrored ones included."""
    planned: int
    """As ``samples``, with the tiles that were left out because the spine does not reach them."""
    seconds: float
    """Wall time that it took for them."""


@dataclass(frozen=True)
class Source:
    """Where a scan came from."""

    name: str
    """File name without its folder, as it can be printed."""
    sha256: str | None
    """Of the file; None for a volume that was handed over in memory."""


@dataclass(frozen=True, eq=False)
class Result:
    """Masks, points and everything worth knowing about how they came about."""

    image: Volume
    """The scan as it was read."""
    semantic: Volume
    """uint8, on the scan's grid; ids of :data:`spineps_rt.labels.STRUCTURES`, endplates as 52 and 53."""
    instances: Volume
    """uint16, on the scan's grid; vertebra ``v``, its disc ``100 + v``, its endplates ``200 + v``."""
    centroids: Centroids
    """Centres of the vertebral bodies and of the sacrum, in voxels of the scan's grid."""
    volumes: dict[int, float]
    """Instance label -> millilitres."""
    structure_volumes: dict[int, float]
    """Semantic label -> millilitres."""
    warnings: tuple[str, ...]
    """What a reader of the masks should know."""
    quality: Quality
    """How far the masks can be trusted: verdicts for the scan, each vertebra and each disc, with reasons."""
    anatomical: bool
    """Whether the vertebrae's numbers are levels; otherwise they count from the top."""
    stages: tuple[StageTime, ...]
    """Stages in the order in which they ran."""
    networks: tuple[Network, ...]
    """The networks and the engines that ran them."""
    source: Source
    """The scan."""
    options: Options
    """What was asked for."""

    @property
    def vertebrae(self) -> tuple[str, ...]:
        """Names of the vertebrae found, from the head downwards."""
        return tuple(self.names.values())

    @property
    def names(self) -> dict[int, str]:
        """Instance id -> name, from the head downwards: ``L4``, or ``V3`` where the numbers are no levels."""
        return vertebra_names(self.volumes, anatomical=self.anatomical)

    @property
    def places(self) -> dict[int, str]:
        """Label -> name of vertebrae and of the discs below them: ``disc L4/L5``."""
        return place_names(self.volumes, anatomical=self.anatomical)

    @property
    def seconds(self) -> dict[str, float]:
        """Stage -> seconds."""
        return {stage.stage: stage.seconds for stage in self.stages}

    @property
    def peak_bytes(self) -> int:
        """Largest resident memory of the process."""
        return max((stage.peak_bytes for stage in self.stages), default=0)


@dataclass
class Prepared:
    """A scan before the networks; ``Pipeline.predict`` uses it up, so that memory is free early."""

    image: Volume
    """The scan as it was read."""
    source: Source
    """Where it came from."""
    clock: Clock
    """Times of the stages so far."""
    network_input: list[Volume]
    """The scan in the semantic model's orientation and spacing; empty once it was predicted."""
    box: Box
    """What of it the network is shown."""


@dataclass
class Predicted:
    """A scan after the networks; ``Pipeline.finish`` uses it up, so that memory is free early."""

    image: Volume
    """The scan as it was read."""
    source: Source
    """Where it came from."""
    clock: Clock
    """Times of the stages so far."""
    masks: list[Volume]
    """Semantic and instance mask, each at its model's spacing; empty once it was finished."""
    warnings: tuple[str, ...]
    """What the instance stage says about them."""
    networks: tuple[Network, Network]
    """What ran."""
    evidence: NetworkEvidence
    """How sure the networks were."""
