"""A SPINEPS model to a model folder: read, traced, and tried on a phantom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from spineps_rt.export.agreement import compare
from spineps_rt.export.config import read_config
from spineps_rt.export.folder import write_model
from spineps_rt.export.imported import Imported
from spineps_rt.export.lightning import read_lightning
from spineps_rt.export.nnunet import read_nnunet
from spineps_rt.export.onnx import first_layer, to_onnx
from spineps_rt.export.source import CONFIG, open_source
from spineps_rt.export.tiles import phantom_tile
from spineps_rt.export.verify import engines_here
from spineps_rt.export.weights import sha256

from spineps_rt import __version__
from spineps_rt.engine import load_model
from spineps_rt.errors import ModelError

_DEVICES = ("onnx", "openvino")


def convert(source: Path, staged: Path) -> list[str]:
    """Make a model folder with a float32 graph of a SPINEPS model.

    Args:
        source: As :func:`~spineps_rt.export.source.open_source` takes it.
        staged: The folder.

    Returns:
        What to tell the user, a line each: the agreement of every engine with PyTorch, and notes.

    Raises:
        ModelError: The source cannot be read or run, or the graph does not answer as PyTorch does; the folder
            is then not to be used.
    """
    with open_source(source) as folder:
        config = read_config(folder / CONFIG)
        found = read_nnunet(config) if config.data["modeltype"] == "nnunet" else read_lightning(config)
        spec = found.manifest["input"]
        example = torch.zeros(spec["shape"], dtype=getattr(torch, spec["dtype"]))
        graph = to_onnx(found.network, example, names=(spec["name"], found.manifest["output"]["name"]))
        manifest = {**found.manifest, **first_layer(found.network, graph)}
        parts = [f"{p.relative_to(folder)} (SHA-256 {sha256(p)})" for p in found.checkpoints]
        said = f"exported by spineps-rt {__version__} from {', '.join(parts)}"
        write_model(staged, graph, {**manifest, "provenance": said})
        lines = _tried(staged, found)
        write_model(staged, graph, {**manifest, "provenance": "; ".join([said, *lines])})
    return lines + found.notes


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
