"""The second generation's networks as model folders: ``python -m training.publish``.

The running average of the weights, and of the batch norms' statistics, is kept as float16 under
``training/checkpoints``, and the graph holds exactly those values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch

from spineps_rt.export.folder import write_model
from spineps_rt.export.graphs.trace import to_onnx
from spineps_rt.labels import SEMANTIC_CLASSES
from training import cutouts, folders, owners, plans, stacks
from training.folded import Tile
from training.halves import HalfUnet, folded
from training.network import SliceUnet
from training.release import ENGINES, INTENDED_USE, LICENCE
from training.sagittal import WEIGHTS

NAME, INSTANCE_NAME = "t2w_slices", "instance_halves"
PATCH = (20, 192, 160)
"""Tile in network order R, I, P: all slices of most scans, so that tiles beside the spine can be left out."""
STEP = 0.75
ACROSS = (1.8, 6.0)
"""mm: scans keep their own slices in this range."""


def manifest() -> dict[str, Any]:
    """Everything of the semantic model but cost and files."""
    return {
        **_common(NAME, "semantic", "T2w"),
        "spacing_range": [[stacks.SPACING, stacks.SPACING, mm] for mm in ACROSS],
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


def instance_manifest() -> dict[str, Any]:
    """Everything of the instance model but cost and files."""
    shape = list(folders.CUTOUT)
    return {
        **_common(INSTANCE_NAME, "instance", "SEG"),
        "spacing": list(plans.SPACING),
        "axes": ["P", "I", "R"],
        "cutout": shape,
        "input": {"name": "labels", "dtype": "uint8", "shape": [1, 1, *shape]},
        "output": {"name": "classes", "dtype": "uint8", "shape": [1, *shape]},
        "mapping": {**{str(i): int(c) for i, c in enumerate(cutouts.MAPPING) if c}, "26": 0},
        "corpus_size_cleaning": 100,
        "corpus_border_threshold": 10,
        "vert_size_threshold": 250,
    }


def _common(name: str, kind: str, modality: str) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": name,
        "kind": kind,
        "modalities": [modality],
        "acquisition": "sag",
        "orientation": ["P", "I", "R"],
        "licence": LICENCE,
        "provenance": "trained from scratch by this project; see engines/README.md",
        "intended_use": INTENDED_USE,
    }


def release(weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write graph and manifest of the semantic network with float16 weights."""
    network = SliceUnet(plans.CLASSES)
    network.load_state_dict(weights)
    example = torch.zeros(1, 1, *PATCH)
    graph = to_onnx(Tile(network.eval()), example, names=("image", "logits"))
    write_model(folder, graph, manifest())


def release_instance(weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write graph and manifest of the instance network with float16 weights."""
    network = HalfUnet()
    network.load_state_dict(weights)
    whole = owners.OwnersOfLabels(folded(network), folders.CHANNELS)
    example = torch.zeros(1, 1, *folders.CUTOUT, dtype=torch.uint8)
    write_model(folder, to_onnx(whole, example, names=("labels", "classes")), instance_manifest())


@click.command()
@click.option(
    "--file", type=click.Path(path_type=Path), help="First keep the weights of this training's state."
)
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--engines", type=click.Path(path_type=Path), default=ENGINES, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
def main(file: Path | None, weights: Path, engines: Path, threads: int) -> None:
    """Write model folders in ENGINES from WEIGHTS and from what ``training.owners`` has kept."""
    torch.set_num_threads(threads)
    if file is not None:
        average = torch.load(file, weights_only=True, map_location="cpu")["average"]
        halves = {k: v.half() if v.is_floating_point() else v for k, v in average.items()}
        weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save(halves, weights)
    release(torch.load(weights, weights_only=True), engines / NAME)
    if owners.WEIGHTS.exists():
        release_instance(torch.load(owners.WEIGHTS, weights_only=True), engines / INSTANCE_NAME)


if __name__ == "__main__":
    main()
