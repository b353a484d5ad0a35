"""OpenVINO: the fastest engine on any x86 CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from spineps_rt.engine.base import Engine, UnavailableError
from spineps_rt.engine.manifest import Model, TensorSpec
from spineps_rt.engine.models import read_graph
from spineps_rt.engine.offline import import_openvino
from spineps_rt.errors import ModelError

_DTYPES = {"f32": "float32", "f16": "float16", "u8": "uint8"}


class OpenVinoEngine(Engine):
    """A compiled model of OpenVINO's CPU plug-in, in float32."""

    def __init__(self, model: Model, *, threads: int = 0) -> None:
        """Compile the model for the lowest latency.

        Args:
            model: The model.
            threads: CPU threads; 0 leaves it to OpenVINO.

        Raises:
            UnavailableError: OpenVINO is not installed.
            ModelError: The graph cannot be read.
        """
        try:
            openvino = import_openvino()
        except ImportError as error:
            raise UnavailableError(
                f"OpenVINO is not installed ({error}): pip install 'spineps-rt[cpu]'"
            ) from error
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        graph = read_graph(model)
        try:
            core = openvino.Core()
            self._compiled: Any = core.compile_model(core.read_model(graph, b""), "CPU", config)
        except Exception as error:
            raise ModelError(
                f"OpenVINO cannot open model {model.name!r} ({model.folder}): {error}"
            ) from error
        super().__init__(model, provider="OpenVINO CPU f32")
        self._request: Any = None

    def _signature(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        return _specs(self._compiled.inputs), _specs(self._compiled.outputs)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self._run_borrowed(batch).copy()

    def _run_borrowed(self, batch: np.ndarray) -> np.ndarray:
        if self._request is None:
            self._request = self._compiled.create_infer_request()
        return self._request.infer([batch], share_inputs=True, share_outputs=True)[0]

    def rest(self) -> None:
        """Release the activations."""
        self._request = None
        self._compiled.release_memory()

    def close(self) -> None:
        """Release the compiled model."""
        super().close()
        self._request = self._compiled = None


def _specs(ports: Any) -> list[TensorSpec]:
    return [
        TensorSpec(
            port.get_any_name(),
            _DTYPES.get(port.element_type.get_type_name(), port.element_type.get_type_name()),
            tuple(d.get_length() if d.is_static else -1 for d in port.partial_shape),
        )
        for port in ports
    ]
