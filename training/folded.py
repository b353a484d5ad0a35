"""The second generation's network as the runtime runs it: tiles of static shape, batch norm folded away."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.network import Across, Level, SliceUnet, Unit


class Tile(nn.Module):
    """:class:`training.network.SliceUnet` for one tile, the slices being the batch of all its layers.

    The stem's space-to-depth and its first convolution are one convolution of 6 x 6 with a stride of 2; the
    layers that mix slices are one convolution whose answers are shifted; the image reaches the head by a
    convolution of its own. All this changes the order of sums and nothing else.

    Args:
        network: In evaluation mode; it is copied.
    """

    def __init__(self, network: SliceUnet) -> None:
        super().__init__()
        source = copy.deepcopy(network).eval()
        self.encoder = nn.ModuleList(_Level(level) for level in source.encoder)  # type: ignore[arg-type]
        self.encoder[0].first = _stem(_folded(source.encoder[0].first))  # type: ignore[union-attr]
        self.reduce = nn.ModuleList(_folded(unit) for unit in source.reduce)  # type: ignore[arg-type]
        self.decoder = nn.ModuleList(_Level(level) for level in source.decoder)  # type: ignore[arg-type]
        self.spread, self.answer = source.spread, source.answer
        head = _folded(source.head)
        self.head = _part(head, slice(0, -1), bias=True)
        self.image = _part(head, slice(-1, None), bias=False)

    def forward(self, tile: torch.Tensor) -> torch.Tensor:
        """float32 (1, 1, R, I, P) to logits (1, classes, R, I, P)."""
        image = tile[0, 0][:, None]
        kept, x = [], image
        for level in self.encoder:
            x = level(x)
            kept.append(x)
        kept.pop()
        for reduce, level in zip(self.reduce, self.decoder, strict=True):
            x = F.interpolate(F.relu(reduce(x)), scale_factor=2.0, mode="nearest")
            x = level(torch.cat([x, kept.pop()], 1))
        x = F.pixel_shuffle(self.spread(x), 2)
        x = self.answer(F.relu(self.head(x) + self.image(image)))
        return x.transpose(0, 1)[None]


class _Level(nn.Module):
    def __init__(self, level: Level) -> None:
        super().__init__()
        self.first, self.second = _folded(level.first), _folded(level.second)
        self.across = None if level.across is None else _Across(level.across)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x))
        if self.across is not None:
            x = self.across(x)
        return F.relu(self.second(x))


class _Across(nn.Module):
    def __init__(self, across: Across) -> None:
        super().__init__()
        conv = _folded(across.unit)
        size = conv.out_channels
        self.parts = nn.Conv2d(size, 3 * size, 1)
        weight = torch.cat([conv.weight[:, n * size : (n + 1) * size] for n in range(3)])
        zero = torch.zeros(size)
        assert conv.bias is not None
        self.parts.weight = nn.Parameter(weight.detach())
        self.parts.bias = nn.Parameter(torch.cat([zero, conv.bias.detach(), zero]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before, here, behind = self.parts(x).chunk(3, 1)
        before = torch.cat([before[:1], before[:-1]])
        behind = torch.cat([behind[1:], behind[-1:]])
        return x + F.relu(before + here + behind)


def _folded(unit: Unit) -> nn.Conv2d:
    return fuse_conv_bn_eval(unit[0], unit[1])  # type: ignore[arg-type, return-value]


def _stem(conv: nn.Conv2d) -> nn.Conv2d:
    """A convolution of 3 x 3 behind a space-to-depth of 2 x 2 as one of 6 x 6 with stride 2."""
    joined = nn.Conv2d(1, conv.out_channels, 6, 2, 2)
    blocks = conv.weight.detach().reshape(-1, 2, 2, 3, 3)  # outputs, row and column in a block, taps
    weight = blocks.permute(0, 3, 1, 4, 2).reshape(-1, 1, 6, 6)
    joined.weight, joined.bias = nn.Parameter(weight), conv.bias
    return joined


def _part(conv: nn.Conv2d, channels: slice, *, bias: bool) -> nn.Conv2d:
    """A convolution of some of the input channels, its bias kept or left out."""
    weight = conv.weight.detach()[:, channels].contiguous()
    part = nn.Conv2d(weight.shape[1], conv.out_channels, 3, padding=1, bias=bias)
    part.weight = nn.Parameter(weight)
    if bias:
        part.bias = conv.bias
    return part
