"""The instance network of the second generation: which vertebra a voxel belongs to, at half the resolution.

It takes SPINEPS's cutout of labels and answers SPINEPS's classes, voxel by voxel of the cutout; in between it
works on 2 x 2 blocks in plane, since it decides who owns a voxel and the labels say where bone ends.
"""

from __future__ import annotations

import copy
import itertools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.folders import CHANNELS

WIDTHS = (12, 24, 48, 96)
CLASSES = 4
"""None, above, centre, below."""
BLOCK = (2, 2, 1)
"""Voxels along P, I, R that share one answer before it is interpolated."""


def _unit(inputs: int, outputs: int, kernel: tuple[int, int, int], stride: int = 1) -> nn.Sequential:
    padding = tuple(k // 2 for k in kernel)
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )


class HalfUnet(nn.Module):
    """The network; sizes along P, I and R are multiples of 16, 16 and 8.

    Args:
        widths: Features of the levels; the first has kernels in plane only.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        first, flat, full = widths[0], (3, 3, 1), (3, 3, 3)
        self.stem = nn.Sequential(
            nn.Conv3d(CHANNELS, first, BLOCK, BLOCK, bias=False), nn.BatchNorm3d(first), nn.ReLU(inplace=True)
        )
        self.encoder = nn.ModuleList([_unit(first, first, flat)])
        self.reduce, self.decoder = nn.ModuleList(), nn.ModuleList()
        for wide, deep in itertools.pairwise(widths):
            kernel = flat if wide == first else full
            self.encoder.append(nn.Sequential(_unit(wide, deep, full, 2), _unit(deep, deep, full)))
            self.reduce.insert(0, _unit(deep, wide, (1, 1, 1)))
            last = _unit(wide, wide, kernel) if wide != first else nn.Identity()
            self.decoder.insert(0, nn.Sequential(_unit(2 * wide, wide, kernel), last))
        self.answer = nn.Conv3d(first, CLASSES, 1)

    def forward(self, one_hot: torch.Tensor) -> torch.Tensor:
        """Map one-hot labels (N, 10, P, I, R) to logits (N, 4, P, I, R)."""
        x, kept = self.stem(one_hot), []
        for level in self.encoder:
            x = level(x)
            kept.append(x)
        kept.pop()
        for reduce, level in zip(self.reduce, self.decoder, strict=True):
            x = F.interpolate(reduce(x), scale_factor=2.0, mode="nearest")
            x = level(torch.cat([x, kept.pop()], 1))
        scale = tuple(map(float, BLOCK))
        return F.interpolate(self.answer(x), scale_factor=scale, mode="trilinear")  # type: ignore[arg-type]


def folded(network: HalfUnet) -> HalfUnet:
    """A copy in evaluation mode whose batch norms are part of the convolutions."""
    answer = copy.deepcopy(network).eval()
    for module in answer.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], nn.BatchNorm3d):
            module[0] = fuse_conv_bn_eval(module[0], module[1])  # type: ignore[arg-type]
            module[1] = nn.Identity()
    return answer
