"""Model folders in SPINEPS's layouts, tiny and with random weights."""

from __future__ import annotations

import copy
import json

import numpy as np
import torch

from spineps_rt.export.checkpoints.instance_unet import InstanceUnet
from spineps_rt.export.checkpoints.plans import build_semantic

CLASSES = 3
COMMON = {
    "acquisition": "sag",
    "model_expected_orientation": ["P", "I", "R"],
    "resolution_range": [2.0, 2.0, 4.0],
    "inference_augmentation": False,
}
NEW = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [4, 8],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[1, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2]],
        "n_conv_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
OLD = {
    "UNet_class_name": "PlainConvUNet",
    "UNet_base_num_features": 4,
    "unet_max_num_features": 8,
    "n_conv_per_stage_encoder": [1, 1],
    "n_conv_per_stage_decoder": [1],
    "num_pool_per_axis": [0, 1, 1],
    "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2]],
    "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3]],
}


def residual():
    new = copy.deepcopy(NEW)
    new["network_class_name"] = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    new["arch_kwargs"]["n_blocks_per_stage"] = new["arch_kwargs"].pop("n_conv_per_stage")
    return {"architecture": new}


STYLES = {
    "new": {"architecture": NEW},
    "old": OLD,
    "residual": residual(),
    "old residual": {**OLD, "UNet_class_name": "ResidualEncoderUNet"},
}


def plans_of(style, **changes):
    configuration = {
        "patch_size": [8, 16, 16],
        "spacing": [4.0, 2.0, 2.0],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        **STYLES[style],
        **changes,
    }
    return {"transpose_forward": [0, 1, 2], "configurations": {"3d_fullres": configuration}}


def write_nnunet(
    folder, *, style="new", folds=("0",), file="checkpoint_final.pth", config=None, plans=None, labels=CLASSES
):
    """Write an nnU-Net folder; answer the folds' networks."""
    plans = plans or plans_of(style)
    networks = []
    for seed, fold in enumerate(folds):
        torch.manual_seed(seed)
        network = build_semantic(plans, inputs=1, classes=CLASSES).eval()
        (folder / f"fold_{fold}").mkdir(parents=True)
        checkpoint = {
            "network_weights": network.state_dict(),
            "init_args": {"configuration": "3d_fullres", "fold": 0},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 2),
            "logging": {"mean_fg_dice": [np.float64(0.5)]},  # as nnU-Net saves it: weights only refuses it
        }
        torch.save(checkpoint, folder / f"fold_{fold}" / file)
        networks.append(network)
    names = {"background": 0, **{f"c{i}": i for i in range(1, labels)}}
    dump(folder / "plans.json", plans)
    dump(folder / "dataset.json", {"channel_names": {"0": "T2w"}, "labels": names})
    dump(
        folder / "inference_config.json",
        {
            "log_name": "tiny semantic",
            "modality": ["T2w"],
            "modeltype": "nnunet",
            "available_folds": len(folds),
            "default_step_size": 0.5,
            "labels": {"1": "Vertebra_Corpus_border", "2": 100},
            "expected_inputs": ["img"],
            "has_c1": True,
            **COMMON,
            **(config or {}),
        },
    )
    return networks


def write_lightning(folder, *, channels=10, width=8, config=None):
    """Write an instance folder; answer the network."""
    torch.manual_seed(channels)
    network = InstanceUnet(width, channels).eval()
    folder.mkdir(parents=True)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "lr": np.float64(1)}, folder / "instance_weights.ckpt")
    dump(
        folder / "inference_config.json",
        {
            "log_name": "tiny",
            "modality": "SEG",
            "modeltype": "unet",
            "available_folds": 1,
            "default_step_size": 0.5,
            "labels": {"1": "1"},
            "expected_inputs": ["seg"],
            "cutout_size": [16, 16, 8],
            **COMMON,
            **(config or {}),
        },
    )
    return network


def dump(path, content):
    path.write_text(json.dumps(content))
