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
from scipy import ndimage

from spineps_rt import labels as L
from training import annotations, samples, spider
from training.annotations import Annotation
from training.prepare import SAMPLES

MM = 0.9375
"""Spacing of the pictures, rows and columns."""
KEPT_OUT = Path(__file__).with_name("kept_out.txt")
LARGEST_MM, SMALLEST_MM = 450.0, 150.0
"""Pictures outside this range have a wrong spacing or shape in the collection."""
SURE = 0.6
"""Least probability of a pseudo-label."""
BODY_MM2, DISC_MM2 = 250.0, 60.0
"""Smaller pieces count as no vertebra and no disc."""
REACH_MM = 55.0
"""How far before the canal's front wall the column reaches at most."""
PIECE_MM = 12.0
"""Shorter pieces of canal continue nothing."""
_CLASS = spider.CLASS
_COLUMN = [_CLASS[c] for c in (L.CORPUS, L.DISC, L.ENDPLATE, *spider.POSTERIOR)]


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


def pieces(mask: np.ndarray, least_mm2: float) -> tuple[np.ndarray, list[int]]:
    """Connected pieces of a mask (I, P): their map and the ids of those that are large enough."""
    found, count = ndimage.label(mask)
    sizes = np.bincount(found.ravel(), minlength=count + 1) * MM * MM
    return found, [k for k in range(1, count + 1) if sizes[k] >= least_mm2]


def pseudo(probability: np.ndarray) -> np.ndarray:
    """Turn class probabilities of a slice, float (classes, I, P), into codes, uint8 (I, P)."""
    best, sure = probability.argmax(0), probability.max(0) >= SURE
    canal = np.isin(best, [_CLASS[L.CORD], _CLASS[L.CANAL]])
    spine = one_canal(canal)
    codes = (spider.EXACT + best).astype(np.uint8)
    sided = np.isin(best, [_CLASS[c] for c in range(43, 49)])
    codes[sided] = spider.BEHIND
    codes[canal] = spider.CANAL
    codes[canal & ~spine] = spider.IGNORED
    codes[~sure | (best == _CLASS[L.SACRUM])] = spider.IGNORED
    rows = np.flatnonzero(spine.any(1))
    front = np.interp(np.arange(len(best)), rows, spine[rows].argmax(1)) if len(rows) else np.zeros(len(best))
    within = (np.arange(len(best)) >= rows.min(initial=9999)) & (np.arange(len(best)) <= rows.max(initial=-1))
    column = np.isin(best, _COLUMN)
    far = np.arange(best.shape[1]) < (front - REACH_MM / MM)[:, None]
    codes[column & far] = spider.BACKGROUND
    codes[column & ~far & ~within[:, None]] = spider.IGNORED
    high = np.arange(len(best)) < highest_sacrum(best == _CLASS[L.DISC])
    body, large = pieces(best == _CLASS[L.CORPUS], BODY_MM2)
    low = disc_rows(best == _CLASS[L.DISC])[:1]
    for k in large:  # a body below the lowest disc may be S1
        if low and np.flatnonzero((body == k).any(1)).mean() > low[0]:
            codes[body == k] = spider.IGNORED
    background = codes == spider.EXACT
    codes[background] = spider.BACKGROUND
    codes[(codes == spider.BACKGROUND) & high[:, None]] = spider.NOTHING
    return without_low_cord(divided(codes, probability)[None], codes[None])[0]


def one_canal(canal: np.ndarray) -> np.ndarray:
    """Keep the tallest piece of a mask (I, P), and tall ones that continue it above or below."""
    found, _ = ndimage.label(ndimage.binary_closing(canal, iterations=2))
    boxes = ndimage.find_objects(found)
    if not boxes:
        return canal
    heights = [box[0].stop - box[0].start for box in boxes]
    main = int(np.argmax(heights))
    kept = found == 1 + main
    rows = np.flatnonzero(kept.any(1))
    for k, box in enumerate(boxes):
        apart = box[0].start >= rows[-1] or box[0].stop <= rows[0]
        end = rows[-1] if box[0].start >= rows[-1] else rows[0]
        shift = abs((box[1].start + box[1].stop) / 2 - np.flatnonzero(kept[end]).mean())
        if apart and heights[k] * MM >= PIECE_MM and shift * MM < REACH_MM:
            kept |= found == 1 + k
    return kept


def divided(codes: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Divide the canal into cord and canal where the teacher is sure."""
    cord, canal = probability[_CLASS[L.CORD]], probability[_CLASS[L.CANAL]]
    inside = codes == spider.CANAL
    share = cord / (cord + canal + 1e-6)
    answer = codes.copy()
    answer[inside & (share > 0.9)] = spider.EXACT + _CLASS[L.CORD]
    answer[inside & (share < 0.1)] = spider.EXACT + _CLASS[L.CANAL]
    return answer


def disc_rows(disc: np.ndarray) -> list[float]:
    """Rows of the discs in a mask (I, P), the lowest first."""
    found, large = pieces(disc, DISC_MM2)
    return sorted((c[0] for c in ndimage.center_of_mass(disc, found, large)), reverse=True)


def highest_sacrum(disc: np.ndarray) -> float:
    """First row that may show sacrum."""
    rows = disc_rows(disc)
    return rows[0] - spider.ABOVE_SACRUM if rows else 0.0


def without_low_cord(answer: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Take back what says cord or canal where the teacher cannot know.

    The cord ends at L1 or L2. Below the fourth disc from below (L2/L3) all of the canal is canal; between it
    and the sixth (T12/L1), what was a set of both becomes one again unless it says canal or cord with the
    teacher's full word, which the callers have asked for.

    Args:
        answer: uint8 (R, I, P) codes.
        before: uint8 (R, I, P): where it holds ``CANAL``, experts or teacher know no more.

    Returns:
        A new array.
    """
    disc = np.isin(answer, (spider.DISC, spider.EXACT + _CLASS[L.DISC]))
    rows = disc_rows(disc[len(disc) // 2])
    result = answer.copy()
    if len(rows) > 3:
        low = np.arange(answer.shape[1]) > rows[3]
        result[(before == spider.CANAL) & low[:, None]] = spider.EXACT + _CLASS[L.CANAL]
    return result


def agrees(picture: Picture, codes: np.ndarray) -> bool:
    """Whether the pseudo-labels show as many bodies and discs as experts counted, each in one piece.

    A vertebra at the border may or may not have been counted, so that one more or less at the top is allowed
    where discs and bodies agree with each other.
    """
    body = codes == spider.EXACT + _CLASS[L.CORPUS]
    found, large = pieces(body, BODY_MM2)
    discs = len(disc_rows(codes == spider.EXACT + _CLASS[L.DISC]))
    if abs(len(large) - picture.vertebrae) > 1 or abs(discs - picture.discs) > 1:
        return False
    if abs(len(large) - discs) > 1 or not large:
        return False
    heights = [s[0].stop - s[0].start for s in ndimage.find_objects(found)]
    sizes = [heights[k - 1] for k in large]
    return max(sizes) < 1.7 * float(np.median(sizes))


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


def label(picture: Picture, probability: np.ndarray | None) -> np.ndarray | None:
    """Give codes, uint8 (I, P): the teacher's where counts agree, and what was drawn; None for neither."""
    codes = np.full(picture.image.shape, spider.IGNORED, np.uint8)
    agreed = False
    if probability is not None and probability.shape[1:] == codes.shape:
        taught = pseudo(probability)
        agreed = agrees(picture, taught)
        codes = taught if agreed else codes
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
        probability = None
        if path.exists():
            with np.load(path) as stored:
                probability = stored["probability"].astype(np.float32) / 255
        codes = label(picture, probability)
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
