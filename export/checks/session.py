"""Run a graph that is no model yet on ONNX Runtime's CPU provider."""

from __future__ import annotations

import numpy as np
import onnx

from spineps_rt.backends.telemetry import import_onnxruntime
from spineps_rt.errors import ModelError


def run_graph(model: onnx.ModelProto, batch: np.ndarray) -> list[np.ndarray]:
    """Run a graph of one input once.

    Raises:
        ModelError: ONNX Runtime refuses the graph.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, {model.graph.input[0].name: batch})
    except Exception as error:
        raise ModelError(f"ONNX Runtime refuses the graph: {error}. Nothing was written.") from error
