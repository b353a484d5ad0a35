"""PyTorch networks to self-contained ONNX graphs, with the model folder's manifest beside them."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

OPSET = 18
"""Taken by ONNX Runtime, OpenVINO, TensorRT 10 and newer, and TensorRT-RTX."""


ONE_CHANNEL_LABELS = 9
"""Largest label of the instance network of one channel, and what labels are divided by (SPINEPS 2.1.3)."""


class LabelsToClasses(nn.Module):
    """The instance network with its per-voxel work inside: one-hot before it, arg-max after it.

    Args:
        network: Maps (N, channels, P, I, R) to logits (N, 4, P, I, R).
        channels: One-hot channels; labels at or above it become background, as SPINEPS 2.1.3 does. A network
            of one channel takes the labels 0 to 9 divided by 9.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.labels = channels if channels > 1 else ONE_CHANNEL_LABELS + 1
        self.register_buffer("ids", torch.arange(channels, dtype=torch.int32).reshape(1, channels, 1, 1, 1))

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Map uint8 (N, 1, P, I, R) labels to uint8 (N, P, I, R) classes."""
        wide = labels.to(torch.int32)
        wide = torch.where(wide < self.labels, wide, torch.zeros_like(wide))
        if self.channels == 1:
            return self.network(wide.to(torch.float32) / ONE_CHANNEL_LABELS).argmax(1).to(torch.uint8)
        one_hot = (wide == self.ids).to(torch.float32)
        return self.network(one_hot).argmax(1).to(torch.uint8)


def to_onnx(network: nn.Module, example: torch.Tensor, *, names: tuple[str, str]) -> onnx.ModelProto:
    """Trace a network with static shapes.

    Args:
        network: In evaluation mode.
        example: An input of the final shape and dtype.
        names: Name of the input and of the output.

    Returns:
        A checked graph without external data; no trace of this machine in its metadata.
    """
    program = torch.onnx.export(
        network.eval(),
        (example,),
        input_names=[names[0]],
        output_names=[names[1]],
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    buffer = io.BytesIO()
    program.save(buffer)
    model = onnx.load_from_string(buffer.getvalue())
    model.doc_string = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def first_layer(network: nn.Module, model: onnx.ModelProto) -> dict[str, Any]:
    """Name the values of the first convolution, for an engine that has a kernel for it.

    Args:
        network: What the graph was traced from.
        model: The graph.

    Returns:
        The manifest's ``first_layer``; nothing where the network takes no one-hot labels.
    """
    if not isinstance(network, LabelsToClasses) or network.channels == 1:
        return {}
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    return {"first_layer": {"weights": node.input[1], "bias": node.input[2], "output": node.output[0]}}


def write_model(folder: Path, model: onnx.ModelProto, manifest: dict[str, Any]) -> None:
    """Write ``model.onnx`` and ``manifest.json``; the manifest gets size and SHA-256 of the graph.

    Args:
        folder: Created if missing.
        model: The graph.
        manifest: Everything but ``files``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = model.SerializeToString(deterministic=True)
    files = {"model.onnx": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}}
    (folder / "model.onnx").write_bytes(data)
    text = json.dumps({**manifest, "files": files}, indent=1)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
