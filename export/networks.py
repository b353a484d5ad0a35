"""The two architectures of SPINEPS, rebuilt so that its checkpoints load key by key.

The semantic network is nnU-Net v2's U-Net as ``plans.json`` describes it (built by
dynamic-network-architectures, the package nnU-Net itself uses). The instance network is SPINEPS's 3-D U-Net
with residual GroupNorm blocks; parameter names follow its published checkpoints (``network.*``).
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def build_semantic(plans: dict[str, Any], *, inputs: int, classes: int) -> nn.Module:
    """Build the network of a new-style ``plans.json``, configuration ``3d_fullres``.

    Args:
        plans: Parsed plans; ``architecture`` names the class and its arguments.
        inputs: Input channels.
        classes: Output classes, background included.

    Returns:
        The network with fresh weights; tensors are (N, inputs, R, I, P) float32.
    """
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    arguments = dict(architecture["arch_kwargs"])
    for key in architecture["_kw_requires_import"]:
        if arguments[key] is not None:
            arguments[key] = _imported(arguments[key])
    network = _imported(architecture["network_class_name"])
    return network(input_channels=inputs, num_classes=classes, deep_supervision=False, **arguments)


def _imported(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


class _ConvNorm(nn.Module):
    """Convolution, GroupNorm, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, *, groups: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(groups, outputs)
        self.act = nn.LeakyReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, norm = self.proj(x), self.norm
        if norm.num_groups == norm.num_channels:  # the same sums, many times faster on a CPU
            return self.act(F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps))
        return self.act(norm(x))


class _Residual(nn.Module):
    """Two :class:`_ConvNorm` with a skip; a 1x1x1 convolution where the widths differ."""

    def __init__(self, inputs: int, outputs: int, *, groups: int) -> None:
        super().__init__()
        self.block1 = _ConvNorm(inputs, outputs, groups=groups)
        self.block2 = _ConvNorm(outputs, outputs, groups=groups)
        self.res_conv = nn.Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block2(self.block1(x)) + self.res_conv(x)


class InstanceUnet(nn.Module):
    """SPINEPS's second network.

    Args:
        width: Features of the first level (16 in the 10-channel network, 8 in the later ones).
        channels: Input channels: one per label of the one-hot cutout, or 1.
        classes: Output classes.
        multipliers: Width of each level as a multiple of ``width``.
        groups: Groups of every GroupNorm.
    """

    def __init__(
        self,
        width: int,
        channels: int,
        *,
        classes: int = 4,
        multipliers: Iterable[int] = (1, 2, 4, 8),
        groups: int = 8,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.init_conv = nn.Conv3d(channels, width, 7, padding=3)
        widths = [width, *(width * m for m in multipliers)]
        levels = list(itertools.pairwise(widths))
        last = len(levels) - 1

        def block(inputs: int, outputs: int) -> _Residual:
            return _Residual(inputs, outputs, groups=groups)

        self.downs = nn.ModuleList(
            nn.ModuleList([block(a, b), block(b, b), nn.Conv3d(b, b, 4, 2, 1) if i < last else nn.Identity()])
            for i, (a, b) in enumerate(levels)
        )
        self.mid_block1 = block(widths[-1], widths[-1])
        self.mid_block2 = block(widths[-1], widths[-1])
        self.ups = nn.ModuleList(
            nn.ModuleList(
                [block(b, a), block(a, a), nn.ConvTranspose3d(a, a, 4, 2, 1) if i < last else nn.Identity()]
            )
            for i, (a, b) in enumerate(reversed(levels))
        )
        self.final_res_block = block(width * 2, width)
        self.final_conv = nn.Conv3d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, channels, P, I, R) float to logits (N, classes, P, I, R); sizes divisible by 8."""
        x = self.init_conv(x)
        first = x
        skips = []
        for block1, block2, down in self.downs:
            x = block2(block1(x))
            skips.append(x)
            x = down(x)
        x = self.mid_block2(self.mid_block1(x))
        for block1, block2, up in self.ups:
            x = up(block2(block1(0.5 * (x + skips.pop()))))
        return self.final_conv(self.final_res_block(torch.cat((x, first), dim=1)))
