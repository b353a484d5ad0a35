"""Scans for the verdicts: good ones, odd ones, and ones that were damaged on purpose, each with its truth."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from spineps_rt.labels import CORPUS, DISC_OFFSET
from spineps_rt.phantom import (
    FAT_SAT,
    T1W,
    T2W,
    PhantomOptions,
    make_phantom,
    random_contrast,
    random_options,
)
from spineps_rt.volume import Volume
from training.evaluate import label_slices, load, without_lowest

SLAB = 5
"""Times that a single slice is repeated."""
T1W_SCANS = ("VB1-02", "VB1-06", "VB1-08", "VB1-10")
DAMAGES = ("shuffled", "mirrored", "noise", "inverted", "zeros", "half", "hot", "grey", "doubled", "cropped")


@dataclass(frozen=True)
class Truth:
    """What is known about a scan."""

    bodies: np.ndarray | None = None
    """int, a label each; bodies without label are unknown."""
    discs: np.ndarray | None = None
    """int, a label each."""
    vertebrae: int | None = None
    """How many there are; None where nobody counted."""


@dataclass(frozen=True)
class Case:
    """A scan that can be made again."""

    name: str
    group: str
    """Where it comes from."""
    held_out: bool
    """Whether thresholds may not be chosen by it; a patient's scans are all on one side."""
    damage: str = ""
    """One of :data:`DAMAGES`, or none."""

    @property
    def other_contrast(self) -> bool:
        """Whether it is no T2w scan, as its picture shows: fluid is dark, or fat is."""
        return self.group in ("t1w", "fatsat") or self.name in T1W_SCANS

    @property
    def key(self) -> str:
        """Name of its files."""
        return f"{self.group}-{self.name}" + (f"-{self.damage}" if self.damage else "")


def cases(data: Path) -> Iterator[Case]:
    """All scans, so mixed that any first part of them is a fair sample."""
    names = sorted(path.name.split("_")[0] for path in (data / "real").glob("*_label.nii.gz"))
    rows = sorted(csv.DictReader((data / "spider_mid/index.csv").open()), key=lambda row: row["file"])
    patients = sorted(path.name.split("_")[0] for path in (data / "spider").glob("*_label.nii.gz"))
    groups = [
        [Case(name, "real", n % 2 == 1) for n, name in enumerate(names)],
        [Case(row["file"].split("_")[0], "slice", n % 2 == 1) for n, row in enumerate(rows[::5])],
        [Case(name, "thick", n % 2 == 1) for n, name in enumerate(patients)],
        [Case(str(seed), "phantom", seed % 2 == 1) for seed in range(16)],
        [Case(name, "thin", n % 2 == 1) for n, name in enumerate(patients[::3])],
        [Case(str(seed), group, seed % 2 == 1) for seed in range(4) for group in ("t1w", "fatsat")],
        [
            Case(name, group, bool(n // 2 % 2), damage)
            for n, (group, name) in enumerate(
                (("real", "VB2-02"), ("thick", "spider-146"), ("real", "VB2-04"), ("phantom", "1"))
            )
            for damage in DAMAGES
        ],
    ]
    length = max(map(len, groups))
    places = [(n / len(group), one) for group in groups for n, one in enumerate(group)]
    yield from (one for _, one in sorted(places, key=lambda place: (place[0], length)))


def make(case: Case, data: Path) -> tuple[Volume, Truth]:
    """Make a scan and what is known about it."""
    image, truth = {
        "real": _real, "slice": _slice, "thick": _thick, "thin": _thin, "phantom": _phantom, "t1w": _phantom,
        "fatsat": _phantom,
    }[case.group](case, data)  # fmt: skip
    image = image.with_array(np.clip(np.rint(image.array), 0, 32000).astype(np.int16))
    return damaged(image, truth, case.damage) if case.damage else (image, truth)


def _real(case: Case, data: Path) -> tuple[Volume, Truth]:
    scan = next((data / "real").glob(f"{case.name}_[TM]*.nii.gz"))
    labels = label_slices(data / "real" / f"{case.name}_label.nii.gz", 4)
    image = load(scan, average=4)
    if case.name.startswith("IVD"):
        return image, Truth(discs=labels)
    return image, Truth(without_lowest(labels) if case.name.startswith("VB1") else labels)


def _slice(case: Case, data: Path) -> tuple[Volume, Truth]:
    rows = csv.DictReader((data / "spider_mid/index.csv").open())
    row = next(row for row in rows if row["file"] == f"{case.name}_t2.png")
    picture = np.asarray(Image.open(data / "spider_mid" / row["file"]).convert("L"), np.float32)
    affine = np.zeros((4, 4))
    affine[1, 0], affine[2, 1], affine[0, 2] = (-float(row[k]) for k in ("column_mm", "row_mm", "slice_mm"))
    affine[3, 3] = 1
    slab = np.repeat(picture.T[:, :, None], SLAB, axis=2)
    return Volume(np.ascontiguousarray(slab), affine), Truth(vertebrae=int(row["vertebrae"]))


def _thin(case: Case, data: Path) -> tuple[Volume, Truth]:
    return _spider(case, data, 1)


def _thick(case: Case, data: Path) -> tuple[Volume, Truth]:
    return _spider(case, data, 4)


def _spider(case: Case, data: Path, average: int) -> tuple[Volume, Truth]:
    folder = data / "spider"
    labels = label_slices(folder / f"{case.name}_label.nii.gz", average)
    image = load(folder / f"{case.name}_T2w.nii.gz", average=average)
    rows = csv.DictReader((data / "spider_mid/index.csv").open())
    number = case.name.removeprefix("spider-")
    counts = [int(row["vertebrae"]) for row in rows if row["file"] == f"{number}_t2.png"]
    return image, Truth(front_of_canal(labels, image.spacing), vertebrae=counts[0] if counts else None)


def front_of_canal(labels: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Bodies of SPIDER's vertebrae: what lies before the canal, each piece a label; of crumbs none."""
    front = np.full(labels.shape[1], np.inf)
    for row in range(labels.shape[1]):
        found = np.flatnonzero((labels[:, row] == 3).any(axis=1))
        front[row] = found[0] if len(found) else np.inf
    known = np.flatnonzero(np.isfinite(front))
    front = np.interp(np.arange(len(front)), known, front[known])
    bone = (labels == 1) & (np.arange(labels.shape[0])[:, None, None] < front[None, :, None])
    seeds, n = ndimage.label(ndimage.binary_erosion(bone, np.ones((3, 3, 1)), iterations=2))
    pieces = ndimage.grey_dilation(seeds, footprint=np.ones((7, 7, 1))) * bone
    least = 3000 / np.prod(spacing)
    small = [k for k in range(1, n + 1) if (pieces == k).sum() < least]
    pieces[np.isin(pieces, small)] = 0
    return pieces


def _phantom(case: Case, _: Path) -> tuple[Volume, Truth]:
    seed = int(case.name)
    rng = np.random.default_rng((515151, seed))
    if case.group == "phantom":
        region = ("lumbar", "lumbar", "thoracic", "cervical")[seed // 2 % 4]
        options, contrast = random_options(rng, region=region), random_contrast(rng, base=T2W)
    else:
        options = PhantomOptions(levels=("T11", "L5"))
        contrast = random_contrast(rng, base={"t1w": T1W, "fatsat": FAT_SAT}[case.group])
    made = make_phantom(options, seed=70000 + seed, contrast=contrast)
    bodies = np.where(made.semantic.array == CORPUS, made.instance.array, 0).astype(np.int16)
    bodies[made.instance.array >= DISC_OFFSET] = 0
    sizes = np.bincount(bodies.ravel())[1:]
    small = 1 + np.flatnonzero(sizes < 0.5 * np.median(sizes[sizes > 0]))  # cut by the border
    bodies[np.isin(bodies, small)] = 0
    return made.image, Truth(bodies)


def damaged(image: Volume, truth: Truth, damage: str) -> tuple[Volume, Truth]:
    """Do to a scan (P, I, R) what accidents do."""
    array, bodies = image.array.copy(), truth.bodies
    assert bodies is not None, "only scans with bodies are damaged"
    top = float(np.percentile(array, 99))
    n, rows = array.shape[2], array.shape[1]
    if damage == "shuffled":
        order = [*range(0, n, 2), *range(1, n, 2)]
        array, bodies = array[:, :, order], bodies[:, :, order]
    elif damage == "mirrored":
        array[:, -(rows // 2) :] = array[:, rows // 2 - 1 :: -1]
        bodies = bodies.copy()
        bodies[:, -(rows // 2) :] = (
            100 * (bodies > 0)[:, rows // 2 - 1 :: -1] + bodies[:, rows // 2 - 1 :: -1]
        )
    elif damage == "noise":
        noise = np.random.default_rng(1).normal(0, 0.35 * top, array.shape)
        array = np.abs(array + noise).astype(np.int16)
    elif damage == "inverted":
        array = np.int16(array.max()) - array
    elif damage == "zeros":
        array[:, :, n // 2 : n // 2 + 2] = 0
    elif damage == "half":
        array[:, : rows // 2] = 0
    elif damage == "hot":
        array = array.astype(np.float32)
        array[2, 3, 1] = 1e9
    elif damage == "grey":
        array = (np.digitize(array, [0.2 * top, 0.45 * top, 0.75 * top]) * 100).astype(np.int16)
    elif damage == "cropped":
        array, bodies = array[:, rows // 4 : -rows // 4], bodies[:, rows // 4 : -rows // 4]
    affine = image.affine.copy()
    if damage == "doubled":
        affine[:3, :2] *= 2
    return Volume(np.ascontiguousarray(array), affine), replace(truth, bodies=np.ascontiguousarray(bodies))
