"""Colours of labels on dark ground, equally bright to the eye."""

from __future__ import annotations

import math

from spineps_rt.labels import (
    DISC_OFFSET,
    ENDPLATE_OFFSET,
    ENDPLATE_STRUCTURES,
    LEVEL_ORDER,
    SACRUM_INSTANCE,
    STRUCTURES,
)

RGB = tuple[int, int, int]

_HUE_STEP = 137.5
"""The golden angle: neighbours never look alike, and a level keeps its colour from scan to scan."""
_HUE_START = 25.0


def _oklch(lightness: float, chroma: float, hue: float) -> RGB:
    """Turn OKLCH (Ottosson 2020) into sRGB, 0 to 255, clipped into the gamut."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    clipped = (min(max(c, 0.0), 1.0) for c in linear)
    encoded = (12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in clipped)
    red, green, blue = (round(255 * c) for c in encoded)
    return red, green, blue


def instance_colour(label: int) -> RGB:
    """Colour a label of the instance mask: disc and endplate share their vertebra's hue.

    Args:
        label: A label of the instance mask.

    Returns:
        sRGB, 0 to 255; grey where the label names no vertebra.
    """
    for offset, lightness, chroma in (
        (ENDPLATE_OFFSET, 0.58, 0.17),
        (DISC_OFFSET, 0.90, 0.06),
        (0, 0.74, 0.15),
    ):
        level = label - offset
        if level in LEVEL_ORDER:
            if level == SACRUM_INSTANCE:
                return _oklch(lightness, chroma * 0.5, 70.0)
            return _oklch(lightness, chroma, _HUE_START + _HUE_STEP * LEVEL_ORDER.index(level))
    return 160, 160, 160


def structure_colour(label: int) -> RGB:
    """Colour a label of the semantic mask; grey where the table knows none."""
    structure = STRUCTURES.get(label) or ENDPLATE_STRUCTURES.get(label)
    return structure.colour if structure else (160, 160, 160)
