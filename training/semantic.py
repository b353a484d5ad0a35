"""Train the embedded semantic network: ``python -m training.semantic``.

Thirty SPIDER patients (five held out) with partial labels, and phantoms with all classes. Every choice is
drawn from one seed and the step's number, so that an interrupted run continues where it stopped.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from spineps_rt.export.checkpoints.plans import build_semantic
from training import folders, losses, patches, plans, spider
from training.phantoms import PhantomPool
from training.trainer import Batch, Trainer

PATCHES = ((8, 144, 112), (16, 112, 96), (24, 96, 80))
"""Patches (R, I, P) of steps with two samples."""
ODDS = (0.35, 0.4, 0.25)
WIDE = (48, 96, 80)
"""Patch of steps with one sample, as wide as a tile of the runtime: patients' slabs lie between zeros in it,
as they do there, and phantoms show their transverse processes."""
WIDE_ODDS = 0.35
PHANTOM_ODDS = 0.35
"""How often a sample is a phantom; the others are patients."""


def batch(real: list[spider.Case], pool: PhantomPool, seed: int, step: int) -> Batch:
    """Draw the batch of one step: (N, 1, R, I, P) images and (N, R, I, P) codes."""
    rng = np.random.default_rng((seed, step))
    wide = rng.random() < WIDE_ODDS
    shape = WIDE if wide else PATCHES[rng.choice(len(PATCHES), p=ODDS)]
    drawn = [_sample(real, pool, shape, step, rng) for _ in range(1 if wide else 2)]
    return torch.stack([image for image, _ in drawn])[:, None], torch.stack([code for _, code in drawn])


def _sample(
    real: list[spider.Case],
    pool: PhantomPool,
    shape: tuple[int, int, int],
    step: int,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    if rng.random() < PHANTOM_ODDS:
        source = pool.source(step, rng)
    else:
        case = real[rng.integers(len(real))]
        source = patches.Source(case.image, case.codes, case.spacing)
    if rng.random() < 0.45:
        source = patches.thick_slices(source, rng)
    while True:
        image, code = patches.draw(source, shape, plans.SPACING, rng)
        if (image != 0).float().mean() >= 0.03:  # a patch outside the volume teaches nothing
            return patches.disturb(image, rng), code


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of SPIDER patients.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("training/work"), show_default=True)
@click.option("--steps", type=int, default=11500, show_default=True)
@click.option("--peak", type=float, default=2e-3, show_default=True, help="Highest learning rate.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--warm", is_flag=True, help="Start from the checkpoints in the tree, not from scratch.")
def main(
    data: Path,
    work: Path,
    steps: int,
    peak: float,
    seed: int,
    threads: int,
    *,
    warm: bool,
) -> None:
    """Train until STEPS, resuming from WORK, then write the model folder."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    work.mkdir(parents=True, exist_ok=True)
    numbers = sorted(int(p.name.split("-")[1].split("_")[0]) for p in data.glob("spider-*_T2w.nii.gz"))
    real = [spider.load(data, n) for n in numbers if n not in spider.HELD_OUT]
    network = build_semantic(plans.semantic_plans(), inputs=1, classes=plans.CLASSES)
    if warm:
        network.load_state_dict(folders.read_semantic(folders.CHECKPOINTS / "semantic"))
    trainer = Trainer(network, work / "semantic.pt", peak=peak, loss=losses.partial_loss)
    pool = PhantomPool(work / "phantoms", seed)
    trainer.run(lambda step: batch(real, pool, seed, step), steps)
    folders.write_semantic(folders.CHECKPOINTS / "semantic", trainer.average, len(real))


if __name__ == "__main__":
    main()
