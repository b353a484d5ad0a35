"""The semantic network of the second generation: a U-Net on stacks of slices.

Every layer but a few works within a slice; :class:`Across` mixes a slice with its two neighbours. A stack may
hold several scans, one behind the other: whose neighbour a slice is, is given, and a slice without one is its
own, so that a single slice is the same as that slice repeated. Batch norm folds into the convolutions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (32, 64, 96, 128, 128)
"""Features at 1.9, 3.75, 7.5, 15 and 30 mm in plane."""
HEAD = 16
"""Features at full resolution."""
FACTOR = 2 * 2 ** (len(WIDTHS) - 1)
"""Rows and columns must be a multiple of this."""


def neighbours(sizes: list[int]) -> torch.Tensor:
    """Say which slices lie before and behind each slice.

    Args:
        sizes: Slices of each scan in the stack, in order.

    Returns:
        int64 (2, slices).
    """
    before, behind, first = [], [], 0
    for size in sizes:
        last = first + size - 1
        before += [max(first, n - 1) for n in range(first, last + 1)]
        behind += [min(last, n + 1) for n in range(first, last + 1)]
        first = last + 1
    return torch.tensor([before, behind])


class Unit(nn.Sequential):
    """Convolution within the slice, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Across(nn.Module):
    """Add to each slice what it learns from its neighbours: a convolution of 3 x 1 x 1."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.unit = Unit(3 * features, features, kernel=1)

    def forward(self, x: torch.Tensor, around: torch.Tensor) -> torch.Tensor:
        """(slices, features, rows, columns) and int64 (2, slices) to the same shape."""
        return x + self.unit(torch.cat([x[around[0]], x, x[around[1]]], 1))


class Level(nn.Module):
    """Two convolutions within the slice and, where wanted, one across."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, across: bool = False) -> None:
        super().__init__()
        self.first = Unit(inputs, outputs, stride=stride)
        self.across = Across(outputs) if across else None
        self.second = Unit(outputs, outputs)

    def forward(self, x: torch.Tensor, around: torch.Tensor) -> torch.Tensor:
        """(slices, inputs, rows, columns) to (slices, outputs, rows / stride, columns / stride)."""
        x = self.first(x)
        if self.across is not None:
            x = self.across(x, around)
        return self.second(x)


class SliceUnet(nn.Module):
    """The network.

    Args:
        classes: Structures and background.
        widths: Features of the levels, from 1.9 mm downwards.
    """

    def __init__(self, classes: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        before = (4, *widths[:-1])
        self.encoder = nn.ModuleList(
            Level(i, o, stride=1 if n == 0 else 2, across=n > 0)
            for n, (i, o) in enumerate(zip(before, widths, strict=True))
        )
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.reduce = nn.ModuleList(Unit(deep, wide, kernel=1) for deep, wide in pairs)
        self.decoder = nn.ModuleList(Level(2 * wide, wide, across=wide == widths[2]) for _, wide in pairs)
        self.spread = nn.Conv2d(widths[0], 4 * HEAD, 1)
        self.head = Unit(HEAD + 1, HEAD)
        self.answer = nn.Conv2d(HEAD, classes, 1)

    def forward(self, x: torch.Tensor, around: torch.Tensor) -> torch.Tensor:
        """Turn float (slices, 1, rows, columns) and int64 (2, slices) into logits, (slices, classes, ...)."""
        image, kept = x, []
        x = F.pixel_unshuffle(x, 2)
        for level in self.encoder:
            x = level(x, around)
            kept.append(x)
        kept.pop()
        for reduce, level in zip(self.reduce, self.decoder, strict=True):
            x = F.interpolate(reduce(x), scale_factor=2.0, mode="nearest")
            x = level(torch.cat([x, kept.pop()], 1), around)
        x = F.pixel_shuffle(self.spread(x), 2)
        return self.answer(self.head(torch.cat([x, image], 1)))
