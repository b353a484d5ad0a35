"""What a voxel of the phantom is made of: the structures' own tissues and those around the spine."""

from __future__ import annotations

from enum import IntEnum


class Tissue(IntEnum):
    """Tissue of a voxel; :class:`~spineps_rt.phantom.contrast.Contrast` gives each its grey value."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    VESSEL = 3
    LIGAMENT = 4
    EPIDURAL_FAT = 5
    CSF = 6
    ROOT = 7
    CORD = 8
    CORTICAL = 9
    MARROW = 10
    POSTERIOR_MARROW = 11
    SACRAL_MARROW = 12
    NUCLEUS = 13
    NUCLEUS_MODERATE = 14
    NUCLEUS_DARK = 15
    ANNULUS = 16
    ENDPLATE = 17
    VEIN = 18
    BOWEL = 19
    ORGAN = 20
    GAS = 21
    VISCERAL_FAT = 22
    LUNG = 23
    FLUID = 24
    INTERSPINOUS = 25
    BRAIN = 26
    LESION = 27


UNSET = 255
"""A voxel that no shape has claimed yet; the background fills it."""

OTHER_BONE = 250
"""Working label of bones that no label map shows (ribs, ilium, atlas, coccyx)."""

NERVE = 251
"""Working label of the nerves that leave the canal."""
