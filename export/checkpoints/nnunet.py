"""An nnU-Net v2 model folder: plans, data set and one checkpoint a fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from spineps_rt.errors import ModelError
from spineps_rt.export.checkpoints.config import Config
from spineps_rt.export.checkpoints.imported import Imported
from spineps_rt.export.checkpoints.plans import build_semantic, resolved_configuration
from spineps_rt.export.checkpoints.safe import load_checkpoint
from spineps_rt.export.checkpoints.source import find, read_json
from spineps_rt.export.checkpoints.weights import load_exactly

FILES = ("checkpoint_final.pth", "checkpoint_best.pth")
"""As SPINEPS 2.1.3: the first that every fold has."""
SAME_SPACING = 0.01
"""Spacings that differ by less than this fraction are the same."""


class Folds(nn.Module):
    """Networks of equal shape whose logits are averaged, as TPTBox 1.1.0 does it (before any softmax).

    TPTBox averages stitched logits, in float16; stitching is linear, so tile by tile it is the same sum, here
    in float32.
    """

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (1, 1, *patch) float32 to the mean of the folds' logits."""
        total = self.networks[0](x)
        for network in list(self.networks)[1:]:
            total = total + network(x)
        return total / len(self.networks)


def read_nnunet(config: Config) -> Imported:
    """Read a semantic network, all folds of it.

    Args:
        config: Of type ``nnunet``; ``plans.json`` lies in its folder or below, the rest beside the plans.

    Returns:
        A network from a normalised tile to logits, and its manifest.

    Raises:
        ModelError: A file is missing or damaged, the weights do not fit the plans, or the model needs
            what the runtime cannot do.
    """
    plans_path = find(config.path.parent, "plans.json")
    plans, dataset = read_json(plans_path), read_json(plans_path.with_name("dataset.json"))
    paths = _checkpoints(plans_path.parent, config.folds)
    classes = _classes(dataset, plans_path.with_name("dataset.json"))
    networks: list[nn.Module] = []
    name = ""
    mirrored: dict[str, list[int]] = {}
    for path in paths:
        checkpoint = load_checkpoint(path)
        if not networks:  # nnU-Net, too, asks the first fold
            name, mirrored = _configuration_name(checkpoint), _mirrored(checkpoint, config, path)
        network = build_semantic(plans, inputs=1, classes=classes, configuration=name).eval()
        load_exactly(network, _weights(checkpoint), path=path)
        networks.append(network)
    manifest, notes = _manifest(config, resolved_configuration(plans, name), plans, classes)
    manifest |= mirrored
    return Imported(networks[0] if len(networks) == 1 else Folds(networks).eval(), manifest, paths, notes)


def _checkpoints(folder: Path, folds: list[str]) -> list[Path]:
    # SPINEPS tries the folds of the configuration, then one that was trained on all cases.
    for names in (folds, ["all"]):
        for file in FILES:
            paths = [folder / f"fold_{name}" / file for name in names]
            if paths and all(path.is_file() for path in paths):
                return paths
    there = ", ".join(sorted(str(p.relative_to(folder)) for p in folder.glob("fold_*/*.pth"))) or "none"
    raise ModelError(
        f"{folder}: expected {' or '.join(FILES)} of the folds {', '.join(folds)} ('available_folds') or of "
        f"fold_all; there are: {there}."
    )


def _configuration_name(checkpoint: dict[str, Any]) -> str:
    arguments = checkpoint.get("init_args")
    name = arguments.get("configuration") if isinstance(arguments, dict) else None
    return name if isinstance(name, str) else "3d_fullres"


def _mirrored(checkpoint: dict[str, Any], config: Config, path: Path) -> dict[str, list[int]]:
    """Manifest's field of the axes that nnU-Net mirrors, where SPINEPS's configuration lets it."""
    axes = checkpoint.get("inference_allowed_mirroring_axes")
    if not config.data.get("inference_augmentation") or not axes:
        return {}
    if not isinstance(axes, list | tuple) or not set(axes) <= {0, 1, 2}:
        raise ModelError(f"{path} mirrors along the axes {axes!r}; expected some of 0, 1, 2.")
    return {"mirror_axes": sorted(set(axes))}


def _weights(checkpoint: dict[str, Any]) -> Any:
    weights = checkpoint.get("network_weights")
    if not isinstance(weights, dict):
        return weights
    # what torch.compile and data-parallel training put before the names
    return {str(k).removeprefix("module.").removeprefix("_orig_mod."): v for k, v in weights.items()}


def _classes(dataset: dict[str, Any], path: Path) -> int:
    labels, channels = dataset.get("labels"), dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(labels, dict) or not isinstance(channels, dict):
        raise ModelError(f"{path} names no labels or no channels; expected nnU-Net v2's dataset.json.")
    if any(isinstance(value, list) for value in labels.values()) or dataset.get("regions_class_order"):
        raise ModelError(f"{path}: a network of overlapping regions cannot be exported; one of classes can.")
    if len(channels) != 1:
        raise ModelError(f"{path}: the network takes {len(channels)} channels; the runtime gives it one.")
    return len(labels) - ("ignore" in labels)


def _manifest(
    config: Config, configuration: dict[str, Any], plans: dict[str, Any], classes: int
) -> tuple[dict[str, Any], list[str]]:
    common = config.common("semantic")
    _require_zscore(configuration, config)
    patch = list(configuration.get("patch_size", []))
    if len(patch) != 3:
        raise ModelError(f"{config.path.parent}: the plans have patches of {patch}; expected 3d_fullres.")
    # TPTBox hands the axes over in reverse; the plans may turn them once more.
    order = plans.get("transpose_forward", [0, 1, 2])
    axes = [common["orientation"][::-1][i] for i in order]
    named = config.labels
    if not set(named) <= set(range(1, classes)):
        raise config.refuse("labels", f"classes from 1 to {classes - 1}, which dataset.json has")
    labels = {str(i): named.get(i, i) for i in range(1, classes)}  # what SPINEPS does not map stays as it is
    spacing, notes = _spacing(config, dict(zip(axes, configuration["spacing"])), common["orientation"])
    for key in ("spacing", "spacing_range"):
        common.pop(key, None)
    manifest = {
        **common,
        **spacing,
        "axes": axes,
        "patch": patch,
        "normalisation": {"scheme": "zscore"},
        "input": {"name": "image", "dtype": "float32", "shape": [1, 1, *patch]},
        "output": {"name": "logits", "dtype": "float32", "shape": [1, classes, *patch]},
        "labels": labels,
        **config.semantic(),
    }
    return manifest, notes


def _require_zscore(configuration: dict[str, Any], config: Config) -> None:
    schemes, masked = configuration.get("normalization_schemes"), configuration.get("use_mask_for_norm")
    if schemes != ["ZScoreNormalization"]:
        raise ModelError(
            f"{config.path.parent}: the plans normalise by {schemes}; the runtime knows "
            "ZScoreNormalization of one channel. A model for CT cannot be exported."
        )
    if masked not in ([False], None):
        raise ModelError(
            f"{config.path.parent}: the plans normalise within a mask (use_mask_for_norm {masked}); "
            "the runtime normalises the whole box of the image."
        )


def _spacing(
    config: Config, planned: dict[str, float], orientation: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Manifest's spacing: nnU-Net resamples to its plans, whatever the configuration says before it."""
    wanted = tuple(float(planned[axis]) for axis in orientation)
    given = config.spacings
    same = all(abs(a - b) <= SAME_SPACING * b for spacing in given for a, b in zip(spacing, wanted))
    if same:
        return {"spacing": list(given[0])}, []
    said = " to ".join(" x ".join(f"{mm:g}" for mm in spacing) for spacing in given)
    note = (
        f"The plans' spacing, {' x '.join(f'{mm:g}' for mm in wanted)} mm, stands for the configuration's "
        f"({said} mm): nnU-Net resamples to it in any case."
    )
    return {"spacing": list(wanted)}, [note]
