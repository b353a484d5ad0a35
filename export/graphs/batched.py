"""A graph that takes several samples at once. Needs no PyTorch."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from spineps_rt.export.graphs.graph import fold, replace_nodes, retyped


def with_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """Make a graph of another static batch.

    Args:
        model: A graph with a batch of one, the first axis of everything that depends on its input.
        batch: Samples that the new graph takes at once.

    Returns:
        A new graph, its constants folded.

    Raises:
        ModelError: The graph's shapes do not follow from its input's.
    """
    wide = fold(model)
    graph = wide.graph
    known = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    for node in graph.node:
        if node.op_type == "Reshape" and known[node.input[1]][0] == 1:
            shape = known[node.input[1]].copy()
            shape[0] = batch
            node.input[1] = f"{node.input[1]}.b{batch}"
            known[node.input[1]] = shape
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    replace_nodes(graph, list(graph.node), known)
    return retyped(wide)
