"""What one run of a graph asks for, as the manifest tells the runtime. Needs onnx, no PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

from spineps_rt.export.graphs.flops import count_flops
from spineps_rt.export.graphs.graph import retyped


def cost_of(model: onnx.ModelProto) -> dict[str, int]:
    """Count operations and bytes: the manifest's field ``cost``.

    Args:
        model: Of static shapes.

    Returns:
        ``flops`` as :mod:`~spineps_rt.export.graphs.flops` counts them and ``activation_bytes`` as
        :func:`activation_bytes` does, both for one run, all samples of the batch.

    Raises:
        ModelError: The graph's shapes contradict each other.
    """
    return {"flops": count_flops(model), "activation_bytes": activation_bytes(model)}


def cost_in_turn(models: Sequence[onnx.ModelProto]) -> dict[str, int]:
    """Count as :func:`cost_of` what graphs ask for that run one after the other: all operations, most bytes.

    Raises:
        ModelError: A graph's shapes contradict each other.
    """
    costs = [cost_of(model) for model in models]
    return {
        "flops": sum(cost["flops"] for cost in costs),
        "activation_bytes": max(cost["activation_bytes"] for cost in costs),
    }


def activation_bytes(model: onnx.ModelProto) -> int:
    """Find the most memory that values between input and output take at once.

    Nodes run in the graph's order; a value lives from the node that makes it to the last that reads it.
    Weights, input and output are left out. An engine that works in place or fuses operators needs less, one
    that keeps workspaces or copies in another layout more.

    Args:
        model: Of static shapes.

    Returns:
        Bytes.

    Raises:
        ModelError: The graph's shapes contradict each other.
    """
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    graph = retyped(typed).graph
    sizes = {value.name: value_bytes(value) for value in graph.value_info}
    last = {name: place for place, node in enumerate(graph.node) for name in (*node.output, *node.input)}
    live = peak = 0
    for place, node in enumerate(graph.node):
        live += sum(sizes.get(name, 0) for name in node.output)
        peak = max(peak, live)
        live -= sum(sizes.get(name, 0) for name in {*node.input, *node.output} if last[name] == place)
    return peak


def value_bytes(value: onnx.ValueInfoProto) -> int:
    """Bytes of a value of static shape."""
    tensor = value.type.tensor_type
    item = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return item * math.prod(d.dim_value for d in tensor.shape.dim)
