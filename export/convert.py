"""From a source to a model folder: read, traced, tried on a phantom, and only then written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from spineps_rt.export.agreement import compare
from spineps_rt.export.config import read_config
from spineps_rt.export.imported import Imported
from spineps_rt.export.lightning import read_lightning
from spineps_rt.export.nnunet import read_nnunet
from spineps_rt.export.onnx import first_layer, to_onnx, write_model
from spineps_rt.export.source import CONFIG, open_source
from spineps_rt.export.tiles import phantom_tile
from spineps_rt.export.verify import engines_here
from spineps_rt.export.weights import sha256

from spineps_rt import __version__
from spineps_rt.engine import load_model
from spineps_rt.errors import ModelError, OutputExistsError
from spineps_rt.files import write_together

_DEVICES = ("onnx", "openvino")
_FLOW = {"If", "Loop", "Scan", "SequenceMap"}


def export(source: Path, output: Path, *, overwrite: bool = False) -> list[str]:
    """Make a model folder of a SPINEPS model.

    Args:
        source: As :func:`~spineps_rt.export.source.open_source` takes it.
        output: The model folder, created if missing.
        overwrite: A model there may be replaced.

    Returns:
        What to tell the user, a line each: the agreement of every engine with PyTorch, and notes.

    Raises:
        ModelError: The source cannot be read or run, or the graph does not answer as PyTorch does.
        OutputExistsError: A model is there already.
        OutputError: The folder cannot be written.
    """
    if (output / "manifest.json").exists() and not overwrite:
        raise OutputExistsError(f"{output} already holds a model; pass --overwrite to replace it.")
    with open_source(source) as folder, tempfile.TemporaryDirectory(prefix="spineps-rt-") as staging:
        config = read_config(folder / CONFIG)
        found = read_nnunet(config) if config.data["modeltype"] == "nnunet" else read_lightning(config)
        spec = found.manifest["input"]
        example = torch.zeros(spec["shape"], dtype=getattr(torch, spec["dtype"]))
        names = (spec["name"], found.manifest["output"]["name"])
        graph = to_onnx(found.network, example, names=names)
        check_graph(graph)
        manifest = {**found.manifest, **first_layer(found.network, graph)}
        parts = [f"{p.relative_to(folder)} (SHA-256 {sha256(p)})" for p in found.checkpoints]
        said = f"exported by spineps-rt {__version__} from {', '.join(parts)}"
        staged = Path(staging)
        write_model(staged, graph, {**manifest, "provenance": said})
        lines = _tried(staged, found)
        write_model(staged, graph, {**manifest, "provenance": "; ".join([said, *lines])})
        load_model(staged)
        output.mkdir(parents=True, exist_ok=True)
        write_together([(output / f, (staged / f).read_bytes()) for f in ("model.onnx", "manifest.json")])
    return lines + found.notes


def check_graph(model: onnx.ModelProto) -> None:
    """Refuse a graph that is more than one static, self-contained chain of standard operators.

    Raises:
        ModelError: Control flow, an operator of another domain, data outside, a size left open, or a
            constant that is only a copy of another.
    """
    graph = model.graph
    weights = {value.name for value in graph.initializer}
    problems = [
        *(f"control flow ({n.op_type})" for n in graph.node if n.op_type in _FLOW),
        *(f"the operator {n.domain}.{n.op_type}" for n in graph.node if n.domain not in ("", "ai.onnx")),
        *(
            f"a copied constant ({n.input[0]})"
            for n in graph.node
            if n.op_type == "Identity" and n.input[0] in weights
        ),
        *(
            f"outside data ({v.name})"
            for v in graph.initializer
            if v.data_location == onnx.TensorProto.EXTERNAL
        ),
    ]
    for value in (*graph.input, *graph.output):
        if not all(d.dim_value > 0 for d in value.type.tensor_type.shape.dim):
            problems.append(f"an open size of {value.name}")
    if problems or model.functions:
        raise ModelError(
            f"The traced graph holds {', '.join(problems[:3]) or 'functions'}; nothing was written."
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
