"""Train the embedded semantic network: ``python -m training.semantic``.

Thirty SPIDER patients (five held out) with partial labels, and phantoms with all classes. Every choice is
drawn from one seed and the step's number, so that an interrupted run continues where it stopped.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from spineps_rt.export.networks import build_semantic

from training import folders, losses, patches, plans, spider
from training.phantoms import PhantomPool
from training.trainer import Trainer

PATCHES = ((8, 144, 112), (16, 112, 96), (24, 96, 80), (48, 80, 64))
"""Training patches (R, I, P); all under 250,000 voxels, the last as wide as a tile of the runtime."""
ODDS = (0.3, 0.35, 0.2, 0.15)


def batch(
    real: list[spider.Case], pool: PhantomPool | None, seed: int, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the batch of one step: a patient and a phantom, or two patients without phantoms."""
    rng = np.random.default_rng((seed, step))
    shape = PATCHES[rng.choice(len(PATCHES), p=ODDS)]
    case = real[rng.integers(len(real))]
    sources = [patches.Source(case.image, case.codes, case.spacing)]
    if pool is None:
        other = real[rng.integers(len(real))]
        sources.append(patches.Source(other.image, other.codes, other.spacing))
    else:
        sources.append(pool.source(step, rng))
    images, codes = [], []
    for source in sources:
        if source.spacing[2] < 1.5 and rng.random() < 0.5:
            source = patches.thick_slices(source, rng)  # noqa: PLW2901
        image, code = patches.draw(source, shape, plans.SPACING, rng)
        while (image != 0).float().mean() < 0.03:  # a patch outside the volume teaches nothing
            image, code = patches.draw(source, shape, plans.SPACING, rng)
        images.append(patches.disturb(image, rng))
        codes.append(code)
    return torch.stack(images)[:, None], torch.stack(codes)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of SPIDER patients.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("training/work"), show_default=True)
@click.option("--steps", type=int, default=6000, show_default=True)
@click.option("--phantoms-from", type=int, default=0, show_default=True, help="Patients alone before.")
@click.option("--peak", type=float, default=3e-3, show_default=True, help="Highest learning rate.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--warm", is_flag=True, help="Start from the checkpoints in the tree, not from scratch.")
def main(
    data: Path,
    work: Path,
    steps: int,
    phantoms_from: int,
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
    if trainer.step < phantoms_from:
        trainer.run(lambda step: batch(real, None, seed, step), phantoms_from)
    pool = PhantomPool(work / "phantoms", seed)
    trainer.run(lambda step: batch(real, pool, seed, step), steps)
    folders.write_semantic(folders.CHECKPOINTS / "semantic", trainer.average, len(real))


if __name__ == "__main__":
    main()
