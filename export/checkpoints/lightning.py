"""The instance network's folder: a configuration and one checkpoint of Lightning."""

from __future__ import annotations

from typing import Any

import torch

from spineps_rt.errors import ModelError
from spineps_rt.export.checkpoints.config import Config
from spineps_rt.export.checkpoints.imported import Imported
from spineps_rt.export.checkpoints.instance_unet import InstanceUnet, LabelsToClasses
from spineps_rt.export.checkpoints.safe import load_checkpoint
from spineps_rt.export.checkpoints.source import find
from spineps_rt.export.checkpoints.weights import load_exactly

PATTERN = "*weights*.ckpt"
"""As SPINEPS 2.1.3 looks for it."""
CLASSES = 4


def read_lightning(config: Config) -> Imported:
    """Read an instance network; width and input channels follow from the weights.

    Args:
        config: Of type ``unet``; the checkpoint lies in its folder or below.

    Returns:
        A network from uint8 labels to uint8 classes, and its manifest.

    Raises:
        ModelError: There is not exactly one checkpoint, it is damaged, or it holds another network.
    """
    path = find(config.path.parent, PATTERN)
    state = load_checkpoint(path).get("state_dict")
    if not isinstance(state, dict):
        raise ModelError(f"{path} holds no state_dict; expected a checkpoint of Lightning.")
    weights = {key.removeprefix("network."): value for key, value in state.items()}
    width, channels = _sizes(weights.get("init_conv.weight"), config)
    network = InstanceUnet(width, channels, classes=CLASSES)
    load_exactly(network, weights, path=path)
    fields = config.instance()
    orientation = config.common("instance")["orientation"]
    manifest = {
        **config.common("instance"),
        "axes": orientation,
        "input": {"name": "labels", "dtype": "uint8", "shape": [1, 1, *fields["cutout"]]},
        "output": {"name": "classes", "dtype": "uint8", "shape": [1, *fields["cutout"]]},
        **fields,
    }
    notes = [_ONE_CHANNEL] if channels == 1 else []
    return Imported(LabelsToClasses(network, channels).eval(), manifest, [path], notes)


_ONE_CHANNEL = (
    "This network takes one channel, labels divided by 9. SPINEPS 2.1.3 sets every label to 0 before it "
    "divides and so shows the network nothing; this model gets the labels."
)


def _sizes(first: Any, config: Config) -> tuple[int, int]:
    if not isinstance(first, torch.Tensor) or first.ndim != 5 or first.shape[0] % 8:
        raise ModelError(
            f"{config.path.parent}: the checkpoint holds no SPINEPS instance network: "
            "network.init_conv.weight is missing, or no 3-D convolution of 8, 16, ... features."
        )
    return int(first.shape[0]), int(first.shape[1])
