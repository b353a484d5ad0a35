"""Model folders on the disk: graphs, and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from spineps_rt.export.graphs.cost import cost_in_turn, cost_of
from spineps_rt.io.atomic import write_together
from spineps_rt.models.graphs import GRAPH
from spineps_rt.models.manifest import MANIFEST


def write_model(
    folder: Path, model: onnx.ModelProto | Sequence[onnx.ModelProto], manifest: dict[str, Any]
) -> None:
    """Write a model's graphs and ``manifest.json``; the manifest gets their cost, size and SHA-256.

    Args:
        folder: Created if missing.
        model: The graph, written as ``model.onnx``; or those of several folds that shall run in turn, as
            ``model.fold0.onnx`` and so on.
        manifest: Everything but ``cost``, ``folds`` and ``files``.

    Raises:
        ModelError: The graph's shapes contradict each other.
        OutputError: The folder cannot be written.
    """
    if isinstance(model, onnx.ModelProto):
        write_folder(folder, {GRAPH: serialised(model)}, {**manifest, "cost": cost_of(model)})
        return
    graphs = {f"model.fold{i}.onnx": serialised(one) for i, one in enumerate(model)}
    write_folder(folder, graphs, {**manifest, "folds": list(graphs), "cost": cost_in_turn(model)})


def write_folder(folder: Path, graphs: dict[str, bytes], manifest: dict[str, Any]) -> None:
    """Write graphs and a manifest, all of them or none; the manifest gets sizes and SHA-256.

    Args:
        folder: Created if missing.
        graphs: Content by file name.
        manifest: Everything but ``files``.

    Raises:
        OutputError: The folder cannot be written.
    """
    files = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in graphs.items()
    }
    text = json.dumps({**manifest, "files": files}, indent=1) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    contents = {**graphs, MANIFEST: text.encode()}
    write_together([(folder / name, content) for name, content in contents.items()])


def serialised(model: onnx.ModelProto) -> bytes:
    """The graph's bytes, the same ones for the same graph."""
    return model.SerializeToString(deterministic=True)


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read the manifest, without its ``files``, and the content of these."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest, {name: (folder / name).read_bytes() for name in manifest.pop("files")}
