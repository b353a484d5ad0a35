"""Integer convolutions: explicit quantise and dequantise nodes, calibrated on tiles. Needs no PyTorch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

from spineps_rt.backends.telemetry import import_onnxruntime
from spineps_rt.export.extra import export_extra
from spineps_rt.export.graphs.graph import fold, retyped

_OPTIONS = {
    "ActivationSymmetric": True,  # TensorRT takes no other zero point than 0
    "WeightSymmetric": True,
    "QuantizeBias": False,  # nor int32 constants
}


def to_int8(model: onnx.ModelProto, tiles: Sequence[np.ndarray]) -> onnx.ModelProto:
    """Quantise a graph's convolutions with ONNX Runtime's static quantiser.

    Weights are int8 per channel, activations int8 per tensor, scaled to the largest magnitude that they reach
    on the tiles. The first convolution, which sees the image, and the last, which answers logits, stay
    float32, and so do the norms.

    Args:
        model: A float32 graph with a batch of one.
        tiles: Samples of the graph's input.

    Returns:
        A new graph.

    Raises:
        EngineError: The quantiser is not installed.
    """
    import_onnxruntime()
    with export_extra():
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static  # noqa: PLC0415

    folded = fold(model)
    for place, node in enumerate(folded.graph.node):
        node.name = f"{node.op_type}_{place}"
    products = [node.name for node in folded.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory(prefix="spineps-rt-") as folder:
        target = Path(folder) / "int8.onnx"
        quantize_static(
            folded,
            target,
            _Reader(folded.graph.input[0].name, tiles),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[products[0], products[-1]],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options=_OPTIONS,
        )
        return retyped(onnx.load(target))


class _Reader:
    """Tiles as the quantiser asks for them: its ``CalibrationDataReader`` is whatever has ``get_next``."""

    def __init__(self, name: str, tiles: Sequence[np.ndarray]) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = iter([{name: tile} for tile in tiles])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next feed; None behind the last."""
        return next(self._feeds, None)
