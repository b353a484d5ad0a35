"""Checkpoints in SPINEPS's own folder layout, so that SPINEPS runs the very same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from spineps_rt.labels import SEMANTIC_CLASSES
from training import plans

CHECKPOINTS = Path("training/checkpoints")
"""Model folders ``semantic`` and ``instance``."""
CUTOUT = (160, 128, 40)
"""Cutout of the instance network in voxels along P, I, R: 150 x 120 x 72 mm."""
WIDTH = 8
CHANNELS = 10
"""One-hot labels 0 to 9."""


def write_semantic(folder: Path, weights: dict[str, torch.Tensor], cases: int) -> None:
    """Write an nnU-Net v2 model folder with one fold.

    Args:
        folder: Created if missing; files are overwritten.
        weights: State of the network.
        cases: Number of training cases, for the record.
    """
    fold = folder / "fold_0"
    fold.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "plans.json", plans.semantic_plans())
    _write_json(folder / "dataset.json", plans.dataset_json(cases))
    _write_json(
        folder / "inference_config.json",
        {
            "log_name": "spineps-rt-semantic",
            "modality": ["T2w"],
            "modeltype": "nnunet",
            "available_folds": 1,
            "inference_augmentation": False,
            "default_step_size": 0.75,
            "labels": {str(i): str(label) for i, label in enumerate(SEMANTIC_CLASSES) if label},
            "expected_inputs": ["img"],
            **_COMMON,
        },
    )
    checkpoint = {
        "network_weights": _half(weights),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres", "fold": 0},
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "current_epoch": 0,
    }
    torch.save(checkpoint, fold / "checkpoint_final.pth")


def write_instance(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write the folder of the instance network: a Lightning checkpoint and its configuration.

    Args:
        folder: Created if missing; files are overwritten.
        weights: State of the network, without the ``network.`` prefix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(
        folder / "inference_config.json",
        {
            "log_name": "spineps-rt-instance",
            "modality": ["SEG"],
            "modeltype": "unet",
            "available_folds": 1,
            "inference_augmentation": False,
            "default_step_size": 0.5,
            "labels": {"1": "1", "2": "2", "3": "3"},
            "expected_inputs": ["seg"],
            "cutout_size": list(CUTOUT),
            **_COMMON,
        },
    )
    checkpoint = {
        "state_dict": {f"network.{key}": value for key, value in _half(weights).items()},
        "hyper_parameters": {
            "do2D": False,
            "num_channels": CHANNELS,
            "dim": WIDTH,
            "channelwise": True,
            "n_epoch": 1,
            "lr": 1e-3,
            "lr_end_factor": 0.01,
            "l2_reg_w": 1e-4,
            "dsc_loss_w": 1.0,
        },
        "pytorch-lightning_version": "2.4.0",
        "epoch": 0,
        "global_step": 0,
    }
    torch.save(checkpoint, folder / "instance_weights.ckpt")


_COMMON: dict[str, Any] = {
    "acquisition": "sag",
    "model_expected_orientation": ["P", "I", "R"],
    "resolution_range": list(plans.SPACING),
}


def read_semantic(folder: Path) -> dict[str, torch.Tensor]:
    """Weights of a folder that :func:`write_semantic` wrote, as float16."""
    path = folder / "fold_0" / "checkpoint_final.pth"
    return torch.load(path, weights_only=True)["network_weights"]


def read_instance(folder: Path) -> dict[str, torch.Tensor]:
    """Weights of a folder that :func:`write_instance` wrote, as float16, without the ``network.`` prefix."""
    state = torch.load(folder / "instance_weights.ckpt", weights_only=True)["state_dict"]
    return {key.removeprefix("network."): value for key, value in state.items()}


def _half(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Shrink the file: networks copy float16 weights into their float32 parameters when they load them.

    nnU-Net's networks name the same layer up to four times; equal tensors are stored once.
    """
    once: dict[bytes, torch.Tensor] = {}
    halves = {key: value.half() for key, value in weights.items()}
    return {
        key: once.setdefault(value.numpy().tobytes(), value).view(value.shape)
        for key, value in halves.items()
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
