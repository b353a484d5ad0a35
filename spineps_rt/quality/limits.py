"""Thresholds of the checks; docs/quality.md says where each comes from.

What is anatomy or physics holds for any network. What the networks say of themselves does not, so it has a
table of its own, and a network that is not in it is not judged by its margins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from spineps_rt.labels import CORPUS, DISC


class Limits(NamedTuple):
    """Where ``check`` begins and where ``reject`` does."""

    check: float
    reject: float


@dataclass(frozen=True)
class AnatomyLimits:
    """What a spine looks like; ratios are to what the neighbours let expect."""

    fragment: Limits = Limits(0.45, 0.15)
    """Volume of a body below."""
    fusion: Limits = Limits(1.6, 3.0)
    """Volume of a body above."""
    tall: Limits = Limits(1.45, 2.2)
    """Height of a body above."""
    low: Limits = Limits(0.55, 0.2)
    """Height of a body below."""
    far: Limits = Limits(1.45, 2.5)
    """Distance of neighbouring centres above: a vertebra is missing."""
    near: Limits = Limits(0.6, 0.3)
    """Distance of neighbouring centres below: a vertebra is in two."""
    off_course_mm: Limits = Limits(10.0, 25.0)
    """Distance of a centre from the line through its neighbours above."""
    pitch_mm: tuple[Limits, Limits] = (Limits(13.0, 9.0), Limits(46.0, 55.0))
    """Mean distance of neighbouring centres below and above: the header's sizes are wrong."""
    disc_small: Limits = Limits(0.15, 0.0)
    """Volume of a disc below."""
    disc_large: Limits = Limits(3.0, 9.0)
    """Volume of a disc above."""
    sacrum_tall: Limits = Limits(3.7, 5.0)
    """Length of the sacrum in distances of neighbouring lumbar centres above."""
    canal_gap_mm: Limits = Limits(20.0, 60.0)
    """Rows between the first and the last body that show no canal above."""
    from_canal_mm: Limits = Limits(45.0, 60.0)
    """Distance of a body's centre from the canal above."""
    fewest: Limits = Limits(2.5, 1.5)
    """Bodies below."""
    removed_ml: Limits = Limits(40.0, 1e9)
    """Of bodies that were taken away as apart from the column above."""
    lopsided: Limits = Limits(6.0, 1e9)
    """Left processes over right ones, or the reverse, above."""


@dataclass(frozen=True)
class ImageLimits:
    """What a T2-weighted image looks like."""

    levels: Limits = Limits(48, 16)
    """Grey values below."""
    spike: Limits = Limits(4.0, 20.0)
    """Whole range over the range of all but the outermost thousandths above."""
    stray: Limits = Limits(0.3, 0.6)
    """Share of slices whose most similar one is no neighbour above."""
    constant_slices: Limits = Limits(0.5, 3.5)
    """Slices without signal between others above."""
    blank_mm: Limits = Limits(15.0, 1e9)
    """Rows without signal that the spine runs into above."""
    mirrored: Limits = Limits(0.995, 0.999)
    """Correlation of rows with their mirror images above."""
    csf_to_body: tuple[Limits, Limits] = (Limits(1.15, 0.3), Limits(7.0, 1e9))
    """CSF over body below and above: T1w or inverted; fat suppressed."""


@dataclass(frozen=True)
class NetworkLimits:
    """What networks say of themselves where they fail."""

    margins: Mapping[int, Limits]
    """Structure -> mean margin in the whole scan below."""
    body_margin: Limits
    """Mean margin of bodies in a vertebra's rows below."""
    agreement: Limits
    """Dice of the cutouts that show a vertebra below."""


@dataclass(frozen=True)
class QualityLimits:
    """All of them."""

    anatomy: AnatomyLimits = field(default_factory=AnatomyLimits)
    image: ImageLimits = field(default_factory=ImageLimits)
    networks: Mapping[str, NetworkLimits] = field(
        default_factory=lambda: {
            "t2w_semantic": NetworkLimits(
                margins={CORPUS: Limits(0.30, 0.20), DISC: Limits(0.22, 0.12)},
                body_margin=Limits(0.25, 0.12),
                agreement=Limits(0.50, 0.25),
            )
        }
    )
    """Name of the semantic model -> its limits."""
