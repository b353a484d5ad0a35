"""What TensorRT-RTX lacks for sm75 (Turing): products of float32 matrices, so convolutions as well."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from spineps_rt.export.graphs.graph import load_graph, replace_nodes, retyped


def heads_as_sums(graph: bytes) -> tuple[bytes, list[str]]:
    """Write 1x1x1 convolutions in float32 as products and a sum over the channels, which is the same.

    A graph of mixed precision has one, in front of its logits.

    Args:
        graph: A serialised ONNX model.

    Returns:
        The model and the names of the convolutions that were rewritten.

    Raises:
        ModelError: It is no model.
    """
    model = load_graph(graph)
    known = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    names = []
    for node in model.graph.node:
        if _is_head(node, known):
            nodes += _sum(node, known)
            names.append(node.name or node.output[0])
        else:
            nodes.append(node)
    replace_nodes(model.graph, nodes, known)
    return retyped(model).SerializeToString(), names


def _is_head(node: onnx.NodeProto, known: dict[str, np.ndarray]) -> bool:
    weight = known.get(node.input[1]) if node.op_type == "Conv" else None
    if weight is None or weight.dtype != np.float32 or weight.shape[2:] != (1, 1, 1):
        return False
    said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    plain = {"group": 1, "strides": [1] * 3, "pads": [0] * 6}
    return all(said.get(name, value) == value for name, value in plain.items())


def _sum(node: onnx.NodeProto, known: dict[str, np.ndarray]) -> list[onnx.NodeProto]:
    """Products of (N, 1, C, ...) with (1, classes, C, 1, 1, 1), their sum over C, and the bias."""
    start = node.output[0]
    weight = known[node.input[1]]
    known[f"{start}.weight"] = weight.reshape(1, *weight.shape)
    known[f"{start}.one"], known[f"{start}.two"] = np.array([1], np.int64), np.array([2], np.int64)
    biased = len(node.input) > 2
    nodes = [
        helper.make_node("Unsqueeze", [node.input[0], f"{start}.one"], [f"{start}.wide"]),
        helper.make_node("Mul", [f"{start}.wide", f"{start}.weight"], [f"{start}.products"]),
        helper.make_node(
            "ReduceSum",
            [f"{start}.products", f"{start}.two"],
            [f"{start}.sum" if biased else start],
            keepdims=0,
        ),
    ]
    if biased:
        known[f"{start}.bias"] = known[node.input[2]].reshape(1, -1, 1, 1, 1)
        nodes.append(helper.make_node("Add", [f"{start}.sum", f"{start}.bias"], [start]))
    return nodes
