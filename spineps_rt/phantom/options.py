"""What a phantom shows: levels, field of view, voxel size and variants of anatomy."""

from __future__ import annotations

from dataclasses import dataclass, field

from spineps_rt.errors import ContractError
from spineps_rt.labels import C2_INSTANCE, SACRUM_INSTANCE, VERTEBRA_IDS

T13 = 28
L6 = 25
TRANSITIONAL = ("none", "T13", "L6", "no_T12", "sacralised_L5")


@dataclass(frozen=True)
class Variants:
    """What departs from the average spine; tuples hold level names, a disc goes by the vertebra above it."""

    transitional: str = "none"
    """One of :data:`TRANSITIONAL`."""
    collapsed: tuple[str, ...] = ()
    """Vertebrae with a wedge or biconcave fracture."""
    fused: tuple[str, ...] = ()
    """Vertebrae grown together with the next one: no disc, no endplates between."""
    missing_discs: tuple[str, ...] = ()
    """Discs worn away so that the endplates touch."""
    bridged: tuple[str, ...] = ()
    """Thin dark discs with osteophytes bridging them."""
    degenerated: tuple[str, ...] = ()
    """Dark, lower, bulging discs."""
    herniated: tuple[str, ...] = ()
    """Discs that push into the canal."""
    osteophytes: float = 0.2
    """Size of the bodies' rims, 0 to 1."""
    scoliosis_deg: float = 0.0
    """Largest lateral tilt of a vertebra in degrees."""
    curvature: float = 1.0
    """Scale of lordosis and kyphosis."""
    tilt_deg: float = 0.0
    """Tilt of the whole spine in the sagittal plane in degrees."""
    scale: float = 1.0
    """Size of the patient, 0.5 to 1.5."""
    fat_mm: float = 16.0
    """Thickness of the fat behind the spine."""
    muscle_fat: float = 0.3
    """Share of the back muscles that fat has replaced, 0 to 1."""
    coccyx: bool = True
    """Whether a coccyx follows the sacrum (it is background: SPINEPS has no label for it)."""

    def __post_init__(self) -> None:
        if self.transitional not in TRANSITIONAL:
            raise ContractError(f"Transitional {self.transitional!r}: choose from {', '.join(TRANSITIONAL)}.")
        if not 0.5 <= self.scale <= 1.5:
            raise ContractError(f"Scale {self.scale}: it must lie between 0.5 and 1.5.")


@dataclass(frozen=True)
class PhantomOptions:
    """What to build.

    Raises:
        ContractError: A level, spacing or size that no scan has.
    """

    levels: tuple[str, str] = ("T11", "L5")
    """Uppermost and lowermost vertebra that lie whole in the field of view."""
    sacrum: bool | None = None
    """Whether the field of view reaches over the sacrum; None: when the last lumbar vertebra is in it."""
    spacing: tuple[float, float, float] = (0.9, 0.9, 4.0)
    """Voxel size in mm along the posterior, inferior and right axis, whatever the orientation."""
    orientation: tuple[str, str, str] = ("P", "I", "R")
    """Axis codes of the arrays."""
    margin_mm: tuple[float, float] = (15.0, 15.0)
    """Field of view above and below the levels; negative values cut into the outermost vertebrae."""
    fov_mm: tuple[float, float, float] = (180.0, 0.0, 70.0)
    """Extent along P, I, R; 0 along I: as the levels need."""
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Shift of the field of view along P, I, R."""
    variants: Variants = field(default_factory=Variants)
    """Anatomy."""

    def __post_init__(self) -> None:
        first, last = (self.level_id(name) for name in self.levels)
        for names in (value for value in vars(self.variants).values() if isinstance(value, tuple)):
            for name in names:
                self.level_id(name)
        if order(first) > order(last):
            raise ContractError(
                f"Levels {self.levels[0]}-{self.levels[1]} run upwards: name the upper level first."
            )
        if not all(0.3 <= mm <= 12.0 for mm in self.spacing):
            raise ContractError(f"Spacing {self.spacing} mm: each must lie between 0.3 and 12 mm.")
        codes = "".join(self.orientation)
        if sorted("RLAPSI".find(code) // 2 for code in codes) != [0, 1, 2]:
            raise ContractError(f"Orientation {codes!r}: give one of R/L, A/P and S/I each, as PIR or RAS.")
        if not all(0.0 <= mm <= 1200.0 for mm in self.fov_mm):
            raise ContractError(f"Field of view {self.fov_mm} mm: each must lie between 0 and 1200 mm.")

    def level_id(self, name: str) -> int:
        """Instance id of a level that this spine has."""
        ids = spine_ids(self.variants.transitional)
        number = VERTEBRA_IDS.get(name.upper(), 0)
        if number not in ids:
            known = [key for key, value in VERTEBRA_IDS.items() if value in ids]
            raise ContractError(f"Level {name!r}: this spine has {', '.join(known)}.")
        return number


def order(number: int) -> float:
    """Place of an instance id from the head downwards (T13 between T12 and L1)."""
    return 19.5 if number == T13 else float(number)


def spine_ids(transitional: str) -> list[int]:
    """Instance ids of the vertebrae of a spine from C2 to the last one above the sacrum, downwards."""
    ids = set(range(C2_INSTANCE, L6))
    ids |= {T13} if transitional == "T13" else {L6} if transitional == "L6" else set()
    ids -= {19} if transitional == "no_T12" else set()
    ids.discard(SACRUM_INSTANCE)
    return sorted(ids, key=order)
