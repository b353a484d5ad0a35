"""docs/latency.md, what GPUs should need for a scan: ``python -m benchmarks.prediction``.

Nothing is measured here. The networks run on PyTorch's meta device, which computes shapes alone; every
operator that is a launch on a GPU is counted with its operations and the bytes that it moves in float16.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.prediction_page import page
from spineps_rt.diagnostics.gpu_memory import seen_shape
from spineps_rt.export.checkpoints.instance_unet import InstanceUnet
from spineps_rt.export.checkpoints.plans import build_semantic
from spineps_rt.inference.tiling import plan_tiles
from spineps_rt.models import default_models
from spineps_rt.options import Options
from training import folders, plans

PAGE = Path(__file__).parents[1] / "docs" / "latency.md"
HALF = 2
"""Bytes of a value."""
SCAN_SHAPE, SCAN_SPACING = (448, 448, 15), (0.625, 0.625, 4.4)
"""A lumbar scan: voxels and mm along P, I, R. Assumed."""
CUTOUTS = 8
"""Vertebrae in it. Assumed."""
OFFICIAL_SPACING, OFFICIAL_PATCH, OFFICIAL_STEP = (0.75, 0.75, 1.65), (40, 256, 256), 0.5
"""Of SPINEPS's semantic network: mm along P, I, R; voxels R, I, P. The patch is assumed."""
OFFICIAL_CUTOUT = (248, 304, 64)
FOLDS, MIRRORED = 5, 8
LAUNCH_SECONDS = 5e-6
"""From one launch to the next, however small. Assumed."""
BANDWIDTH = 0.75
"""Share of the memory's peak that streaming operators get. Assumed."""


@dataclass(frozen=True)
class Launch:
    """One operator on a GPU."""

    flops: int
    bytes: int


class _Recorder(TorchDispatchMode):
    """Writes down the launches of whatever runs inside."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[Launch] = []

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        answer = operator(*args, **(kwargs or {}))
        name = operator.overloadpacket.__name__
        if name == "convolution":
            image, weight, transposed = args[0], args[1], args[6]
            over = image if transposed else answer
            flops = 2 * over.numel() * weight[0].numel()
            self.launches.append(Launch(flops, HALF * (image.numel() + weight.numel() + answer.numel())))
        elif "norm" in name:  # one pass for the statistics, one to apply them and the activation
            self.launches.append(Launch(0, HALF * 3 * args[0].numel()))
        elif name in ("add", "cat"):
            self.launches.append(Launch(0, HALF * (3 if name == "add" else 2) * answer.numel()))
        return answer


def launches(network: Callable[[], torch.nn.Module], shape: tuple[int, ...]) -> list[Launch]:
    """List what one run of a network puts on a GPU.

    Args:
        network: Makes it.
        shape: Of its input, (1, channels, ...).

    Returns:
        Launches in order; activations and scalings are part of the operator before them.
    """
    with torch.device("meta"):
        made, image = network().eval(), torch.empty(shape)
    with torch.no_grad(), _Recorder() as recorder:
        made(image)
    return recorder.launches


def seconds(found: list[Launch], *, tflops: float, gb_per_second: float, utilisation: float) -> float:
    """Predict one run: every launch takes the longer of its arithmetic and its memory, and its start."""
    return sum(
        max(
            one.flops / (tflops * 1e12 * utilisation),
            one.bytes / (gb_per_second * 1e9 * BANDWIDTH),
        )
        + LAUNCH_SECONDS
        for one in found
    )


def official_plans(patch: tuple[int, ...], strides: list[list[int]]) -> dict[str, Any]:
    """Write the plans of nnU-Net's usual 3d_fullres network: six stages of 32 to 320 features."""
    configuration = {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 32,
        "unet_max_num_features": 320,
        "conv_kernel_sizes": [[3, 3, 3]] * 6,
        "pool_op_kernel_sizes": strides,
        "n_conv_per_stage_encoder": [2] * 6,
        "n_conv_per_stage_decoder": [2] * 5,
        "patch_size": list(patch),
    }
    return {"configurations": {"3d_fullres": configuration}}


FLAT = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]
CUBIC = [[1, 1, 1]] + [[2, 2, 2]] * 5


def official(patch: tuple[int, ...], classes: int, strides: list[list[int]]) -> list[Launch]:
    """Launches of one tile of that network."""
    return launches(
        lambda: build_semantic(official_plans(patch, strides), inputs=1, classes=classes), (1, 1, *patch)
    )


def embedded() -> tuple[list[Launch], list[Launch]]:
    """Launches of one tile and one cutout of the embedded networks; the graphs' own counts must agree."""
    models = default_models()
    described = folders.CHECKPOINTS / "semantic" / "plans.json"
    text = json.loads(described.read_text(encoding="utf-8"))
    found = (
        launches(
            lambda: build_semantic(text, inputs=1, classes=plans.CLASSES), (1, 1, *models.semantic.patch)
        ),
        launches(
            lambda: InstanceUnet(folders.WIDTH, folders.CHANNELS),
            (1, folders.CHANNELS, *models.instance.cutout),
        ),
    )
    for one, model in zip(found, (models.semantic, models.instance)):
        counted = sum(launch.flops for launch in one)
        if model.cost is None or counted != model.cost.flops:
            raise SystemExit(f"{model.name}: {counted} operations here, {model.cost} in the manifest.")
    return found


def networks() -> list[dict[str, Any]]:
    """Every network: launches of one run, and runs per scan."""
    affine = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]]) * [*SCAN_SPACING, 1]
    model = default_models().semantic
    seen = seen_shape(model, (SCAN_SHAPE, affine), Options())
    large = tuple(round(n * mm / new) for n, mm, new in zip(SCAN_SHAPE, SCAN_SPACING, OFFICIAL_SPACING))[::-1]
    tiles = [
        len(plan_tiles(seen, model.patch, model.step).tiles),
        len(plan_tiles(large, OFFICIAL_PATCH, OFFICIAL_STEP).tiles),
    ]
    semantic, instance = embedded()
    whole = official(OFFICIAL_PATCH, 15, FLAT)
    cutout = launches(lambda: InstanceUnet(16, 10), (1, 10, *OFFICIAL_CUTOUT))
    runs = [
        ("embedded", "semantic", semantic, tiles[0]),
        ("embedded", "instance", instance, CUTOUTS),
        ("official size", "semantic, 5 folds", whole, tiles[1] * FOLDS),
        ("official size", "semantic, 5 folds, mirrored", whole, tiles[1] * FOLDS * MIRRORED),
        ("official size", "instance", cutout, CUTOUTS),
    ]
    return [{"model": m, "network": n, "launches": found, "runs": count} for m, n, found, count in runs]


def assumed() -> dict[str, Any]:
    """Tell what the page's text says of scan, networks and GPUs."""

    def sizes(values: tuple[float, ...]) -> str:
        return " x ".join(f"{value:g}" for value in values)

    return {
        "bandwidth": BANDWIDTH,
        "launch": LAUNCH_SECONDS * 1e6,
        "scan": sizes(SCAN_SHAPE),
        "spacing": sizes(SCAN_SPACING),
        "vertebrae": CUTOUTS,
        "official_spacing": sizes(OFFICIAL_SPACING),
        "step": OFFICIAL_STEP,
        "patch": sizes(OFFICIAL_PATCH),
        "cutout": sizes(OFFICIAL_CUTOUT),
        "mirrored": MIRRORED,
    }


def main() -> None:
    """Write docs/latency.md."""
    window = sum(one.flops for one in official((128, 128, 128), 3, CUBIC))
    text = page(networks(), window=window, predict=seconds, assumed=assumed())
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
