"""Train the second generation's instance network: ``python -m training.owners``.

As :mod:`training.instance`, but voxel by voxel of the mask only, since the mask draws the border, and with
slices as thick as the semantic network of the second generation leaves them.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F

from spineps_rt import labels as L
from spineps_rt.export.checkpoints.instance_unet import LabelsToClasses
from training import cutouts, derive, folders, spider
from training.halves import HalfUnet
from training.instance import patients
from training.phantoms import SPACING as PHANTOM_SPACING
from training.phantoms import PhantomPool
from training.trainer import Batch, Trainer

WEIGHTS = Path("training/checkpoints/halves.pt")
"""Weights that are kept, float16."""
FINE = (0.9375, 0.9375, 0.9)
"""Spacing (mm) along P, I, R of patients derived from experts' labels."""
PATIENT_ODDS = 0.5
THICK = (1, 4)
"""Slices of a cutout that become one; 1.8 mm each."""
_PLAIN = {spider.CORPUS: L.CORPUS, spider.VERTEBRA: L.CORPUS, spider.BEHIND: L.ARCUS}


class OwnersOfLabels(LabelsToClasses):
    """The network with its per-voxel work inside; background of the mask stays none."""

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Map uint8 (N, 1, P, I, R) labels to uint8 (N, P, I, R) classes."""
        inside = labels.to(torch.int32)[:, 0] > 0
        return torch.where(inside, self.classes(labels), 0).to(torch.uint8)


def loss_of(logits: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy plus soft Dice of the three vertebrae within the mask.

    Args:
        logits: float (N, 4, P, I, R).
        classes: int64 (N, P, I, R); -1 where the mask is background.
    """
    inside = classes >= 0
    chosen = logits.float().movedim(1, -1)[inside]
    target = classes[inside]
    entropy = F.cross_entropy(chosen, target)
    probability, wanted = chosen.softmax(1), F.one_hot(target, 4).float()
    dice = (2 * (probability * wanted).sum(0) + 1) / (probability.sum(0) + wanted.sum(0) + 1)
    mean = dice[1:].mean()
    return entropy + 1 - mean, mean.detach()


def thicker(
    labels: torch.Tensor, classes: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Let neighbouring slices (last axis) of a cutout show the same, as after thick slices."""
    thick = int(rng.integers(THICK[0], THICK[1] + 1))
    depth = labels.shape[-1]
    index = torch.from_numpy((np.arange(depth) + rng.integers(thick)) // thick * thick).clamp(max=depth - 1)
    return labels[..., index], classes[..., index]


def from_experts(data: Path, samples: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Semantic and instance label maps (P, I, R) of the patients, from codes that the teacher has refined."""
    table = np.zeros(256, np.uint8)
    table[list(_PLAIN)] = list(_PLAIN.values())
    for label in L.SEMANTIC_CLASSES:
        table[spider.EXACT + spider.CLASS[label]] = label
    found = []
    for path in sorted(samples.glob("patient-*.npz")):
        with np.load(path) as stored:
            semantic = table[stored["codes"].transpose(2, 1, 0)]
        instance = derive.instances(spider.load(data, int(path.stem.split("-")[1])).codes, FINE)
        found.append((semantic, instance))
    return found


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with spider/.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("training/work"), show_default=True)
@click.option("--steps", type=int, default=1500, show_default=True)
@click.option("--peak", type=float, default=3e-3, show_default=True, help="Highest learning rate.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
def main(data: Path, work: Path, steps: int, peak: float, seed: int, threads: int) -> None:
    """Train until STEPS, resuming from WORK, then keep the weights."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    pool = PhantomPool(work / "phantoms", seed, size=16)
    experts, answers = from_experts(data / "spider", work / "samples"), patients(work / "patients")

    def one(rng: np.random.Generator, step: int) -> Batch:
        if rng.random() < PATIENT_ODDS:
            kind = answers if answers and rng.random() < 0.5 else experts
            truth, spacing = kind[rng.integers(len(kind))], FINE if kind is experts else cutouts.SPACING
        else:
            truth, spacing = pool.truth(step, rng), PHANTOM_SPACING
        labels, classes = thicker(*cutouts.draw(*truth, spacing, rng), rng)
        one_hot = F.one_hot(labels.long(), folders.CHANNELS).permute(3, 0, 1, 2).float()
        return one_hot, classes.long().masked_fill(labels == 0, -1)

    def draw(step: int) -> Batch:
        rng = np.random.default_rng((seed, step))
        pairs = [one(rng, step) for _ in range(2)]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])

    trainer = Trainer(HalfUnet(), work / "halves.pt", peak=peak, loss=loss_of)
    trainer.run(draw, steps)
    halves = {k: v.half() if v.is_floating_point() else v for k, v in trainer.average.items()}
    torch.save(halves, WEIGHTS)


if __name__ == "__main__":
    main()
