"""Label ids, names and colours: one table.

Ids are SPINEPS's (README of SPINEPS 2.1.3) and TPTBox's (``Location``, ``v_name2idx``): a semantic mask
holds :data:`STRUCTURES`; an instance mask holds a vertebra ``v`` of :data:`VERTEBRAE`, the disc below it as
``DISC_OFFSET + v`` and its endplates as ``ENDPLATE_OFFSET + v``.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

SACRUM = 26
ARCUS = 41
SPINOUS = 42
COSTAL_LEFT = 43
COSTAL_RIGHT = 44
SUPERIOR_ARTICULAR_LEFT = 45
SUPERIOR_ARTICULAR_RIGHT = 46
INFERIOR_ARTICULAR_LEFT = 47
INFERIOR_ARTICULAR_RIGHT = 48
CORPUS = 49  # TPTBox: Vertebra_Corpus_border, "actual corpus body"
CORPUS_INNER = 50  # TPTBox: Vertebra_Corpus; only dense models answer it
DENS = 51
ENDPLATE_SUPERIOR = 52
ENDPLATE_INFERIOR = 53
CORD = 60
CANAL = 61
ENDPLATE = 62
METAL = 80
DISC = 100

DISC_OFFSET = 100
ENDPLATE_OFFSET = 200
C2_INSTANCE = 2
SACRUM_INSTANCE = 26

VERTEBRA_STRUCTURES = tuple(range(ARCUS, CORPUS_INNER + 1))
"""Semantic ids that belong to a vertebra."""


class Structure(NamedTuple):
    """One semantic structure."""

    name: str
    """Human-readable name."""
    colour: tuple[int, int, int]
    """RGB, 0 to 255."""


STRUCTURES: dict[int, Structure] = {
    SACRUM: Structure("sacrum", (168, 112, 66)),
    ARCUS: Structure("vertebral arch", (238, 130, 58)),
    SPINOUS: Structure("spinous process", (216, 70, 58)),
    COSTAL_LEFT: Structure("transverse process, left", (120, 190, 84)),
    COSTAL_RIGHT: Structure("transverse process, right", (60, 150, 110)),
    SUPERIOR_ARTICULAR_LEFT: Structure("superior articular process, left", (94, 174, 224)),
    SUPERIOR_ARTICULAR_RIGHT: Structure("superior articular process, right", (58, 120, 200)),
    INFERIOR_ARTICULAR_LEFT: Structure("inferior articular process, left", (190, 120, 214)),
    INFERIOR_ARTICULAR_RIGHT: Structure("inferior articular process, right", (140, 76, 176)),
    CORPUS: Structure("vertebral body", (236, 200, 96)),
    CORD: Structure("spinal cord", (246, 240, 150)),
    CANAL: Structure("spinal canal", (104, 200, 216)),
    ENDPLATE: Structure("endplate", (232, 90, 140)),
    DISC: Structure("intervertebral disc", (90, 110, 222)),
}
"""The 14 structures of a semantic mask."""

ENDPLATE_STRUCTURES: dict[int, Structure] = {
    ENDPLATE_SUPERIOR: Structure("superior endplate", (240, 110, 150)),
    ENDPLATE_INFERIOR: Structure("inferior endplate", (200, 60, 120)),
}
"""What an endplate becomes in the final semantic mask once it is assigned to a vertebra."""

SEMANTIC_CLASSES = (0, *STRUCTURES)
"""Class index of the embedded semantic network -> label id; class 0 is background."""

VERTEBRAE: dict[int, str] = {
    **{i: f"C{i}" for i in range(1, 8)},
    **{i + 7: f"T{i}" for i in range(1, 13)},
    **{i + 19: f"L{i}" for i in range(1, 7)},
    SACRUM_INSTANCE: "S1",
    28: "T13",
}
"""Instance id -> level name (TPTBox ``v_name2idx``; T13 is 28)."""

VERTEBRA_IDS: dict[str, int] = {name: number for number, name in VERTEBRAE.items()}
"""Level name -> instance id."""

SPARE_INSTANCES: tuple[int, ...] = tuple(range(34, 40))
"""Ids that name no level, for vertebrae beyond the 25th: more than a spine has, so some of them are none."""

LEVEL_ORDER: tuple[int, ...] = (*range(1, 20), 28, *range(20, 26), *SPARE_INSTANCES, SACRUM_INSTANCE)
"""Instance ids from the head downwards, T13 between T12 and L1."""


def structure_name(label: int) -> str:
    """Name a semantic label: ``sacrum``.

    Args:
        label: A label of the semantic mask.

    Returns:
        The name; ``label 77`` where the table knows none.
    """
    structure = STRUCTURES.get(label) or ENDPLATE_STRUCTURES.get(label)
    return structure.name if structure else f"label {label}"


def instance_name(label: int) -> str:
    """Name an instance label: ``L4``, ``disc L4/L5`` as ``L4 disc``, ``L4 endplate``.

    Args:
        label: A label of the instance mask.

    Returns:
        The name; ``label 77`` where the table knows none.
    """
    for offset, suffix in ((ENDPLATE_OFFSET, " endplate"), (DISC_OFFSET, " disc"), (0, "")):
        if label > offset and label - offset in VERTEBRAE:
            return VERTEBRAE[label - offset] + suffix
    return f"label {label}"


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
