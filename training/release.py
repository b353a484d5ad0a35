"""Checkpoints to the embedded models: ``python -m training.release``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import torch

from spineps_rt.export.checkpoints.instance_unet import InstanceUnet, LabelsToClasses
from spineps_rt.export.checkpoints.plans import build_semantic
from spineps_rt.export.folder import write_model
from spineps_rt.export.graphs.trace import first_layer, to_onnx
from spineps_rt.labels import SEMANTIC_CLASSES
from training import cutouts, folders, plans

ENGINES = Path("engines")
TRAINING_CASES = 25
INTENDED_USE = "Research, testing and latency measurement. Not a medical device, not for clinical use."
LICENCE = "Apache-2.0; trained on SPIDER (CC BY 4.0), doi:10.1038/s41597-024-03090-w, and on phantoms"


@click.command()
@click.option(
    "--work", type=click.Path(path_type=Path), help="First take the averages of this running training."
)
@click.option("--only", type=click.Choice(["semantic", "instance"]), help="Leave the other model as it is.")
def main(work: Path | None, only: str | None) -> None:
    """Write ``engines/t2w_semantic`` and ``engines/instance`` from the checkpoints."""
    if work is not None:
        _take(work)
    if only != "instance":
        _semantic()
    if only != "semantic":
        _instance()


def _take(work: Path) -> None:
    """Turn the state of a training that still runs into checkpoints."""
    if (work / "semantic.pt").exists():
        state = torch.load(work / "semantic.pt", weights_only=True)
        folders.write_semantic(folders.CHECKPOINTS / "semantic", state["average"], TRAINING_CASES)
    if (work / "instance.pt").exists():
        state = torch.load(work / "instance.pt", weights_only=True)
        folders.write_instance(folders.CHECKPOINTS / "instance", state["average"])


def _semantic() -> None:
    folder = folders.CHECKPOINTS / "semantic"
    config = json.loads((folder / "inference_config.json").read_text())
    network = build_semantic(json.loads((folder / "plans.json").read_text()), inputs=1, classes=plans.CLASSES)
    network.load_state_dict(folders.read_semantic(folder))
    graph = to_onnx(network, torch.zeros(1, 1, *plans.PATCH), names=("image", "logits"))
    manifest = {
        **_common("t2w_semantic", "semantic", config),
        "axes": ["R", "I", "P"],
        "patch": list(plans.PATCH),
        "step": config["default_step_size"],
        "normalisation": {"scheme": "zscore"},
        "input": {"name": "image", "dtype": "float32", "shape": [1, 1, *plans.PATCH]},
        "output": {"name": "logits", "dtype": "float32", "shape": [1, plans.CLASSES, *plans.PATCH]},
        "labels": {str(i): label for i, label in enumerate(SEMANTIC_CLASSES) if label},
        "sacrum_ids": [26],
    }
    write_model(ENGINES / "t2w_semantic", graph, manifest)


def _instance() -> None:
    folder = folders.CHECKPOINTS / "instance"
    config = json.loads((folder / "inference_config.json").read_text())
    network = InstanceUnet(folders.WIDTH, folders.CHANNELS)
    network.load_state_dict(folders.read_instance(folder))
    cutout = config["cutout_size"]
    example = torch.zeros(1, 1, *cutout, dtype=torch.uint8)
    whole = LabelsToClasses(network, folders.CHANNELS)
    graph = to_onnx(whole, example, names=("labels", "classes"))
    mapped = {str(i): int(c) for i, c in enumerate(cutouts.MAPPING) if c}
    manifest = {
        **_common("instance", "instance", config),
        "axes": ["P", "I", "R"],
        "cutout": cutout,
        "input": {"name": "labels", "dtype": "uint8", "shape": [1, 1, *cutout]},
        "output": {"name": "classes", "dtype": "uint8", "shape": [1, *cutout]},
        "mapping": {**mapped, "26": 0},
        "corpus_size_cleaning": 100,
        "vert_size_threshold": 250,
        **first_layer(whole, graph),
    }
    write_model(ENGINES / "instance", graph, manifest)


def _common(name: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": name,
        "kind": kind,
        "modalities": config["modality"],
        "acquisition": config["acquisition"],
        "orientation": config["model_expected_orientation"],
        "spacing": config["resolution_range"],
        "licence": LICENCE,
        "provenance": "trained from scratch by this project; see engines/README.md",
        "intended_use": INTENDED_USE,
    }


if __name__ == "__main__":
    main()
