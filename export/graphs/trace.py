"""PyTorch networks to self-contained ONNX graphs."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from torch import nn

from spineps_rt.export.graphs.graph import OPSET, check_graph, fold


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
    with _quiet():
        program: Any = torch.onnx.export(
            network.eval(),
            (example,),
            input_names=[names[0]],
            output_names=[names[1]],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    traced: onnx.ModelProto = program.model_proto
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
        The manifest's ``first_layer``; nothing where the network does not say that it is ``one_hot``.
    """
    if not getattr(network, "one_hot", False):
        return {}
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    return {"first_layer": {"weights": node.input[1], "bias": node.input[2], "output": node.output[0]}}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what PyTorch says of torchvision, which is not needed, and of its own old calls."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
