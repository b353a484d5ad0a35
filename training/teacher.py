"""What the first generation's network teaches the second: ``python -m training.teacher --data FOLDER``.

Experts drew three structures in 25 patients; the first network divides them further where it is sure
(endplates, arch parts, cord). It also labels the middle slices of other series, which have no masks: kept are
those whose discs and bodies it counts as the experts did (:mod:`training.slices`). It is run with overlapping
tiles and mirrored with left and right exchanged, which makes it better than it is in the runtime.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F

from spineps_rt import labels as L
from spineps_rt.export.checkpoints.plans import build_semantic
from training import folders, plans, samples, slices, spider
from training.prepare import SAMPLES
from training.pseudo import possible_sacrum, without_low_cord

TILE = (128, 128)
"""Rows and columns."""
THICK = 1.8
"""Spacing of the teacher's slices, mm."""
SURE = 0.75
"""Least share of a class within the set that experts allow."""
EXCHANGED = [
    spider.CLASS[{43: 44, 44: 43, 45: 46, 46: 45, 47: 48, 48: 47}.get(label, label)]
    for label in L.SEMANTIC_CLASSES
]
"""``answer[EXCHANGED]`` is what a mirrored image answers, its classes exchanged."""


class Teacher:
    """The first generation's network from its checkpoint."""

    def __init__(self, *, bfloat16: bool) -> None:
        self.network = build_semantic(plans.semantic_plans(), inputs=1, classes=plans.CLASSES)
        self.network.load_state_dict(folders.read_semantic(folders.CHECKPOINTS / "semantic"))
        self.network = self.network.eval().to(memory_format=torch.channels_last_3d)
        self.bfloat16 = bfloat16

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, *, mirror: bool) -> np.ndarray:
        """Give class probabilities.

        Args:
            image: float32 (R, I, P), z-scored, at the first generation's spacing.
            mirror: Also run it with left and right exchanged.

        Returns:
            float32 (classes, R, I, P).
        """
        short = -len(image) % 8
        padding = [0, 0, 0, 0, short // 2, short - short // 2]
        for axis in (1, 2):
            gap = max(TILE[axis - 1] - image.shape[axis], 0)
            padding[4 - 2 * axis : 6 - 2 * axis] = [gap // 2, gap - gap // 2]
        volume = F.pad(torch.from_numpy(image), padding)
        total = torch.zeros(plans.CLASSES, *volume.shape)
        weights = torch.zeros(volume.shape)
        bell = [torch.exp(-8 * torch.linspace(-1, 1, n) ** 2 / 2) + 1e-3 for n in TILE]
        weight = bell[0][:, None] * bell[1]
        places = [_starts(size, tile) for size, tile in zip(volume.shape[1:], TILE, strict=True)]
        for i, p in itertools.product(*places):
            part = (..., slice(i, i + TILE[0]), slice(p, p + TILE[1]))
            answer = self._run(volume[part])
            if mirror:
                answer = (answer + self._run(volume[part].flip(0)).flip(1)[EXCHANGED]) / 2
            total[part] += weight * answer
            weights[part] += weight
        front, left, top = padding[4], padding[0], padding[2]
        r, i, p = image.shape
        return (total / weights)[:, front : front + r, top : top + i, left : left + p].numpy()

    def _run(self, tile: torch.Tensor) -> torch.Tensor:
        given = tile[None, None].contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bfloat16):
            logits = self.network(given)
        return logits[0].float().softmax(0)


def _starts(size: int, tile: int) -> list[int]:
    """First voxels of tiles that overlap by a quarter or more."""
    count = -(-4 * (size - tile) // (3 * tile)) + 1
    return [round((size - tile) * n / max(count - 1, 1)) for n in range(count)]


def refined(codes: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Replace sets of classes by the class in them that the teacher is sure of.

    Args:
        codes: uint8 (R, I, P).
        probability: float32 (classes, R, I, P).

    Returns:
        uint8 (R, I, P). Sets with background in them stay, but for endplates: no real image ever told the
        teacher what a sacrum is. Where one may lie, sacrum or background becomes no statement at all, since a
        network would take it for background.
    """
    allowed = np.moveaxis(spider.ALLOWED[codes], -1, 0)
    inside = np.where(allowed, probability, 0)
    best = inside.argmax(0)
    sure = inside.max(0) > SURE * inside.sum(0).clip(0.2)
    open_ = (codes == spider.BACKGROUND) | (codes == spider.BACKGROUND + spider.RIM)
    keep = (codes == spider.IGNORED) | (codes >= spider.EXACT) | (open_ & (best != spider.CLASS[L.ENDPLATE]))
    answer = np.where(sure & ~keep, spider.EXACT + best, codes).astype(np.uint8)
    disc = np.isin(codes, (spider.DISC, spider.DISC + spider.RIM))
    below = possible_sacrum(disc[len(disc) // 2])
    answer[(answer == spider.BACKGROUND) & below] = spider.IGNORED
    return without_low_cord(answer, codes)


def patients(data: Path, folder: Path, teacher: Teacher) -> None:
    """Refine the codes of the SPIDER patients' samples, once."""
    for path in sorted(folder.glob("patient-*.npz")):
        with np.load(path) as stored:
            if "taught" in stored:
                continue
            image, spacing = stored["image"].astype(np.float32), stored["spacing"]
        number = int(path.stem.split("-")[1])
        codes = spider.load(data, number).codes.transpose(2, 1, 0)
        thick = image[: len(image) // 2 * 2].reshape(-1, 2, *image.shape[1:]).mean(1)
        probability = teacher((thick - thick.mean()) / thick.std(), mirror=True)
        index = np.minimum(np.arange(len(image)) // 2, len(thick) - 1)
        samples.write(path, image, refined(codes, probability[:, index]), tuple(spacing), taught=True)
        click.echo(path.name)


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder with spider/ and spider_mid/."
)
@click.option("--folder", type=click.Path(path_type=Path), default=SAMPLES, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--bfloat16/--float32", default=True, show_default=True)
def main(data: Path, folder: Path, threads: int, *, bfloat16: bool) -> None:
    """Label the middle slices, then refine the patients' codes."""
    torch.set_num_threads(threads)
    teacher = Teacher(bfloat16=bfloat16)
    probabilities = folder.parent / "slices"
    probabilities.mkdir(exist_ok=True)
    for picture in slices.pictures(data / "spider_mid"):
        path = probabilities / f"{picture.number}.npz"
        if path.exists():
            continue
        slab = np.repeat(slices.normalised(picture.image)[None], 8, 0)
        found = teacher(slab, mirror=False)[:, 3:5].mean(1)
        with path.with_suffix(".part").open("wb") as file:
            np.savez_compressed(file, probability=(found * 255).round().astype(np.uint8))
        path.with_suffix(".part").replace(path)
        click.echo(f"slice {picture.number}")
    patients(data / "spider", folder, teacher)


if __name__ == "__main__":
    main()
