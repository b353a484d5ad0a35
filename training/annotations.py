"""Sacrum and cord drawn by hand on real middle slices: reading, rendering, looking at them.

The drawings are text files in ``annotations/slices``, one a slice; ``annotations/README.md`` says who drew
them and by which conventions. No image data is in the tree: the pictures lie in ``spider_mid`` of the data
folder.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from PIL import Image, ImageDraw

from spineps_rt import labels as L
from training.spider import HELD_OUT

SLICES = Path(__file__).with_name("annotations") / "slices"
UNKNOWN = 255
"""Value of a rendered pixel that may be sacrum or cord, or not."""
STRUCTURES = {"unknown": UNKNOWN, "canal": L.CANAL, "sacrum": L.SACRUM, "cord": L.CORD}
"""Structure of a polygon -> value; a later one is drawn over an earlier one."""
FIELD_MM = {
    0.28646: 300,
    0.36458: 280,
    0.39062: 300,
    0.46875: 300,
    0.5: 320,
    0.58594: 300,
    0.625: 280,
    0.66406: 340,
    0.67708: 260,
    0.72917: 280,
    0.78125: 300,
    0.875: 280,
    0.9375: 300,
}
"""``column_mm`` of ``index.csv`` -> side of the scan's square field of view in mm."""
_COLOURS = {"unknown": (255, 0, 255), "canal": (0, 160, 255), "sacrum": (255, 70, 70), "cord": (0, 230, 0)}
_TILE = (360, 460)
"""Columns and rows of a tile of the contact sheet."""


class Polygon(NamedTuple):
    """One outline."""

    structure: str
    """A key of :data:`STRUCTURES`."""
    segment: str
    """``S1`` to ``S5`` of a sacrum, else empty."""
    points: np.ndarray
    """float64 (n, 2), x (column) and y (row); pixel k covers k to k + 1, so its centre is at k + 0.5."""

    @property
    def area(self) -> float:
        """Area in pixels."""
        x, y = self.points.T
        return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


class Annotation(NamedTuple):
    """What is drawn on one slice."""

    image: str
    """File in ``spider_mid``, ``PATIENT_t2.png``."""
    size: tuple[int, int]
    """Rows and columns."""
    spacing: tuple[float, float]
    """Row and column spacing in mm: the true one, which for resized pictures ``index.csv`` does not give."""
    polygons: tuple[Polygon, ...]
    complete: tuple[str, ...]
    """Structures drawn wholly: a pixel outside their polygons that is not unknown is none of them."""
    note: str

    @property
    def patient(self) -> int:
        """The patient's number."""
        return int(self.image.split("_")[0])


def held_out(patient: int) -> bool:
    """Tell whether a patient is kept for tests: number modulo 5 is 3, or left out of SPIDER training."""
    return patient % 5 == 3 or patient in HELD_OUT


def true_spacing(size: tuple[int, int], column_mm: float) -> tuple[float, float] | None:
    """Find the spacing of a picture of ``spider_mid``, most of which were resized from square scans.

    Args:
        size: Rows and columns of the picture.
        column_mm: ``column_mm`` of ``index.csv``.

    Returns:
        Row and column spacing in mm; None where nobody knows the field (Philips at 1.5 T, patient 99).
    """
    field = FIELD_MM.get(round(column_mm, 5))
    return None if field is None else (field / size[0], field / size[1])


def load(folder: Path = SLICES) -> list[Annotation]:
    """Read every annotation of a folder, ordered by patient.

    Raises:
        ValueError: A polygon names a structure that is not in :data:`STRUCTURES`.
    """
    return sorted((_read(path) for path in folder.glob("*.json")), key=lambda found: found.patient)


def _read(path: Path) -> Annotation:
    raw = json.loads(path.read_text(encoding="utf-8"))
    polygons = []
    for entry in raw["polygons"]:
        if entry["structure"] not in STRUCTURES:
            raise ValueError(
                f"{path.name} draws a {entry['structure']!r}, not one of {', '.join(STRUCTURES)}: "
                "correct the structure."
            )
        points = np.asarray(entry["points"], np.float64)
        polygons.append(Polygon(entry["structure"], entry.get("segment", ""), points))
    rows, columns = raw["size"]
    row, column = raw["spacing"]
    return Annotation(
        raw["image"], (rows, columns), (row, column), tuple(polygons), tuple(raw["complete"]), raw["note"]
    )


def render(annotation: Annotation) -> np.ndarray:
    """Draw the polygons as labels.

    Returns:
        uint8 (rows, columns): 26 sacrum, 60 cord, 61 canal, :data:`UNKNOWN` where nobody can tell, else 0. A
        pixel belongs to a polygon that holds its centre. Zero means background only for the structures in
        ``annotation.complete``; of everything else it says nothing.
    """
    labels = np.zeros(annotation.size, np.uint8)
    for structure, value in STRUCTURES.items():
        for polygon in annotation.polygons:
            if polygon.structure == structure:
                labels[_inside(polygon.points, annotation.size)] = value
    return labels


def _inside(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies in a polygon by the even-odd rule, bool (rows, columns)."""
    inside = np.zeros(size, bool)
    y = np.arange(size[0])[:, None] + 0.5
    x = np.arange(size[1])[None, :] + 0.5
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0)):
        if y0 != y1:
            crosses = (y0 <= y) != (y1 <= y)
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _tile(annotation: Annotation, pictures: Path, title: str) -> Image.Image:
    """One picture with its outlines, centred on them from left to right."""
    columns, rows = _TILE
    row, column = annotation.spacing
    scale = (rows - 14) / (annotation.size[0] * row)
    x = np.concatenate([part.points[:, 0] for part in annotation.polygons if part.structure != "unknown"])
    left = (x.min() + x.max()) / 2 * column * scale - columns / 2
    with Image.open(pictures / annotation.image) as opened:
        wide = round(annotation.size[1] * column * scale)
        picture = opened.convert("RGB").resize((wide, rows - 14), Image.Resampling.LANCZOS)
    tile = Image.new("RGB", _TILE)
    tile.paste(picture, (-round(left), 14))
    pen = ImageDraw.Draw(tile)
    for polygon in annotation.polygons:
        outline = polygon.points * (column * scale, row * scale) + (-round(left), 14)
        pen.line([*map(tuple, outline), tuple(outline[0])], fill=_COLOURS[polygon.structure])
    pen.text((3, 1), title, fill=(255, 255, 255))
    return tile


def contact_sheet(annotations: list[Annotation], pictures: Path, across: int = 6) -> Image.Image:
    """Show all annotations over their pictures.

    Args:
        annotations: What to show.
        pictures: The folder ``spider_mid``.
        across: Tiles in a row.
    """
    with (pictures / "index.csv").open(encoding="utf-8", newline="") as opened:
        index = {entry["file"]: entry for entry in csv.DictReader(opened)}
    columns, rows = _TILE
    sheet = Image.new("RGB", (across * columns, -(-len(annotations) // across) * rows))
    for place, annotation in enumerate(annotations):
        entry = index[annotation.image]
        split = "test" if held_out(annotation.patient) else "training"
        title = f"{annotation.patient} {entry['maker']} {entry['tesla']} T {split}"
        tile = _tile(annotation, pictures, title)
        sheet.paste(tile, (place % across * columns, place // across * rows))
    return sheet


@click.group()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder that holds spider_mid/.")
@click.pass_context
def main(context: click.Context, data: Path) -> None:
    """Look at the slices drawn by hand."""
    context.obj = data / "spider_mid"


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--patient", "patients", type=int, multiple=True, help="Only this patient; may be repeated.")
@click.pass_obj
def overlay(pictures: Path, out: Path, patients: tuple[int, ...]) -> None:
    """Write a contact sheet of all outlines over their pictures to OUT (PNG)."""
    found = [entry for entry in load() if not patients or entry.patient in patients]
    if not found:
        raise click.ClickException(f"No drawn slice is of patient {', '.join(map(str, patients))}.")
    contact_sheet(found, pictures).save(out)
    click.echo(f"{len(found)} slices, {sum(held_out(entry.patient) for entry in found)} of them for tests.")


if __name__ == "__main__":
    main()
