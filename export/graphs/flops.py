"""How much arithmetic a graph asks for. Needs onnx, no PyTorch."""

from __future__ import annotations

import math

import onnx

from spineps_rt.export.graphs.graph import retyped


def count_flops(model: onnx.ModelProto) -> int:
    """Count the floating-point operations of a graph's convolutions and matrix products.

    A multiplication and an addition are two; norms, activations and biases, below 2 % of a U-Net, are left
    out. Products with the zeros of a convolution's margin count.

    Args:
        model: Of static shapes.

    Returns:
        Operations for one run of the graph, all samples of its batch.

    Raises:
        ModelError: The graph's shapes contradict each other.
    """
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    graph = retyped(typed).graph
    shapes = {value.name: tuple(value.dims) for value in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    return 2 * sum(_products(node, shapes) for node in graph.node)


def _products(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """Multiplications of one node."""
    if node.op_type == "Conv":  # a kernel of all its input channels for every output voxel
        return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":  # a kernel of all its output channels for every input voxel
        return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type in ("Gemm", "MatMul"):
        turned = any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-2 if turned else -1]
    return 0
