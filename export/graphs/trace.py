"""PyTorch networks to self-contained ONNX graphs."""

from __future__ import annotations

import io
from typing import Any

import onnx
import torch
from spineps_rt.export.graphs.graph import OPSET, check_graph, fold
from torch import nn

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
        wide = torch.where(wide < self.labels, wide, 0)
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
        A checked graph without external data, its constants folded; no trace of this machine in its metadata.

    Raises:
        ModelError: The graph is not what every engine takes.
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
    traced = onnx.load_from_string(buffer.getvalue())
    check_graph(traced)
    model = fold(traced)
    model.doc_string = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
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
