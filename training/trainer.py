"""What both trainings share: the schedule, the running average of the weights, saving and resuming."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import torch
from torch import nn

Batch = tuple[torch.Tensor, torch.Tensor]
Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(logits, target) -> (loss to minimise, soft Dice for the log)."""


def learning_rate(step: int, total: int, peak: float) -> float:
    """Warm-up over 200 steps, plateau, linear decay over the last 35 %."""
    decay = (total - step) / (0.35 * total)
    return peak * min(1.0, (step + 1) / 200, max(decay, 0.0) + 0.004)


class Trainer:
    """Network, average of its weights, optimiser and step; saved and resumed as one.

    Args:
        network: The network to train.
        file: Checkpoint; if it exists, training goes on from it.
        peak: Highest learning rate.
        loss: Loss of a batch.
    """

    def __init__(self, network: nn.Module, file: Path, *, peak: float, loss: Loss) -> None:
        self.network = network.to(memory_format=torch.channels_last_3d)
        self.file, self.peak, self.loss = file, peak, loss
        self.average = {k: v.clone() for k, v in network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=1e-2)
        self.step = 0
        if file.exists():
            state = torch.load(file, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average = state["average"]
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]

    def run(self, draw: Callable[[int], Batch], total: int) -> None:
        """Train until step ``total``; ``draw(step)`` gives inputs (N, C, ...) and targets.

        Prints every 50 steps and saves every 100.
        """
        began, loss, dice = time.time(), 0.0, 0.0
        with ThreadPoolExecutor(1) as ahead:
            following = ahead.submit(draw, self.step)
            while self.step < total:
                batch = following.result()
                following = ahead.submit(draw, self.step + 1)
                now = self._update(*batch, total)
                loss, dice = loss + 0.02 * (now[0] - loss), dice + 0.02 * (now[1] - dice)
                if self.step % 50 == 0:
                    click.echo(f"{self.step} {time.time() - began:.0f}s loss {loss:.3f} dice {dice:.3f}")
                if self.step % 100 == 0:
                    self.save()
        self.save()

    def _update(self, inputs: torch.Tensor, target: torch.Tensor, total: int) -> tuple[float, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, total, self.peak)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network(inputs.to(memory_format=torch.channels_last_3d))
        loss, dice = self.loss(logits, target)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 3.0)
        self.step += 1
        if not torch.isfinite(norm):  # InstanceNorm of an almost constant patch can overflow bfloat16
            return 2.0, 0.0
        self.optimiser.step()
        keep = min(0.998, self.step / (self.step + 10))
        for key, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - keep)
        return float(loss.detach()), float(dice)

    def save(self) -> None:
        """Write the checkpoint beside its final name, then rename."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(state, self.file.with_suffix(".part"))
        self.file.with_suffix(".part").replace(self.file)
