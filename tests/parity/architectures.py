"""Every architecture of SPINEPS's published models, small: what tests.parity.networks compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training import plans

SPACING = (2.0, 2.0, 4.0)
"""mm along P, I, R of every model."""
PATCH = (16, 32, 32)
CUTOUT = (64, 48, 24)
FEATURES = (8, 16, 32)
CLASSES = {1: 49, 2: 100, 3: 61, 4: 41}
"""Class to label id of the semantic networks."""


@dataclass(frozen=True)
class Semantic:
    """One nnU-Net folder."""

    unet: str
    style: str
    """Plans: ``new`` or ``old``."""
    folds: tuple[str, ...]
    turned: bool = False
    """The plans swap the first two axes."""

    @property
    def name(self) -> str:
        folds = (
            "fold_all" if self.folds == ("all",) else f"{len(self.folds)} fold{'s'[: len(self.folds) - 1]}"
        )
        return f"{self.unet}, {self.style} plans{', axes turned' if self.turned else ''}, {folds}"


@dataclass(frozen=True)
class Instance:
    """One folder of the instance network."""

    channels: int
    width: int

    @property
    def name(self) -> str:
        return f"Unet3D, {self.channels} channel{'s'[: self.channels - 1]}, width {self.width}"


ARCHITECTURES = [
    (unet, style) for unet in ("PlainConvUNet", "ResidualEncoderUNet") for style in ("new", "old")
]
CASES = (
    *(Semantic(*architecture, ("0",)) for architecture in ARCHITECTURES),
    Semantic("PlainConvUNet", "new", ("0",), turned=True),
    Instance(10, 16),
    Instance(11, 8),
    Instance(1, 8),
    *(Semantic(*architecture, ("all",)) for architecture in ARCHITECTURES),
    *(Semantic(*architecture, tuple("01234")) for architecture in ARCHITECTURES),
)


def plans_of(case: Semantic) -> dict[str, Any]:
    """Write plans.json of three stages as nnU-Net does."""
    kernels, strides = [[1, 3, 3], [3, 3, 3], [3, 3, 3]], [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
    order = [1, 0, 2] if case.turned else [0, 1, 2]
    configuration: dict[str, Any] = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "patch_size": [PATCH[i] for i in order],
        "spacing": [SPACING[::-1][i] for i in order],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        **plans.resampling(),
    }
    if case.style == "new":
        network = plans.architecture(case.unet, FEATURES, kernels, strides, blocks=1)
        configuration["architecture"] = network
    else:
        configuration |= {
            "UNet_class_name": case.unet,
            "UNet_base_num_features": FEATURES[0],
            "unet_max_num_features": 320,
            "n_conv_per_stage_encoder": [1, 1, 1],
            "n_conv_per_stage_decoder": [1, 1],
            "num_pool_per_axis": [1, 2, 2],
            "pool_op_kernel_sizes": strides,
            "conv_kernel_sizes": kernels,
        }
    return {
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "transpose_forward": order,
        "transpose_backward": order,
        "foreground_intensity_properties_per_channel": {"0": {}},
        "configurations": {"3d_fullres": configuration},
    }
