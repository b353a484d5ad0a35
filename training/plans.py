"""What the embedded semantic model is, in nnU-Net v2's own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spineps_rt.labels import SEMANTIC_CLASSES, STRUCTURES

SPACING = (0.9375, 0.9375, 1.8)
"""Voxel spacing (mm) along P, I, R."""
PATCH = (48, 112, 128)
"""Tile in network order R, I, P: 86 x 105 x 120 mm, wide enough for the slices of a sagittal protocol, and as
small as memory wants it."""
FEATURES = (16, 32, 64, 96, 128)
KERNELS = ((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))
STRIDES = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
CLASSES = len(SEMANTIC_CLASSES)


def semantic_plans() -> dict[str, Any]:
    """Return ``plans.json``: one configuration, ``3d_fullres``, a PlainConvUNet."""
    return {
        "dataset_name": "Dataset701_SpinepsRT",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(reversed(SPACING)),
        "original_median_shape_after_transp": [20, 320, 256],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {}},
        "configurations": {
            "3d_fullres": {
                "data_identifier": "nnUNetPlans_3d_fullres",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": list(PATCH),
                "median_image_size_in_voxels": [20, 320, 256],
                "spacing": list(reversed(SPACING)),
                "normalization_schemes": ["ZScoreNormalization"],
                "use_mask_for_norm": [False],
                **resampling(),
                "batch_dice": False,
                "architecture": architecture("PlainConvUNet", FEATURES, KERNELS, STRIDES, blocks=2),
            }
        },
    }


def architecture(
    unet: str,
    features: Sequence[int],
    kernels: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    *,
    blocks: int,
) -> dict[str, Any]:
    """Describe a network in plans of the new style, a number of features, a kernel and a stride a stage.

    Args:
        unet: ``PlainConvUNet`` or ``ResidualEncoderUNet``.
        features: Features of each stage.
        kernels: Kernel of each stage.
        strides: Stride of each stage.
        blocks: Convolutions, or residual blocks, of every stage.
    """
    stages = len(features)
    encoder = "n_conv_per_stage" if unet == "PlainConvUNet" else "n_blocks_per_stage"
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{unet}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [list(k) for k in kernels],
            "strides": [list(s) for s in strides],
            encoder: [blocks] * stages,
            "n_conv_per_stage_decoder": [blocks] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def resampling() -> dict[str, Any]:
    """Describe how nnU-Net resamples images, labels and probabilities."""
    found: dict[str, Any] = {}
    for kind, is_seg, order in (("data", False, 3), ("seg", True, 1), ("probabilities", False, 1)):
        found[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        found[f"resampling_fn_{kind}_kwargs"] = {
            "is_seg": is_seg,
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    return found


def dataset_json(training_cases: int) -> dict[str, Any]:
    """Return ``dataset.json``: channel, labels in class order."""
    labels = {"background": 0}
    labels.update({STRUCTURES[label].name: index for index, label in enumerate(SEMANTIC_CLASSES) if label})
    return {
        "channel_names": {"0": "T2w"},
        "labels": labels,
        "numTraining": training_cases,
        "file_ending": ".nii.gz",
    }
