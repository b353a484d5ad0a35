"""Train the embedded instance network: ``python -m training.instance``.

Label maps only: phantoms with their truth, and, where ``WORK/patients`` holds them, the first network's own
answers on SPIDER patients with instances derived from the experts' labels.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F

from spineps_rt.export.checkpoints.instance_unet import InstanceUnet
from training import cutouts, folders
from training.phantoms import SPACING as PHANTOM_SPACING
from training.phantoms import PhantomPool
from training.plans import SPACING
from training.trainer import Batch, Trainer


def loss_of(logits: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy plus soft Dice of the three vertebrae; (N, 4, P, I, R) and (N, P, I, R)."""
    logits = logits.float()
    weight = torch.tensor([0.3, 1.0, 1.0, 1.0])
    entropy = F.cross_entropy(logits, classes, weight=weight)
    probability = logits.softmax(1).flatten(2)
    target = F.one_hot(classes.flatten(1), 4).transpose(1, 2).float()
    hit = (probability * target).sum(2)
    dice = (2 * hit + 1) / (probability.sum(2) + target.sum(2) + 1)
    mean = dice[:, 1:].mean()
    return entropy + 1 - mean, mean.detach()


def patients(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Load ``*.npz`` with ``semantic`` and ``instance`` arrays, empty where there are none."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            found.append((arrays["semantic"], arrays["instance"]))
    return found


@click.command()
@click.option("--work", type=click.Path(path_type=Path), default=Path("training/work"), show_default=True)
@click.option("--steps", type=int, default=1700, show_default=True)
@click.option("--peak", type=float, default=2e-3, show_default=True, help="Highest learning rate.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--warm", is_flag=True, help="Start from the checkpoints in the tree, not from scratch.")
def main(work: Path, steps: int, peak: float, seed: int, threads: int, *, warm: bool) -> None:
    """Train until STEPS, resuming from WORK, then write the model folder."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    work.mkdir(parents=True, exist_ok=True)
    pool = PhantomPool(work / "phantoms", seed)
    real = patients(work / "patients")

    def draw(step: int) -> Batch:
        rng = np.random.default_rng((seed, step))
        use_real = real and rng.random() < 0.4
        truth = real[rng.integers(len(real))] if use_real else pool.truth(step, rng)
        labels, classes = cutouts.draw(*truth, SPACING if use_real else PHANTOM_SPACING, rng)
        one_hot = F.one_hot(labels.long(), folders.CHANNELS).permute(3, 0, 1, 2).float()
        return one_hot[None], classes[None].long()

    network = InstanceUnet(folders.WIDTH, folders.CHANNELS)
    if warm:
        network.load_state_dict(folders.read_instance(folders.CHECKPOINTS / "instance"))
    trainer = Trainer(network, work / "instance.pt", peak=peak, loss=loss_of)
    trainer.run(draw, steps)
    folders.write_instance(folders.CHECKPOINTS / "instance", trainer.average)


if __name__ == "__main__":
    main()
