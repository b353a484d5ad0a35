"""Train the second generation's semantic network: ``python -m training.sagittal --minutes N``.

Everything is drawn on the device from the folder of samples, into which new files may come at any time. The
learning rate follows the clock: full for the first half of the planned minutes, then down along a cosine. An
interrupted training goes on from its checkpoint, by the same clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn

from training import plans, stacks
from training.losses import stack_loss
from training.network import SliceUnet
from training.prepare import SAMPLES
from training.samples import Gallery

ODDS = {"patient": 0.42, "phantom": 0.25, "slice": 0.33}
"""How often a slice of a stack comes from which kind of sample."""
WARM_UP = 150
"""Steps."""
LOG, SAVE = 50, 200
"""Steps between lines and between checkpoints."""
WEIGHTS = Path("training/checkpoints/slices.pt")
"""Weights that are kept, float16."""
KEEP = 0.998
"""Of the running average of the weights."""


class Training:
    """Network, running average, optimiser and clock, saved and resumed as one.

    Args:
        file: Checkpoint; if it exists, training goes on from it.
        device: Where to train.
        minutes: Planned length, from the first step on.
        peak: Highest learning rate.
    """

    def __init__(self, file: Path, *, device: torch.device, minutes: float, peak: float) -> None:
        self.file, self.device, self.seconds, self.peak = file, device, 60 * minutes, peak
        self.network = SliceUnet(plans.CLASSES).to(device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=peak, weight_decay=2e-2)
        self.step, self.began = 0, time.time()
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        if file.exists():
            state = torch.load(file, weights_only=True, map_location=device)
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average, self.step, self.began = state["average"], state["step"], state["began"]

    def start_from(self, weights: dict[str, torch.Tensor]) -> None:
        """Take other weights and statistics; the optimiser and the clock start anew."""
        self.network.load_state_dict(weights)
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}

    @property
    def progress(self) -> float:
        """Share of the planned time that has passed."""
        return (time.time() - self.began) / self.seconds

    def rate(self) -> float:
        """The learning rate now."""
        fall = min(max(2 * self.progress - 1, 0.0), 1.0)
        return (
            self.peak
            * min(1.0, (self.step + 1) / WARM_UP)
            * (0.01 + 0.99 * (1 + math.cos(math.pi * fall)) / 2)
        )

    def update(self, stack: stacks.Stack, *, bfloat16: bool) -> tuple[float, np.ndarray]:
        """Take one step; answer the loss and the soft Dice of each group."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        image = stack.image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bfloat16):
            logits = self.network(image, stack.around)
        loss, dice = stack_loss(logits, stack.codes)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 3.0, error_if_nonfinite=True)
        self.optimiser.step()
        self.step += 1
        keep = min(KEEP, self.step / (self.step + 10))
        for key, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - keep)
        return float(loss.detach()), dice.cpu().numpy()

    def save(self) -> None:
        """Write the checkpoint beside its final name, then rename."""
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "began": self.began,
        }
        torch.save(state, self.file.with_suffix(".part"))
        self.file.with_suffix(".part").replace(self.file)


def batches(gallery: Gallery, voxels: int, seed: int, first: int) -> Iterator[stacks.Stack]:
    """Draw stacks one step ahead, from step ``first`` on; look for new samples now and then."""
    with ThreadPoolExecutor(1) as ahead:

        def make(step: int) -> stacks.Stack:
            if step % LOG == 0 and gallery.refresh():
                click.echo(f"{step} samples: " + ", ".join(f"{gallery.count(k)} {k}" for k in ODDS))
            return stacks.draw(gallery, voxels, ODDS, np.random.default_rng((seed, step)))

        following = ahead.submit(make, first)
        while True:
            stack = following.result()
            first += 1
            following = ahead.submit(make, first)
            yield stack


@click.command()
@click.option("--minutes", type=float, required=True, help="Planned length from the first step on.")
@click.option("--samples", type=click.Path(path_type=Path), default=SAMPLES, show_default=True)
@click.option(
    "--file", type=click.Path(path_type=Path), default=Path("training/work/sagittal.pt"), show_default=True
)
@click.option("--device", default="cpu", show_default=True)
@click.option("--peak", type=float, default=3e-3, show_default=True, help="Highest learning rate.")
@click.option("--voxels", type=int, default=300_000, show_default=True, help="Of a step's stack.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--bfloat16/--float32", default=True, show_default=True)
@click.option("--warm", is_flag=True, help="Start from the kept weights, not from scratch.")
def main(
    minutes: float,
    samples: Path,
    file: Path,
    device: str,
    peak: float,
    voxels: int,
    seed: int,
    threads: int,
    *,
    bfloat16: bool,
    warm: bool,
) -> None:
    """Train until the planned minutes are over."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    where = torch.device(device)
    training = Training(file, device=where, minutes=minutes, peak=peak)
    if warm and training.step == 0:
        training.start_from(torch.load(WEIGHTS, weights_only=True))
    gallery = Gallery(samples, where)
    loss, dice, began = 0.0, np.full(plans.CLASSES + 5, np.nan), time.time()
    for stack in batches(gallery, voxels, seed, training.step):
        now, found = training.update(stack, bfloat16=bfloat16)
        loss += (now - loss) * (0.02 if loss else 1.0)
        dice = np.where(np.isnan(dice), found, np.where(np.isnan(found), dice, 0.98 * dice + 0.02 * found))
        over = training.progress >= 1
        if training.step % LOG == 0:
            marks = " ".join(f"{100 * d:.0f}" for d in dice)
            click.echo(
                f"{training.step} {time.time() - began:.0f}s {training.rate():.1e} loss {loss:.3f} {marks}"
            )
        if training.step % SAVE == 0 or over:
            training.save()
        if over:
            break


if __name__ == "__main__":
    main()
