"""The two architectures of SPINEPS, rebuilt so that its checkpoints load key by key.

The semantic network is nnU-Net v2's U-Net as ``plans.json`` describes it (built by
dynamic-network-architectures, the package nnU-Net itself uses). The instance network is SPINEPS's 3-D U-Net
with residual GroupNorm blocks; parameter names follow its published checkpoints (``network.*``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from spineps_rt.errors import ModelError


def build_semantic(
    plans: dict[str, Any], *, inputs: int, classes: int, configuration: str = "3d_fullres"
) -> nn.Module:
    """Build the network of a configuration of ``plans.json``.

    Args:
        plans: Parsed plans, of either style: ``architecture`` names the class and its arguments, or
            ``UNet_class_name`` stands beside features, kernels and strides.
        inputs: Input channels.
        classes: Output classes, background included.
        configuration: Which of the plans' configurations.

    Returns:
        The network with fresh weights; tensors are (N, inputs, R, I, P) float32.

    Raises:
        ModelError: The plans describe no 3-D PlainConvUNet or ResidualEncoderUNet.
    """
    found = resolved_configuration(plans, configuration)
    try:
        name, arguments, named = _new_style(found) if "architecture" in found else _old_style(found)
        for key in named:
            if arguments[key] is not None:
                arguments[key] = _known(arguments[key], _LAYERS)
        network = _known(name, _NETWORKS)
        return network(input_channels=inputs, num_classes=classes, **{**arguments, "deep_supervision": False})
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise ModelError(
            f"The plans describe a network that cannot be built ({type(error).__name__}: {error}); expected "
            "those of nnU-Net v2."
        ) from error


def resolved_configuration(plans: dict[str, Any], name: str) -> dict[str, Any]:
    """One configuration of the plans, with what it inherits.

    Raises:
        ModelError: There is no such configuration, or it inherits from itself.
    """
    known = plans.get("configurations", {})
    chain: list[str] = []
    while name is not None:
        if name not in known or name in chain:
            raise ModelError(
                f"The plans hold no usable configuration {name!r}; there are {', '.join(known) or 'none'}."
            )
        chain.append(name)
        name = known[name].get("inherits_from")
    found: dict[str, Any] = {}
    for part in reversed(chain):
        found |= known[part]
    return found


_Built = tuple[str, dict[str, Any], list[str]]


def _new_style(configuration: dict[str, Any]) -> _Built:
    architecture = configuration["architecture"]
    return (
        architecture["network_class_name"],
        dict(architecture["arch_kwargs"]),
        list(architecture["_kw_requires_import"]),
    )


def _old_style(configuration: dict[str, Any]) -> _Built:
    """Arguments from plans before nnU-Net 2.4, which left norm and activation to the code."""
    name = configuration["UNet_class_name"]
    stages = len(configuration["conv_kernel_sizes"])
    first, largest = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    encoder = "n_blocks_per_stage" if name == "ResidualEncoderUNet" else "n_conv_per_stage"
    arguments = {
        "n_stages": stages,
        "features_per_stage": [min(first * 2**i, largest) for i in range(stages)],
        "conv_op": "Conv3d",
        "kernel_sizes": configuration["conv_kernel_sizes"],
        "strides": configuration["pool_op_kernel_sizes"],
        encoder: configuration["n_conv_per_stage_encoder"],
        "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": "InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return name, arguments, ["conv_op", "norm_op", "dropout_op", "nonlin"]


_NETWORKS = {"PlainConvUNet": PlainConvUNet, "ResidualEncoderUNet": ResidualEncoderUNet}
_LAYERS = {
    layer.__name__: layer
    for layer in (nn.Conv3d, nn.InstanceNorm3d, nn.BatchNorm3d, nn.Dropout3d, nn.LeakyReLU, nn.ReLU)
}


def _known(dotted: str, known: dict[str, Any]) -> Any:
    """A class by the last part of its name, out of a short list: plans must not import what they like."""
    name = str(dotted).rpartition(".")[2]
    if name not in known:
        raise ModelError(f"The plans name {dotted!r}; the export knows {', '.join(known)}.")
    return known[name]


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
        for block1, block2, down in self.downs:
            x = block2(block1(x))
            skips.append(x)
            x = down(x)
        x = self.mid_block2(self.mid_block1(x))
        for block1, block2, up in self.ups:
            x = up(block2(block1(0.5 * (x + skips.pop()))))
        return self.final_conv(self.final_res_block(torch.cat((x, first), dim=1)))
