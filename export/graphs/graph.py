"""What a graph must be, and the constants of it folded. Needs onnx, no PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from spineps_rt.errors import ModelError

OPSET, IR_VERSION = 18, 10
"""The newest that ONNX Runtime 1.18, OpenVINO 2025, TensorRT 10 and TensorRT-RTX all take."""
_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
_GROWTH = 4096
"""Bytes that a folded constant may be larger than what it was computed from."""


def load_graph(data: bytes) -> onnx.ModelProto:
    """Parse a serialised graph.

    Raises:
        ModelError: It is none.
    """
    try:
        return onnx.load_from_string(data)
    except Exception as error:
        raise ModelError(f"The graph cannot be read as ONNX: {error}. Export the model again.") from error


def check_graph(model: onnx.ModelProto) -> None:
    """Refuse a graph that is more than one static, self-contained chain of standard operators.

    Raises:
        ModelError: Control flow, functions, an operator of another domain, data outside, a size left open, a
            constant that is only a copy of another, or an opset or IR newer than all engines take.
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
        *(f"the function {f.name}" for f in model.functions),
        *(f"opset {o.version}" for o in model.opset_import if o.version > OPSET),
        *([f"IR version {model.ir_version}"] if model.ir_version > IR_VERSION else []),
    ]
    for value in (*graph.input, *graph.output):
        if not all(d.dim_value > 0 for d in value.type.tensor_type.shape.dim):
            problems.append(f"an open size of {value.name}")
    if problems:
        raise ModelError(f"The graph holds {', '.join(problems[:3])}; nothing was written.")


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """Compute what does not depend on the input, and drop what nothing needs.

    Identity nodes go as well: converters that leave them let two operators share one weight by way of a copy,
    which mixed precision then mistypes.

    Args:
        model: A graph without control flow.

    Returns:
        A new graph of the same answers, its types and shapes inferred anew.
    """
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    graph = folded.graph
    known = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    ends = {value.name for value in graph.output}
    opset = folded.opset_import[0].version
    copies: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        node.input[:] = [copies.get(name, name) for name in node.input]
        if node.op_type == "Identity" and node.output[0] not in ends:
            copies[node.output[0]] = node.input[0]
        elif not _computed(node, known, ends, opset):
            nodes.append(node)
    replace_nodes(graph, nodes, known)
    return retyped(folded)


def _computed(node: onnx.NodeProto, known: dict[str, np.ndarray], ends: set[str], opset: int) -> bool:
    """Add the answers of a node of known inputs to what is known; tell whether that was possible."""
    inputs = [name for name in node.input if name]
    if not all(name in known for name in inputs) or ends & set(node.output):
        return False
    evaluator: Any = ReferenceEvaluator(node, opsets={"": opset})
    answers: list[np.ndarray] = evaluator.run(None, {name: known[name] for name in inputs})
    if sum(a.nbytes for a in answers) > sum(known[name].nbytes for name in inputs) + _GROWTH:
        return False
    known.update(zip(node.output, answers))
    return True


def replace_nodes(
    graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto], known: dict[str, np.ndarray]
) -> None:
    """Give a graph other nodes, and of the constants those that they use.

    Args:
        graph: Changed in place.
        nodes: In topological order; what nothing needs is left out.
        known: Constants by name.
    """
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(list(nodes)):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in known.items() if name in needed
    )


def retyped(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer types and shapes of everything between input and output anew, and check the graph.

    Raises:
        ModelError: They contradict each other.
    """
    del model.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
    except Exception as error:
        raise ModelError(f"The graph contradicts itself: {error}. Export the model again.") from error
    return inferred


def value_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type (``onnx.TensorProto``) of every value of a graph that has one."""
    graph = model.graph
    found = {value.name: value.data_type for value in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        found[value.name] = value.type.tensor_type.elem_type
    return found
