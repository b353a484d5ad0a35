"""The snapshot: the spine cut along its own curve, alone and with its masks, on one picture."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from spineps_rt.kernels.statistics import nonzero_box
from spineps_rt.kernels.threads import each
from spineps_rt.labels import ENDPLATE_STRUCTURES, STRUCTURES, VERTEBRAE
from spineps_rt.report.colours import RGB, instance_colour, structure_colour
from spineps_rt.report.cuts import Cut, cut_along, find_centreline
from spineps_rt.report.drawing import (
    AMBER,
    BACKGROUND,
    FAINT,
    INK,
    Name,
    fitting,
    font,
    grey_panel,
    outline,
    overlay,
    write_marks,
    write_names,
    write_scale,
)
from spineps_rt.volume import Volume, turned

_HEIGHT = 960
"""Pixels of a panel; longer spines get more, up to :data:`_TALLEST`, so that their names stay legible."""
_TALLEST = 1600
_LEAST_SCALE, _MOST_SCALE = 2.4, 4.0
"""Pixels per mm."""
MOST_REASONS = 8
"""That are written below the picture."""
_GAP = 14
_MARGIN = 28
_HEADER = 92
_ABOVE_MM, _BESIDE_MM, _FRONT_MM, _BACK_MM = 18.0, 22.0, 34.0, 16.0


@dataclass(frozen=True)
class Caption:
    """What is written around the panels."""

    title: str
    """The scan's file name."""
    subtitle: str
    """What was found."""
    footer: str
    """Model, version, warning."""
    names: Mapping[int, str] = field(default_factory=lambda: VERTEBRAE)
    """Instance id -> name to write at its centre."""
    doubtful: Collection[int] = ()
    """Labels of the vertebra mask that get an amber outline."""
    reasons: Sequence[str] = ()
    """What speaks against the masks, the worst first, a line each."""


def render_snapshot(image: Volume, semantic: Volume, instances: Volume, *, caption: Caption) -> bytes:
    """Draw the snapshot.

    Args:
        image: The scan, any orientation.
        semantic: uint8 mask on the scan's grid.
        instances: uint16 mask on the scan's grid.
        caption: Title, subtitle and footer.

    Returns:
        A PNG file's bytes.
    """
    views = [turned(volume, ("P", "I", "R")) for volume in (image, semantic, instances)]
    spacing = views[0].spacing
    arrays = tuple(volume.array for volume in views)
    line = find_centreline(arrays[1], arrays[2], spacing=spacing[1])
    sagittal = cut_along(arrays, line.right, axis=2, spacing=spacing)
    coronal = cut_along(arrays, line.posterior, axis=0, spacing=spacing)
    rows = _span(_rows(arrays[1], arrays[2]), arrays[1].shape[1], spacing[1], (_ABOVE_MM, _ABOVE_MM))
    side = _window(sagittal, rows, (_FRONT_MM, _BACK_MM))
    front = _window(coronal, rows, (_BESIDE_MM, _BESIDE_MM))
    height = (rows.stop - rows.start) * spacing[1]
    scale = min(max(_HEIGHT / height, min(_TALLEST / height, _LEAST_SCALE)), _MOST_SCALE)
    window, last = _brightness(side.image), arrays[2].shape[2] - 1
    panels = []
    for cut, places, plane, sides in (
        (side, {v: (i, p) for v, (p, i, _) in line.vertebrae.items()}, "sagittal", "AP"),
        (front, {v: (i, last - r) for v, (_, i, r) in line.vertebrae.items()}, "coronal", "RL"),
    ):
        labelled = {caption.names.get(v, "?"): (v, place) for v, place in places.items()}
        row = _row(cut, labelled, scale=scale, window=window, doubtful=caption.doubtful)
        for panel in row:
            write_marks(panel, *sides)
        panels += list(zip((plane, "vertebrae", "structures"), row))
    write_scale(panels[0][1], scale)
    page = _page(panels, caption, np.union1d(side.semantic, front.semantic))
    stream = io.BytesIO()
    page.save(stream, format="PNG", compress_level=2)
    return stream.getvalue()


def _rows(*masks: np.ndarray) -> slice | None:
    """Rows (axis 1) from the first to the last that a mask holds; None where all are empty."""
    found = [box[1] for box in map(nonzero_box, masks) if box]
    return slice(min(s.start for s in found), max(s.stop for s in found)) if found else None


def _span(found: slice | None, length: int, spacing: float, margins: tuple[float, float]) -> slice:
    """Widen a range by margins in mm, within an axis of ``length`` voxels; None is the whole axis."""
    if found is None:
        return slice(0, length)
    before, after = (round(mm / spacing) for mm in margins)
    return slice(max(found.start - before, 0), min(found.stop + after, length))


def _window(cut: Cut, rows: slice, margins: tuple[float, float]) -> Cut:
    shown = np.flatnonzero(np.any(cut.semantic[rows] | cut.instances[rows], axis=0))
    found = slice(int(shown[0]), int(shown[-1]) + 1) if len(shown) else None
    columns = _span(found, cut.semantic.shape[1], cut.spacing[1], margins)
    return replace(
        cut,
        image=cut.image[rows, columns],
        semantic=cut.semantic[rows, columns],
        instances=cut.instances[rows, columns],
        corner=(rows.start, columns.start),
    )


def _row(
    cut: Cut,
    places: dict[str, tuple[int, tuple[float, float]]],
    *,
    scale: float,
    window: tuple[float, float],
    doubtful: Collection[int],
) -> list[Image.Image]:
    """Image alone, vertebrae over it, structures over it."""
    height, width = (max(8, round(n * mm * scale)) for n, mm in zip(cut.image.shape, cut.spacing))
    plain = grey_panel(cut, window, (width, height))
    vertebrae, structures = each(
        overlay, [(plain, cut.instances, instance_colour), (plain, cut.semantic, structure_colour)]
    )
    for label in doubtful:
        outline(vertebrae, cut.instances == label, AMBER)
    pixel, (top, left) = (cut.spacing[0] * scale, cut.spacing[1] * scale), cut.corner
    names = [
        Name(name, (column + 0.5 - left) * pixel[1], (row + 0.5 - top) * pixel[0], instance_colour(v))
        for name, (v, (row, column)) in places.items()
        if (cut.instances == v).any()
    ]
    size = min(32, max(13, round(7.5 * scale)))
    if width > 5 * size:
        write_names(vertebrae, names, size=size)
    return [plain, vertebrae, structures]


def _brightness(image: np.ndarray) -> tuple[float, float]:
    """Intensities to show as black and white; one pair for both cuts, so that they look alike."""
    signal = image[image > 0]
    low, high = np.percentile(signal, (1, 99.5)) if signal.size else (0.0, 1.0)
    return float(low), float(high)


def _legend(present: np.ndarray) -> list[tuple[str, RGB]]:
    table = {**STRUCTURES, **ENDPLATE_STRUCTURES}
    return [(structure.name, structure.colour) for label, structure in table.items() if label in present]


def _flow(
    items: list[tuple[str, RGB]], width: int, measure: Callable[[str], float]
) -> list[tuple[float, int]]:
    """Place legend entries left to right, line by line: x in pixels and line number."""
    places, x, line = [], 0.0, 0
    for text, _ in items:
        advance = measure(text) + 46
        if x + advance > width and x > 0:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += advance
    return places


def _said(reasons: Sequence[str]) -> list[str]:
    """The first reasons, and how many more there are."""
    more = len(reasons) - MOST_REASONS
    return [*reasons[:MOST_REASONS], *([f"and {more} more: see the run record"] if more > 0 else [])]


def _page(panels: list[tuple[str, Image.Image]], caption: Caption, present: np.ndarray) -> Image.Image:
    """Put header, panels, legend and footer on one page."""
    slots = [max(panel.width, math.ceil(font(16).getlength(title))) + _GAP for title, panel in panels]
    inner = max(sum(slots) - _GAP, 900)
    top = _HEADER + 26
    below = top + max(panel.height for _, panel in panels) + 20
    legend = _legend(present)
    places = _flow(legend, inner, lambda text: font(16).getlength(text))
    bottom = below + 28 * (places[-1][1] + 1 if places else 0)
    said = _said(caption.reasons)
    page = Image.new("RGB", (inner + 2 * _MARGIN, bottom + 44 + 24 * len(said)), BACKGROUND)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, 20), caption.title, font=font(28), fill=INK)
    draw.text((_MARGIN, 58), caption.subtitle, font=font(18), fill=FAINT)
    x = _MARGIN
    for (title, panel), slot in zip(panels, slots):
        draw.text((x, _HEADER + 2), title, font=font(16), fill=FAINT)
        page.paste(panel, (x, top))
        x += slot
    for (text, colour), (offset, line) in zip(legend, places):
        left, upper = _MARGIN + offset, below + 28 * line
        draw.rounded_rectangle([left, upper + 2, left + 16, upper + 18], radius=4, fill=colour)
        draw.text((left + 24, upper + 10), text, font=font(16), fill=INK, anchor="lm")
    for text in said:
        draw.text((_MARGIN, bottom + 8), fitting(text, inner, size=17), font=font(17), fill=AMBER)
        bottom += 24
    draw.text((_MARGIN, bottom + 14), caption.footer, font=font(15), fill=FAINT)
    return page
