"""SPINEPS's instance network: a 3-D U-Net with residual GroupNorm blocks.

Parameter names follow its published checkpoints (``network.*``), so that they load key by key.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

ONE_CHANNEL_LABELS = 9
"""Largest label of the instance network of one channel, and what labels are divided by (SPINEPS 2.1.3)."""


class _Norm(nn.GroupNorm):
    """GroupNorm; where a group is one channel, InstanceNorm: the same sums, many times faster on a CPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.num_groups == self.num_channels:
            return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        return super().forward(x)


class _ConvNorm(nn.Module):
    """Convolution, GroupNorm, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, *, groups: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.norm = _Norm(groups, outputs)
        self.act = nn.LeakyReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.proj(x)))


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
        for level in self.downs.children():
            block1, block2, down = level.children()
            x = block2(block1(x))
            skips.append(x)
            x = down(x)
        x = self.mid_block2(self.mid_block1(x))
        for level in self.ups.children():
            block1, block2, up = level.children()
            x = up(block2(block1(0.5 * (x + skips.pop()))))
        return self.final_conv(self.final_res_block(torch.cat((x, first), dim=1)))


class LabelsToClasses(nn.Module):
    """The instance network with its per-voxel work inside: one-hot before it, arg-max after it.

    Args:
        network: Maps (N, channels, P, I, R) to logits (N, 4, P, I, R).
        channels: One-hot channels; labels at or above it become background, as SPINEPS 2.1.3 does. A network
            of one channel takes the labels 0 to 9 divided by 9.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.one_hot = channels > 1
        self.labels = channels if self.one_hot else ONE_CHANNEL_LABELS + 1
        self.ids: torch.Tensor
        self.register_buffer("ids", torch.arange(channels, dtype=torch.int32).reshape(1, channels, 1, 1, 1))

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Map uint8 (N, 1, P, I, R) labels to uint8 (N, P, I, R) classes."""
        return self.classes(labels).to(torch.uint8)

    def classes(self, labels: torch.Tensor) -> torch.Tensor:
        """As :meth:`forward`, int64: TensorRT takes uint8 at a network's ends only."""
        wide = labels.to(torch.int32)
        wide = torch.where(wide < self.labels, wide, 0)
        if not self.one_hot:
            return self.network(wide.to(torch.float32) / ONE_CHANNEL_LABELS).argmax(1)
        one_hot = torch.eq(wide, self.ids).to(torch.float32)
        return self.network(one_hot).argmax(1)
