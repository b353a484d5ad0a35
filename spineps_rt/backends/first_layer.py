"""A graph of OpenVINO without its first layer, a convolution of one-hot labels that a kernel does faster."""

from __future__ import annotations

from typing import Any

import numpy as np

from spineps_rt.backends.telemetry import import_openvino
from spineps_rt.kernels.one_hot import OneHotConvolution, convolve, prepare
from spineps_rt.models.graphs import FirstLayer

_FEATURES_SECOND = np.array([0, 4, 1, 2, 3])


class LabelConvolution:
    """What feeds the rest of the graph."""

    def __init__(self, convolution: OneHotConvolution) -> None:
        self._convolution = convolution

    def __call__(self, labels: np.ndarray) -> np.ndarray:
        """Map uint8 (N, 1, n0, n1, n2) labels to float32 (N, n0, n1, n2, features)."""
        if len(labels) == 1:
            return convolve(labels[0, 0], self._convolution)[None]
        return np.stack([convolve(one[0], self._convolution) for one in labels])


def take_first_layer(graph: Any, layer: FirstLayer) -> tuple[Any, LabelConvolution]:
    """Cut a graph behind its first layer.

    Args:
        graph: An ``openvino.Model`` from labels (N, 1, n0, n1, n2) to an answer; it is taken apart.
        layer: Which values of the graph the layer is made of.

    Returns:
        The rest of the graph, which takes the layer's answer with its features last, and the layer.

    Raises:
        LookupError: The graph has no values of these names.
        ContractError: The layer is no 3-D convolution that keeps the size.
    """
    openvino = import_openvino()
    ports = {name: port for node in graph.get_ops() for port in node.outputs() for name in port.get_names()}
    weights, bias = (ports[name].get_node().data for name in (layer.weights, layer.bias))
    batch, _, *shape = graph.inputs[0].shape
    convolution = LabelConvolution(prepare(weights, bias, tuple(shape)))
    operators = openvino.opset13
    fed = operators.parameter([batch, *shape, len(bias)], np.float32)
    features = operators.transpose(fed, _FEATURES_SECOND)
    for target in ports[layer.output].get_target_inputs():
        target.replace_source_output(features.output(0))
    return openvino.Model(graph.get_results(), [fed]), convolution
