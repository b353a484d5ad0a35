"""Real middle slices without masks: pictures, pseudo-labels, and whether these agree with the counts.

``python -m training.slices --data FOLDER`` turns the teacher's probabilities (:mod:`training.teacher`), and
polygons drawn by hand where there are any, into samples. Patients in ``kept_out.txt`` never train.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from PIL import Image

from spineps_rt import labels as L
from training import annotations, samples, spider
from training.annotations import Annotation
from training.prepare import SAMPLES
from training.pseudo import MM, agrees, pseudo

KEPT_OUT = Path(__file__).with_name("kept_out.txt")
LARGEST_MM, SMALLEST_MM = 450.0, 150.0
"""Pictures outside this range have a wrong spacing or shape in the collection."""
_CLASS = spider.CLASS


class Picture(NamedTuple):
    """A middle slice."""

    number: int
    """The patient's."""
    image: np.ndarray
    """float32 (I, P) at :data:`MM`."""
    vertebrae: int
    discs: int
    """As experts counted them in the series."""
    thickness: float
    """mm."""
    drawn: Annotation | None = None
    """Sacrum and cord by hand."""


def kept_out(patient: int) -> bool:
    """Tell whether a patient's slices never train: those listed, and those whose drawings are a test."""
    listed = {int(line) for line in KEPT_OUT.read_text().splitlines() if not line.startswith("#")}
    return patient in listed or annotations.held_out(patient)


def pictures(folder: Path) -> Iterator[Picture]:
    """Read ``spider_mid/``: every picture of a plausible size, those kept out left out."""
    drawn = {found.image: found for found in annotations.load()}
    with (folder / "index.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["file"].split("_")[0]))
    for row in rows:
        if not kept_out(int(row["file"].split("_")[0])):
            picture = read(folder, row, drawn.get(row["file"]))
            if plausible(picture):
                yield picture


def plausible(picture: Picture) -> bool:
    """Tell whether a picture has a size that its spacing makes possible."""
    extent = np.array(picture.image.shape) * MM
    return bool(extent.min() > SMALLEST_MM and extent.max() < LARGEST_MM)


def read(folder: Path, row: dict[str, str], drawn: Annotation | None = None) -> Picture:
    """Read the picture of a row of ``index.csv``, brought to :data:`MM` with a filter against aliasing.

    Args:
        folder: ``spider_mid/``.
        row: The row.
        drawn: What is drawn on it; its spacing is the true one.
    """
    row_mm, column_mm = drawn.spacing if drawn else (float(row["row_mm"]), float(row["column_mm"]))
    with Image.open(folder / row["file"]) as stored:
        grey = stored.convert("F")
        size = round(grey.width * column_mm / MM), round(grey.height * row_mm / MM)
        image = np.asarray(grey.resize(size, Image.Resampling.BICUBIC), np.float32)
    number, counts = int(row["file"].split("_")[0]), (int(row["vertebrae"]), int(row["discs"]))
    return Picture(number, image.clip(0), *counts, float(row["slice_mm"]), drawn)


def normalised(image: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1."""
    return (image - image.mean()) / image.std()


def drawn_labels(drawn: Annotation, shape: tuple[int, ...]) -> np.ndarray:
    """Render a drawing on the grid of a picture of another shape, uint8 (I, P)."""
    rows, columns = (
        ((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(shape, drawn.size, strict=True)
    )
    return annotations.render(drawn)[np.ix_(rows, columns)]


def with_drawing(codes: np.ndarray, drawn: Annotation) -> np.ndarray:
    """Put what was drawn by hand over codes, uint8 (I, P); a new array."""
    labels = drawn_labels(drawn, codes.shape)
    cord, canal, sacrum = (spider.EXACT + _CLASS[c] for c in (L.CORD, L.CANAL, L.SACRUM))
    certain = labels != annotations.UNKNOWN
    answer = codes.copy()
    tube = np.isin(codes, (spider.CANAL, cord, canal))
    answer[tube & ~certain] = spider.CANAL
    if "cord" in drawn.complete:
        answer[tube & certain] = canal
    if "sacrum" in drawn.complete:
        answer[certain & (codes == spider.IGNORED)] = spider.NOT_SACRUM
        answer[certain & (codes == spider.BACKGROUND)] = spider.NOTHING
    for label, code in ((L.CANAL, canal), (L.SACRUM, sacrum), (L.CORD, cord)):
        answer[labels == label] = code
    return answer


def label(picture: Picture, answers: dict[str, np.ndarray]) -> np.ndarray | None:
    """Give codes, uint8 (I, P): a network's where counts agree, and what was drawn; None for neither.

    Args:
        picture: The slice.
        answers: Class probabilities (classes, I, P) as uint8: ``probability`` of the teacher, ``student`` of
            a training's own state; either may be missing. Their mean is asked first, then each.
    """
    codes = np.full(picture.image.shape, spider.IGNORED, np.uint8)
    known = {k: a.astype(np.float32) / 255 for k, a in answers.items() if a.shape[1:] == codes.shape}
    agreed = False
    for names in (("probability", "student"), ("student",), ("probability",)):
        if not agreed and set(names) <= set(known):
            mean = np.mean([known[name] for name in names], 0)
            found = pseudo(mean, sacrum="student" in names)
            agreed = agrees(found, vertebrae=picture.vertebrae, discs=picture.discs)
            codes = found if agreed else codes
    if picture.drawn is None:
        return codes if agreed else None
    return with_drawing(codes, picture.drawn)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with spider_mid/.")
@click.option("--folder", type=click.Path(path_type=Path), default=SAMPLES, show_default=True)
def main(data: Path, folder: Path) -> None:
    """Write ``slice-N.npz`` anew where teacher and counts agree, or where something was drawn."""
    found, drawn, left_out = [], 0, 0
    for picture in pictures(data / "spider_mid"):
        path = folder.parent / "slices" / f"{picture.number}.npz"
        answers = {}
        if path.exists():
            with np.load(path) as stored:
                answers = dict(stored)
        codes = label(picture, answers)
        left_out += codes is None
        if codes is not None:
            target = folder / f"slice-{picture.number}.npz"
            samples.write(target, picture.image[None], codes[None], (picture.thickness, MM, MM))
            found.append(target)
            drawn += picture.drawn is not None
    for path in set(folder.glob("slice-*.npz")) - set(found):
        path.unlink()
    click.echo(f"{len(found)} slices, {drawn} of them drawn by hand; {left_out} left out")


if __name__ == "__main__":
    main()
