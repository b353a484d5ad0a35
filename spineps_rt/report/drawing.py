"""Turn cuts into panels: a grey image, coloured masks with smooth edges over it, marks and names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from spineps_rt.report.colours import RGB
from spineps_rt.report.cuts import Cut

BACKGROUND: RGB = (13, 15, 18)
INK: RGB = (236, 238, 242)
FAINT: RGB = (150, 156, 166)
MARK: RGB = (255, 214, 102)
AMBER: RGB = (255, 170, 30)
"""What is doubtful."""
_FILL = 0.44
_DIM = 0.88
"""The image is dimmed under a mask, so that colour also shows on bright fluid."""
_SUPERSAMPLE = 2
_MARGIN = 2


@dataclass(frozen=True)
class Name:
    """A vertebra's name and where it stands, in pixels of its panel."""

    text: str
    x: float
    y: float
    colour: RGB


@lru_cache(maxsize=32)
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface, so that no font file is needed."""
    return ImageFont.load_default(size)


def grey_panel(cut: Cut, window: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    """Resize a cut's image to ``size`` and window it.

    Args:
        cut: The cut.
        window: Intensities shown as black and as white.
        size: Width and height in pixels.

    Returns:
        RGB image.
    """
    resized = np.asarray(Image.fromarray(cut.image).resize(size, Image.Resampling.BICUBIC))
    low, high = window
    shown = np.clip((resized - low) / max(high - low, 1e-6), 0, 1) ** 0.9
    grey = (shown * 255).astype(np.uint8)
    return Image.fromarray(np.repeat(grey[..., None], 3, axis=2))


def _smooth_labels(labels: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Enlarge a label cut: each pixel takes the label whose interpolated share is largest.

    Returns:
        The labels that occur, ascending, and for each pixel the place of its label among them.
    """
    height, width = size[1], size[0]
    present = np.unique(labels)
    best = np.zeros((height, width), np.float32)
    answer = np.zeros((height, width), np.uint16)
    scale = height / labels.shape[0], width / labels.shape[1]
    for place, label in enumerate(present):
        mask = labels == label
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        top, bottom = max(rows[0] - _MARGIN, 0), min(rows[-1] + 1 + _MARGIN, labels.shape[0])
        left, right = max(columns[0] - _MARGIN, 0), min(columns[-1] + 1 + _MARGIN, labels.shape[1])
        y0, y1, x0, x1 = (
            round(top * scale[0]),
            round(bottom * scale[0]),
            round(left * scale[1]),
            round(right * scale[1]),
        )
        share = Image.fromarray(mask.astype(np.float32)).resize(
            (x1 - x0, y1 - y0),
            Image.Resampling.BICUBIC,
            box=(x0 / scale[1], y0 / scale[0], x1 / scale[1], y1 / scale[0]),
        )
        window = np.s_[y0:y1, x0:x1]
        won = np.asarray(share) > best[window]
        np.copyto(best[window], np.asarray(share), where=won)
        answer[window][won] = place
    return present, answer


def overlay(panel: Image.Image, labels: np.ndarray, colour: Callable[[int], RGB]) -> Image.Image:
    """Lay a label cut over a panel: translucent inside, a solid line where labels meet.

    The edges are interpolated for the eye; the masks on disk keep their voxels.

    Args:
        panel: RGB image.
        labels: Integer (rows, columns), same field of view as the panel.
        colour: Gives a label's colour.

    Returns:
        A new RGB image.
    """
    size = panel.width * _SUPERSAMPLE, panel.height * _SUPERSAMPLE
    present, place = _smooth_labels(labels, size)
    edge = np.zeros(place.shape, bool)
    for axis in (0, 1):
        before = tuple(slice(None, -1) if a == axis else slice(None) for a in (0, 1))
        behind = tuple(slice(1, None) if a == axis else slice(None) for a in (0, 1))
        differs = place[before] != place[behind]
        edge[before] |= differs
        edge[behind] |= differs
    place *= 2
    place += edge
    # four bands that no blending touches: the colours are already weighted by their share
    paint = np.take(_paint(present, colour), place, mode="clip")
    small = Image.frombuffer("RGBX", size, paint, "raw", "RGBX", 0, 1).reduce(_SUPERSAMPLE)
    *mixed, share = small.split()
    kept = share.point([round(_DIM * (255 - s)) if s else 255 for s in range(256)])
    dimmed = ImageChops.multiply(panel, Image.merge("RGB", [kept] * 3))
    return ImageChops.add(dimmed, Image.merge("RGB", mixed))


def outline(panel: Image.Image, mask: np.ndarray, colour: RGB) -> None:
    """Draw a line around a mask.

    Args:
        panel: RGB image, drawn on in place.
        mask: bool (rows, columns), same field of view as the panel.
        colour: The line's.
    """
    share = Image.fromarray(mask.astype(np.float32)).resize(panel.size, Image.Resampling.BICUBIC)
    solid = Image.fromarray(np.where(np.asarray(share) > 0.5, np.uint8(255), np.uint8(0)))
    line = ImageChops.subtract(solid.filter(ImageFilter.MaxFilter(7)), solid.filter(ImageFilter.MinFilter(3)))
    panel.paste(colour, mask=line)


def _paint(present: np.ndarray, colour: Callable[[int], RGB]) -> np.ndarray:
    """uint32 (2 * labels,), inside and at the edge: bytes of red, green, blue times share, and the share."""
    table = np.zeros((len(present), 2, 4))
    for row, label in zip(table, present):
        for cell, share in zip(row, (_FILL, 0.95)):
            cell[:] = (*(share * part for part in colour(int(label))), share * 255) if label else 0
    return np.rint(table.reshape(-1, 4)).astype(np.uint8).view(np.uint32).ravel()


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    *,
    size: int,
    anchor: str,
    fill: RGB = (255, 255, 255),
) -> None:
    width = max(2, size // 8)
    draw.text(place, text, fill, font(size), anchor, stroke_width=width, stroke_fill=(0, 0, 0))


def fitting(text: str, width: float, *, size: int) -> str:
    """Shorten a text to a width in pixels."""
    while text and font(size).getlength(text) > width:
        text = text[:-2].rstrip() + "…"
    return text


def write_names(panel: Image.Image, names: list[Name], *, size: int) -> None:
    """Write names onto a panel; those that would cover each other at its left edge, with a leader line.

    Args:
        panel: RGB image, drawn on in place.
        names: What to write where.
        size: Height of the letters in pixels.
    """
    draw = ImageDraw.Draw(panel)
    edge = -1e9
    for name in sorted(names, key=lambda name: name.y):
        near = [n for n in names if abs(n.y - name.y) < 1.15 * size and abs(n.x - name.x) < 2.2 * size]
        if len(near) == 1:
            y = min(max(name.y, 0.7 * size), panel.height - 0.7 * size)
            _write(draw, (name.x, y), name.text, size=size, anchor="mm")
            continue
        edge = max(name.y, 0.7 * size, edge + 1.05 * size)
        draw.line([(6 + 2.2 * size, edge), (name.x, name.y)], fill=name.colour, width=2)
        draw.ellipse([name.x - 3, name.y - 3, name.x + 3, name.y + 3], fill=(255, 255, 255))
        _write(draw, (6, edge), name.text, size=size, anchor="lm")


def write_marks(panel: Image.Image, left: str, right: str) -> None:
    """Mark head and foot at the edges, both sides in the lower corners."""
    draw = ImageDraw.Draw(panel)
    width, height = panel.size
    low = height - 5
    for text, x, y, anchor in (
        ("H", width - 6, 5, "ra"),
        ("F", width / 2, low, "md"),
        (left, 6, low, "ld"),
        (right, width - 6, low, "rd"),
    ):
        _write(draw, (x, y), text, size=17, anchor=anchor, fill=MARK)


def write_scale(panel: Image.Image, pixels_per_mm: float) -> None:
    """Draw a bar of five centimetres into the panel's upper left corner."""
    draw = ImageDraw.Draw(panel)
    length = 50 * pixels_per_mm
    if length > 0.45 * panel.width:
        return
    draw.line([(10, 14), (10 + length, 14)], fill=MARK, width=2)
    for x in (10, 10 + length):
        draw.line([(x, 10), (x, 18)], fill=MARK, width=2)
    _write(draw, (10, 22), "5 cm", size=15, anchor="la", fill=MARK)
