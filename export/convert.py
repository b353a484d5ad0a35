"""A SPINEPS model to a model folder: read, traced, and tried on a phantom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from spineps_rt._version import __version__
from spineps_rt.errors import ModelError
from spineps_rt.export.checkpoints.config import read_config
from spineps_rt.export.checkpoints.imported import Imported
from spineps_rt.export.checkpoints.lightning import read_lightning
from spineps_rt.export.checkpoints.nnunet import Folds, read_nnunet
from spineps_rt.export.checkpoints.source import open_source
from spineps_rt.export.checks.agreement import compare
from spineps_rt.export.checks.tiles import phantom_tile
from spineps_rt.export.checks.verify import engines_here
from spineps_rt.export.folder import write_model
from spineps_rt.export.graphs.trace import first_layer, to_onnx
from spineps_rt.io.streams import file_sha256
from spineps_rt.models import load_model
from spineps_rt.models.install import CONFIG

_DEVICES = ("onnx", "openvino")
LARGEST = 2**31 - 2**24
"""Bytes of weights that surely fit into a graph: protobuf ends at 2 GiB, nodes and names included."""


def convert(source: Path, staged: Path, *, in_turn: bool = False) -> list[str]:
    """Make a model folder with a float32 graph of a SPINEPS model.

    Args:
        source: As :func:`~spineps_rt.export.checkpoints.source.open_source` takes it.
        staged: The folder.
        in_turn: Make a graph of every fold instead, for the runtime to run in turn.

    Returns:
        What to tell the user, a line each: the agreement of every engine with PyTorch, and notes.

    Raises:
        ModelError: The source cannot be read or run, or the graph does not answer as PyTorch does, or is too
            large, or there is one fold only to run in turn; the folder is then not to be used.
    """
    with open_source(source) as folder:
        config = read_config(folder / CONFIG)
        found = read_nnunet(config) if config.data["modeltype"] == "nnunet" else read_lightning(config)
        graph, manifest = _traced(found, in_turn=in_turn)
        parts = [f"{p.relative_to(folder)} (SHA-256 {file_sha256(p)})" for p in found.checkpoints]
        said = f"exported by spineps-rt {__version__} from {', '.join(parts)}"
        write_model(staged, graph, {**manifest, "provenance": said})
        lines = _tried(staged, found)
        write_model(staged, graph, {**manifest, "provenance": "; ".join([said, *lines])})
    return lines + found.notes


def _traced(
    found: Imported, *, in_turn: bool
) -> tuple[onnx.ModelProto | list[onnx.ModelProto], dict[str, Any]]:
    """The graph, or those of all folds, and the manifest with what it tells of a graph's parts."""
    network, manifest = found.network, found.manifest
    if in_turn and not isinstance(network, Folds):
        raise ModelError("The model has one fold, and nothing to run in turn: leave --folds out.")
    networks = list(network.networks) if in_turn and isinstance(network, Folds) else [network]
    for one in networks:
        _require_size(one)
    spec = manifest["input"]
    example = torch.zeros(spec["shape"], dtype=getattr(torch, spec["dtype"]))
    graphs = [to_onnx(one, example, names=(spec["name"], manifest["output"]["name"])) for one in networks]
    if in_turn:
        return graphs, manifest
    return graphs[0], {**manifest, **first_layer(network, graphs[0])}


def _require_size(network: torch.nn.Module) -> None:
    values = (*network.parameters(), *network.buffers())
    size = sum(value.numel() * value.element_size() for value in values)
    if size > LARGEST:
        folds = f" of its {len(network.networks)} folds together" if isinstance(network, Folds) else ""
        remedy = " Make a graph of every fold: spineps-rt export model SOURCE -o MODEL_DIR --folds in-turn"
        raise ModelError(
            f"The network's graph{folds} would have {size / 1e9:.1f} GB; an ONNX file ends at 2.1 GB."
            f"{remedy if folds else ''}"
        )


def _tried(folder: Path, found: Imported) -> list[str]:
    """Compare the engines of this machine with PyTorch on a phantom."""
    model = load_model(folder)
    tile = phantom_tile(model)
    with torch.inference_mode():
        reference = found.network(torch.from_numpy(tile)).numpy()
    if not np.isfinite(reference).all():
        raise ModelError("The network answers NaN or infinity on a phantom; nothing was written.")
    lines = []
    for engine in engines_here(model, _DEVICES):
        agreement = compare(engine.infer(tile), reference)
        agreement.require(f"The graph on {engine.provider}")
        lines.append(f"{engine.provider} against PyTorch {torch.__version__} on a phantom: {agreement}")
    return lines
