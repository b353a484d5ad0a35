"""A mixed-precision graph's answer where float16 is computed in float16, found on any CPU. Needs no PyTorch.

ONNX Runtime and OpenVINO compute float16 graphs in float32 on CPUs without float16 arithmetic, and drop the
casts between: what they answer says little about a GPU. Here every value that the graph holds in float16 is
rounded to float16's 11 bits by float32 arithmetic, which no engine takes away. Products are summed in
float32, as tensor cores do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spineps_rt.export.graphs.graph import replace_nodes, retyped, value_types

_SPLIT = np.float32(2**13 + 1)
"""Times this, and the difference taken back, a float32 keeps its upper 11 bits, rounded to nearest (Dekker
1971, doi:10.1007/BF01397083); numbers below 6e-5 are kept too well."""


def emulated(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make the float32 graph that rounds where a mixed-precision graph rounds.

    Args:
        model: As :func:`~spineps_rt.export.graphs.half.to_half` makes it.

    Returns:
        A new graph.
    """
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    types = value_types(model)
    known = {v.name: numpy_helper.to_array(v) for v in twin.graph.initializer}
    known = {name: a.astype(np.float32) if a.dtype == np.float16 else a for name, a in known.items()}
    known["float16.split"] = np.array(_SPLIT)
    nodes = [made for node in twin.graph.node for made in _rounded(node, types)]
    replace_nodes(twin.graph, nodes, known)
    return retyped(twin)


def _rounded(node: onnx.NodeProto, types: dict[str, int]) -> Iterator[onnx.NodeProto]:
    answer = node.output[0]
    half = types.get(answer) == TensorProto.FLOAT16
    if node.op_type == "Cast" and (half or types.get(node.input[0]) == TensorProto.FLOAT16):
        node.attribute[0].i = TensorProto.FLOAT
    if not half:
        yield node
        return
    node.output[0] = f"{answer}.exact"
    yield node
    yield helper.make_node("Mul", [node.output[0], "float16.split"], [f"{answer}.scaled"])
    yield helper.make_node("Sub", [f"{answer}.scaled", node.output[0]], [f"{answer}.lower"])
    yield helper.make_node("Sub", [f"{answer}.scaled", f"{answer}.lower"], [answer])
