"""The second generation's network as a model folder: ``python -m training.publish``.

The running average of the weights gets statistics of its own for its batch norms before they are folded; the
weights are kept as float16 under ``training/checkpoints``, and the graph holds exactly those values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from spineps_rt.export.folder import write_model
from spineps_rt.export.onnx import to_onnx
from torch import nn

from spineps_rt.labels import SEMANTIC_CLASSES
from training import plans, stacks
from training.folded import Tile
from training.network import SliceUnet
from training.prepare import SAMPLES
from training.release import ENGINES, INTENDED_USE, LICENCE
from training.sagittal import ODDS, WEIGHTS
from training.samples import Gallery

NAME = "t2w_slices"
PATCH = (8, 320, 320)
"""Tile in network order R, I, P: a 300 mm field of eight slices."""
STEP = 0.75
ACROSS = (2.5, 6.0)
"""mm: scans keep their own slices in this range."""
SETTLING = 60
"""Stacks from which the batch norms' statistics are taken."""


def settle(network: nn.Module, gallery: Gallery, *, voxels: int = 300_000) -> None:
    """Take the batch norms' statistics anew, for the weights as they are now."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all stacks
    network.train()
    with torch.inference_mode():
        for index in range(SETTLING):
            stack = stacks.draw(gallery, voxels, ODDS, np.random.default_rng((77, index)))
            network(stack.image.contiguous(memory_format=torch.channels_last), stack.around)
    network.eval()


def manifest() -> dict[str, Any]:
    """Everything but cost and files."""
    return {
        "schema": 1,
        "name": NAME,
        "kind": "semantic",
        "modalities": ["T2w"],
        "acquisition": "sag",
        "orientation": ["P", "I", "R"],
        "spacing_range": [[stacks.SPACING, stacks.SPACING, mm] for mm in ACROSS],
        "licence": LICENCE,
        "provenance": "trained from scratch by this project; see engines/README.md",
        "intended_use": INTENDED_USE,
        "axes": ["R", "I", "P"],
        "patch": list(PATCH),
        "step": STEP,
        "normalisation": {"scheme": "zscore"},
        "input": {"name": "image", "dtype": "float32", "shape": [1, 1, *PATCH]},
        "output": {"name": "logits", "dtype": "float32", "shape": [1, plans.CLASSES, *PATCH]},
        "labels": {str(i): label for i, label in enumerate(SEMANTIC_CLASSES) if label},
        "sacrum_ids": [26],
        "has_c1": False,
    }


def release(weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write graph and manifest of float16 weights."""
    network = SliceUnet(plans.CLASSES)
    network.load_state_dict(weights)
    example = torch.zeros(1, 1, *PATCH)
    graph = to_onnx(Tile(network.eval()), example, names=("image", "logits"))
    write_model(folder, graph, manifest())


@click.command()
@click.option(
    "--file", type=click.Path(path_type=Path), help="Checkpoint of a training; the kept weights otherwise."
)
@click.option("--samples", type=click.Path(path_type=Path), default=SAMPLES, show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), default=ENGINES / NAME, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
def main(file: Path | None, samples: Path, weights: Path, folder: Path, threads: int) -> None:
    """Write WEIGHTS from a training's checkpoint, and the model FOLDER from WEIGHTS."""
    torch.set_num_threads(threads)
    if file is not None:
        network = SliceUnet(plans.CLASSES)
        network.load_state_dict(torch.load(file, weights_only=True, map_location="cpu")["average"])
        network = network.to(memory_format=torch.channels_last)
        settle(network, Gallery(samples, torch.device("cpu")))
        halves = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
        weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save(halves, weights)
    release(torch.load(weights, weights_only=True), folder)


if __name__ == "__main__":
    main()
