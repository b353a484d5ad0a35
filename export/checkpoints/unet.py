"""nnU-Net v2's two U-Nets in 3-D, with the parameter names of its checkpoints.

They are those of the package dynamic-network-architectures 0.4 (Isensee et al., Apache-2.0), which nnU-Net
trains with, less what no plan of nnU-Net asks for. That package brings torchvision and timm; this needs
PyTorch alone.
``tests/export/test_export_unet.py`` proves names and answers equal where the package is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Architecture:
    """What a plan says of a network, by its names in ``plans.json``; one number stands for every stage."""

    n_stages: int
    features_per_stage: Any
    conv_op: type[nn.Module]
    kernel_sizes: Any
    """Of each stage a number, or one an axis."""
    strides: Any
    """As ``kernel_sizes``; of a stage's first convolution."""
    n_conv_per_stage_decoder: Any
    """Convolutions of each stage on the way up, the deepest first."""
    n_conv_per_stage: Any = 0
    """Convolutions of each stage on the way down; of the plain network."""
    n_blocks_per_stage: Any = 0
    """Residual blocks instead; of the residual network."""
    conv_bias: bool = False
    norm_op: type[nn.Module] | None = None
    norm_op_kwargs: dict[str, Any] | None = None
    dropout_op: type[nn.Module] | None = None
    dropout_op_kwargs: dict[str, Any] | None = None
    nonlin: type[nn.Module] | None = None
    nonlin_kwargs: dict[str, Any] | None = None
    nonlin_first: bool = False
    """Activation before norm."""
    deep_supervision: bool = field(default=False, repr=False)
    """Read and left out: it changes the training, neither the weights nor the answer."""

    def __post_init__(self) -> None:
        """Write a list of every stage where a number stands.

        Raises:
            ValueError: A list has another length than there are stages, or the convolution is not in 3-D.
        """
        if self.conv_op is not nn.Conv3d:
            raise ValueError(f"conv_op is {self.conv_op!r}, expected Conv3d")
        stages = self.n_stages
        lengths = {
            **dict.fromkeys(("features_per_stage", "kernel_sizes", "strides"), stages),
            **dict.fromkeys(("n_conv_per_stage", "n_blocks_per_stage"), stages),
            "n_conv_per_stage_decoder": stages - 1,
        }
        for name, length in lengths.items():
            value = getattr(self, name)
            every = [value] * length if isinstance(value, int) else list(value)
            if len(every) != length:
                raise ValueError(f"{name} has {len(every)} entries, expected {length}")
            object.__setattr__(self, name, every)
        self.require("n_conv_per_stage_decoder")

    def require(self, counts: str) -> None:
        """Demand a list of counts above 0.

        Raises:
            ValueError: The plan says nothing of it, or there is a stage of nothing.
        """
        if min(getattr(self, counts), default=0) < 1:
            raise ValueError(f"{counts} is {getattr(self, counts)}, expected numbers above 0")

    def unit(self, inputs: int, outputs: int, kernel: Any, stride: Any = 1) -> ConvUnit:
        """Convolution, dropout, norm and activation, as far as the plan has them."""
        return ConvUnit(self, inputs, outputs, kernel, stride)

    def stack(self, count: int, inputs: int, outputs: int, kernel: Any, stride: Any = 1) -> ConvStack:
        """Units one after the other; the first one strides."""
        return ConvStack(
            self.unit(inputs if i == 0 else outputs, outputs, kernel, stride if i == 0 else 1)
            for i in range(count)
        )


class ConvUnit(nn.Module):
    """Convolution of same margins, dropout, norm, activation."""

    def __init__(self, plan: Architecture, inputs: int, outputs: int, kernel: Any, stride: Any) -> None:
        super().__init__()
        kernel, stride = _per_axis(kernel), _per_axis(stride)
        margin = _per_axis([(n - 1) // 2 for n in kernel])
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, margin, bias=plan.conv_bias)
        layers: list[nn.Module] = [self.conv]
        if plan.dropout_op is not None:
            self.dropout = plan.dropout_op(**(plan.dropout_op_kwargs or {}))
            layers.append(self.dropout)
        if plan.norm_op is not None:
            self.norm = plan.norm_op(outputs, **(plan.norm_op_kwargs or {}))
            layers.append(self.norm)
        if plan.nonlin is not None:
            self.nonlin = plan.nonlin(**(plan.nonlin_kwargs or {}))
            layers.append(self.nonlin)
        if plan.nonlin_first and plan.norm_op is not None and plan.nonlin is not None:
            layers[-2:] = layers[:-3:-1]
        self.all_modules = nn.Sequential(*layers)  # the checkpoints name every weight twice

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.all_modules(x)


class ConvStack(nn.Module):
    """Units one after the other."""

    def __init__(self, units: Any) -> None:
        super().__init__()
        self.convs = nn.Sequential(*units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convs(x)


class ResidualBlock(nn.Module):
    """Two units and a skip, the skip pooled where the units stride (ResNet-D, arXiv:1812.01187)."""

    def __init__(self, plan: Architecture, inputs: int, outputs: int, kernel: Any, stride: Any) -> None:
        super().__init__()
        linear = replace(plan, dropout_op=None, nonlin=None)
        self.conv1 = plan.unit(inputs, outputs, kernel, stride)
        self.conv2 = linear.unit(outputs, outputs, kernel)
        self.nonlin2 = plan.nonlin(**(plan.nonlin_kwargs or {})) if plan.nonlin else nn.Identity()
        size = _per_axis(stride)
        skip: list[nn.Module] = [nn.AvgPool3d(size, size)] if any(n != 1 for n in size) else []
        if inputs != outputs:
            skip.append(replace(linear, conv_bias=False).unit(inputs, outputs, 1))
        self.skip = nn.Sequential(*skip)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.skip(x)
        return self.nonlin2(self.conv2(self.conv1(x)) + residual)


class ResidualStack(nn.Module):
    """Residual blocks one after the other; the first one strides."""

    def __init__(self, plan: Architecture, stage: int, inputs: int) -> None:
        super().__init__()
        outputs, kernel = plan.features_per_stage[stage], plan.kernel_sizes[stage]
        count, stride = plan.n_blocks_per_stage[stage], plan.strides[stage]
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(plan, inputs if i == 0 else outputs, outputs, kernel, stride if i == 0 else 1)
                for i in range(count)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x)


class Encoder(nn.Module):
    """The way down; answers what every stage answered."""

    def __init__(self, stages: Sequence[nn.Module], stem: nn.Module | None = None) -> None:
        super().__init__()
        if stem is not None:
            self.stem = stem
        self.stages = nn.Sequential(*stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem(x) if hasattr(self, "stem") else x
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        return skips


class Decoder(nn.Module):
    """The way up; answers logits of the first stage's resolution."""

    def __init__(self, encoder: Encoder, plan: Architecture, classes: int) -> None:
        super().__init__()
        self.encoder = encoder  # the checkpoints name its weights here, too
        stages, ups, heads = [], [], []
        for i, count in enumerate(plan.n_conv_per_stage_decoder, start=1):
            below, here = plan.features_per_stage[-i], plan.features_per_stage[-i - 1]
            stride = _per_axis(plan.strides[-i])
            ups.append(nn.ConvTranspose3d(below, here, stride, stride, bias=plan.conv_bias))
            stages.append(plan.stack(count, 2 * here, here, plan.kernel_sizes[-i - 1]))
            heads.append(nn.Conv3d(here, classes, 1))  # of all stages: deep supervision trains them
        self.stages, self.transpconvs = nn.ModuleList(stages), nn.ModuleList(ups)
        self.seg_layers = nn.ModuleList(heads)

    def forward(self, skips: list[torch.Tensor]) -> torch.Tensor:
        x = skips[-1]
        for i, (up, stage) in enumerate(zip(self.transpconvs, self.stages), start=2):
            x = stage(torch.cat((up(x), skips[-i]), 1))
        return self.seg_layers[-1](x)


class _Unet(nn.Module):
    encoder: Encoder
    decoder: Decoder

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, inputs, R, I, P) float32 to logits (N, classes, R, I, P)."""
        return self.decoder(self.encoder(x))


class PlainConvUNet(_Unet):
    """nnU-Net's U-Net of plain convolutions."""

    def __init__(self, input_channels: int, num_classes: int, **plan: Any) -> None:
        super().__init__()
        found = Architecture(**plan)
        found.require("n_conv_per_stage")
        widths = [input_channels, *found.features_per_stage]
        sizes = zip(found.n_conv_per_stage, widths, widths[1:], found.kernel_sizes, found.strides)
        self.encoder = Encoder([nn.Sequential(found.stack(*size)) for size in sizes])
        self.decoder = Decoder(self.encoder, found, num_classes)


class ResidualEncoderUNet(_Unet):
    """nnU-Net's U-Net with residual blocks on the way down."""

    def __init__(self, input_channels: int, num_classes: int, **plan: Any) -> None:
        super().__init__()
        found = Architecture(**plan)
        found.require("n_blocks_per_stage")
        first = found.features_per_stage[0]
        stem = found.stack(1, input_channels, first, found.kernel_sizes[0])
        widths = [first, *found.features_per_stage]
        stages = [ResidualStack(found, i, widths[i]) for i in range(found.n_stages)]
        self.encoder = Encoder(stages, stem)
        self.decoder = Decoder(self.encoder, found, num_classes)


def _per_axis(value: Any) -> tuple[int, int, int]:
    every = [value] * 3 if isinstance(value, int) else list(value)
    if len(every) != 3:
        raise ValueError(f"a kernel or stride is {every}, expected three sizes")
    first, second, third = every
    return first, second, third
