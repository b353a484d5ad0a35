"""A further round of pseudo-labels by the training itself: ``python -m training.rounds --data FOLDER``.

The running average labels the middle slices (their samples are then made anew by :mod:`training.slices`), and
says where in the patients' scans the sacrum lies, which it learned from drawings and experts did not draw.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F

from spineps_rt import labels as L
from training import plans, samples, slices, spider
from training.network import FACTOR, SliceUnet, neighbours
from training.prepare import SAMPLES
from training.teacher import EXCHANGED

SURE_SACRUM = 0.8
"""Least probability of sacrum where experts allow sacrum or background."""


class Student:
    """The second generation's network in the middle of its training."""

    def __init__(self, file: Path) -> None:
        self.network = SliceUnet(plans.CLASSES).to(memory_format=torch.channels_last)
        self.network.load_state_dict(torch.load(file, weights_only=True, map_location="cpu")["average"])
        self.network.eval()

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Class probabilities (classes, R, I, P) of an image (R, I, P), z-scored; mean of both sides."""
        gaps = [-n % FACTOR for n in image.shape[1:]]
        stack = F.pad(torch.from_numpy(image), (0, gaps[1], 0, gaps[0]))[:, None]
        around = neighbours([len(image)])
        plain = self.network(stack, around).softmax(1)
        turned = self.network(stack.flip(0), around).softmax(1).flip(0)[:, EXCHANGED]
        mean = (plain + turned)[..., : image.shape[1], : image.shape[2]] / 2
        return mean.movedim(1, 0).numpy()


def patients(folder: Path, student: Student) -> int:
    """Write the sacrum into the patients' samples; answer how many voxels."""
    total, sacrum = 0, spider.CLASS[L.SACRUM]
    for path in sorted(folder.glob("patient-*.npz")):
        with np.load(path) as stored:
            image, codes = stored["image"].astype(np.float32), stored["codes"]
            spacing, taught = tuple(stored["spacing"]), "taught" in stored
        thick = image[: len(image) // 3 * 3].reshape(-1, 3, *image.shape[1:]).mean(1)
        probability = student((thick - thick.mean()) / thick.std())[sacrum]
        index = np.minimum(np.arange(len(image)) // 3, len(thick) - 1)
        open_ = np.isin(codes, (spider.IGNORED, spider.BACKGROUND, spider.EXACT + sacrum))
        found = open_ & (probability[index] >= SURE_SACRUM)
        codes = np.where(open_ & (codes != spider.BACKGROUND), spider.IGNORED, codes)
        codes[found] = spider.EXACT + sacrum
        samples.write(path, image, codes, spacing, taught=taught)
        total += int(found.sum())
    return total


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with spider_mid/.")
@click.option("--file", type=click.Path(path_type=Path), default=Path("training/work/sagittal.pt"))
@click.option("--folder", type=click.Path(path_type=Path), default=SAMPLES, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
def main(data: Path, file: Path, folder: Path, threads: int) -> None:
    """Keep the student's answers beside the teacher's, and write the patients' sacrum."""
    torch.set_num_threads(threads)
    student = Student(file)
    for picture in slices.pictures(data / "spider_mid"):
        path = folder.parent / "slices" / f"{picture.number}.npz"
        kept = {}
        if path.exists():
            with np.load(path) as stored:
                kept = dict(stored)
        found = student(slices.normalised(picture.image)[None])[:, 0]
        kept["student"] = (found * 255).round().astype(np.uint8)
        with path.with_suffix(".part").open("wb") as opened:
            np.savez_compressed(opened, **kept)
        path.with_suffix(".part").replace(path)
    click.echo(f"{patients(folder, student)} voxels of sacrum in patients")


if __name__ == "__main__":
    main()
