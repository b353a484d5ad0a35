"""nnU-Net's networks as they are rebuilt: names, first weights and answers of the package nnU-Net uses."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="PyTorch comes with [export]")

from spineps_rt.errors import ModelError  # noqa: E402
from spineps_rt.export.checkpoints.plans import build_semantic  # noqa: E402 (after the check above)
from spineps_rt.export.checkpoints.unet import PlainConvUNet, ResidualEncoderUNet  # noqa: E402

PLAN = {
    "n_stages": 3,
    "features_per_stage": [4, 6, 8],
    "conv_op": torch.nn.Conv3d,
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage_decoder": [2, 1],
    "conv_bias": True,
    "norm_op": torch.nn.InstanceNorm3d,
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": torch.nn.LeakyReLU,
    "nonlin_kwargs": {"inplace": True},
}
OTHERS = {
    "as planned": {},
    "one number for all": {"features_per_stage": 5, "kernel_sizes": 3, "strides": 2},
    "one feature for two": {"features_per_stage": [4, 4, 8], "strides": [[1, 1, 1], [1, 1, 1], [1, 2, 2]]},
    "batch norm": {"norm_op": torch.nn.BatchNorm3d, "norm_op_kwargs": None, "conv_bias": False},
    "no norm": {"norm_op": None, "norm_op_kwargs": None},
    "dropout": {"dropout_op": torch.nn.Dropout3d, "dropout_op_kwargs": {"p": 0.5}},
    "relu": {"nonlin": torch.nn.ReLU, "nonlin_kwargs": None},
}
NETWORKS = {
    "plain": (PlainConvUNet, {"n_conv_per_stage": [1, 2, 2]}),
    "one convolution": (PlainConvUNet, {"n_conv_per_stage": 1, "nonlin_first": True}),
    "residual": (ResidualEncoderUNet, {"n_blocks_per_stage": [1, 2, 3]}),
}


def built(network, plan):
    torch.manual_seed(5)
    return network(input_channels=2, num_classes=3, **copy.deepcopy(plan)).eval()


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_is_the_one_that_nnunet_trains(kind, other):
    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet", reason="nnU-Net's own")
    network, blocks = NETWORKS[kind]
    plan = {**PLAN, **blocks, **OTHERS[other]}
    ours, theirs = built(network, plan), built(getattr(unet, network.__name__), plan)
    states = ours.state_dict(), theirs.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    image = torch.randn(2, 2, 8, 16, 16)
    with torch.inference_mode():
        assert torch.equal(ours(image), theirs(image))


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_weight_counts(kind):
    network, blocks = NETWORKS[kind]
    made = built(network, {**PLAN, **blocks})
    made(torch.randn(1, 2, 8, 16, 16)).square().sum().backward()
    unused = {name for name, weight in made.named_parameters() if weight.grad is None}
    assert unused == {"decoder.seg_layers.0.weight", "decoder.seg_layers.0.bias"}  # of deep supervision


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"strides": [[1, 1, 1]]}, "strides has 1 entries, expected 3"),
        ({"n_conv_per_stage": 0}, r"n_conv_per_stage is \[0, 0, 0\], expected numbers above 0"),
        ({"n_conv_per_stage_decoder": [1, 0]}, "n_conv_per_stage_decoder is"),
        ({"stem_channels": 4}, "unexpected keyword argument 'stem_channels'"),
        ({"conv_op": None}, "conv_op is None, expected Conv3d"),
        ({"kernel_sizes": [[3, 3], [3, 3], [3, 3]]}, r"a kernel or stride is \[3, 3\], expected three"),
    ],
)
def test_a_plan_that_no_network_follows_is_refused(change, says):
    arguments = {**PLAN, "n_conv_per_stage": 1, **change}
    network = {"network_class_name": "PlainConvUNet", "arch_kwargs": arguments, "_kw_requires_import": []}
    plans = {"configurations": {"3d_fullres": {"architecture": network}}}
    with pytest.raises(ModelError, match=f"cannot be built .*{says}"):
        build_semantic(plans, inputs=1, classes=2)
