"""The semantic network that nnU-Net's ``plans.json`` describes."""

from __future__ import annotations

from typing import Any

from torch import nn

from spineps_rt.errors import ModelError
from spineps_rt.export.checkpoints.unet import PlainConvUNet, ResidualEncoderUNet


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
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
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
