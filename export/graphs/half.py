"""Mixed precision: a graph's convolutions in float16, its norms and logits in float32. Needs no PyTorch."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spineps_rt.errors import ModelError
from spineps_rt.export.graphs.graph import fold, replace_nodes, retyped, value_types

LARGEST = float(np.finfo(np.float16).max)
_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
"""What is worth float16."""
_FOLLOWING = {
    "Add",
    "AveragePool",
    "Concat",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "Relu",
    "Reshape",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
}
"""What takes either: float16 where an operand is that already. All else, norms and reductions, is float32."""
_FLOATS: dict[int, str] = {TensorProto.FLOAT: "single", TensorProto.FLOAT16: "half"}


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make a strongly typed graph of mixed precision.

    Convolutions and matrix products are float16, but for those that no other one follows: logits are computed
    in float32, and so is what comes after them. Norms and reductions are float32. Everything else follows its
    operands. Input and output keep their types.

    Args:
        model: A float32 graph, as :func:`~spineps_rt.export.graphs.graph.check_graph` passes it.

    Returns:
        A new graph, its constants folded and cast, its types inferred anew.

    Raises:
        ModelError: The graph holds float16 already, or a weight that is too large for it.
    """
    folded = fold(model)
    writer = _Writer(folded)
    late = _after_the_last_product(folded.graph)
    for place, node in enumerate(folded.graph.node):
        writer.add(node, half=place not in late and writer.prefers_half(node))
    replace_nodes(folded.graph, writer.nodes, writer.constants)
    return retyped(folded)


def half_values(model: onnx.ModelProto) -> list[str]:
    """Name what a graph of mixed precision holds in float16, by the float32 graph's names."""
    types = value_types(model)
    names = set()
    for node in model.graph.node:
        if types.get(node.output[0]) == TensorProto.FLOAT16:
            names.add(node.input[0] if node.op_type == "Cast" else node.output[0])
    return sorted(names)


def watched(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """Make a graph answer the largest magnitude of some of its values, one float32 number each."""
    watching = onnx.ModelProto()
    watching.CopyFrom(model)
    graph = watching.graph
    del graph.output[:]
    for name in names:
        graph.node.extend(
            [
                helper.make_node("Abs", [name], [f"{name}.size"]),
                helper.make_node("ReduceMax", [f"{name}.size"], [f"{name}.largest"], keepdims=0),
            ]
        )
        graph.output.append(helper.make_tensor_value_info(f"{name}.largest", TensorProto.FLOAT, []))
    return watching


def _after_the_last_product(graph: onnx.GraphProto) -> set[int]:
    """Places of the nodes from whose answer no further product is computed, the last products among them."""
    used: set[str] = set()
    late = set()
    for place, node in reversed(list(enumerate(graph.node))):
        if not used & set(node.output):
            late.add(place)
        if place not in late or node.op_type in _HEAVY:
            used.update(node.input)
    return late


class _Writer:
    """Nodes with each float operand in the type that they want; a value is cast once at most."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._types = value_types(model)
        if TensorProto.FLOAT16 in self._types.values():
            raise ModelError("The graph holds float16 already; mixed precision is made of a float32 graph.")
        self.constants = {v.name: numpy_helper.to_array(v) for v in model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self._cast: dict[tuple[str, int], str] = {}

    def prefers_half(self, node: onnx.NodeProto) -> bool:
        """Whether a node's operator, or what it follows, is float16."""
        if node.op_type in _HEAVY:
            return True
        return node.op_type in _FOLLOWING and any(
            self._types.get(name) == TensorProto.FLOAT16 for name in node.input if name not in self.constants
        )

    def add(self, node: onnx.NodeProto, *, half: bool) -> None:
        """Append a node; its float operands and answers are of the type that is asked for."""
        wanted = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        node.input[:] = [self._as(name, wanted) for name in node.input]
        for name in node.output:
            if self._types.get(name) in _FLOATS:
                self._types[name] = wanted
        self.nodes.append(node)

    def _as(self, name: str, wanted: int) -> str:
        if self._types.get(name) not in _FLOATS or self._types[name] == wanted:
            return name
        key = (name, wanted)
        if key not in self._cast:
            self._cast[key] = f"{name}.{_FLOATS[wanted]}"
            if name in self.constants:
                self.constants[self._cast[key]] = _narrow(name, self.constants[name])
            else:
                self.nodes.append(helper.make_node("Cast", [name], [self._cast[key]], to=wanted))
        return self._cast[key]


def _narrow(name: str, array: np.ndarray) -> np.ndarray:
    largest = float(np.abs(array).max(initial=0))
    if largest > LARGEST:
        raise ModelError(
            f"The weight {name} holds {largest:.3g}; float16 ends at {LARGEST:.0f}. Nothing was written; "
            "leave fp16 out for this model."
        )
    return array.astype(np.float16)
