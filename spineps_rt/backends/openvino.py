"""OpenVINO: the fastest engine on any x86 CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from spineps_rt.backends.base import Engine, UnavailableError
from spineps_rt.backends.first_layer import LabelConvolution, take_first_layer
from spineps_rt.backends.telemetry import import_openvino
from spineps_rt.errors import ModelError
from spineps_rt.machine import computes_bfloat16
from spineps_rt.models.graphs import GRAPH
from spineps_rt.models.manifest import InstanceModel, Model, TensorSpec
from spineps_rt.models.resolve import read_graph

BF16 = "bf16"
"""The variant by which a manifest vouches for bfloat16."""
_DTYPES = {"f32": "float32", "f16": "float16", "u8": "uint8"}


class OpenVinoEngine(Engine):
    """A compiled model of OpenVINO's CPU plug-in, in float32 or bfloat16."""

    def __init__(self, model: Model, *, threads: int = 0, bf16: bool | None = False) -> None:
        """Compile the model for the lowest latency.

        Args:
            model: The model.
            threads: CPU threads; 0 leaves it to OpenVINO.
            bf16: Compute in bfloat16; None does so where the processor can and the manifest vouches for it
                (the variant ``bf16``).

        Raises:
            UnavailableError: OpenVINO is not installed, or bfloat16 was asked for and the processor lacks it.
            ModelError: The graph cannot be read.
        """
        core = _core()
        if bf16:
            require_bfloat16(core)
        able = computes_bfloat16(core)
        vouched = able and BF16 in model.variants and model.graphs == model.folds
        vouched = vouched and model.variants[BF16].vouched("openvino")
        precision = "bf16" if (vouched if bf16 is None else bf16) else "f32"
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        content = read_graph(model)
        self._first: LabelConvolution | None = None
        try:
            graph = core.read_model(content, b"")
            self._ends = _specs(graph.inputs), _specs(graph.outputs)
            if isinstance(model, InstanceModel) and model.first_layer and model.graphs == (GRAPH,):
                graph, self._first = take_first_layer(graph, model.first_layer)
            self._compiled: Any = core.compile_model(graph, "CPU", config)
        except Exception as error:
            raise ModelError(
                f"OpenVINO cannot open model {model.name!r} ({model.folder}): {error}"
            ) from error
        super().__init__(model, provider=f"OpenVINO CPU {precision}")
        self._request: Any = None

    def _signature(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        return self._ends

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self._run_borrowed(batch).copy()

    def _run_borrowed(self, batch: np.ndarray) -> np.ndarray:
        if self._request is None:
            self._request = self._compiled.create_infer_request()
        fed = self._first(batch) if self._first else batch
        return self._request.infer([fed], share_inputs=True, share_outputs=True)[0]

    def release_buffers(self) -> None:
        """Release the activations."""
        self._request = None
        self._compiled.release_memory()

    def close(self) -> None:
        """Release the compiled model."""
        super().close()
        self._request = self._compiled = None


def require_bfloat16(core: Any = None) -> None:
    """Refuse to go on where the CPU cannot run a network in bfloat16.

    Args:
        core: An ``openvino.Core``; None makes one.

    Raises:
        UnavailableError: OpenVINO is not installed, or the processor lacks bfloat16.
    """
    if not computes_bfloat16(core or _core()):
        raise UnavailableError(
            "This processor does not compute in bfloat16, which takes AVX-512 or newer; choose device "
            "openvino, or leave precision bf16 out."
        )


def _core() -> Any:
    try:
        return import_openvino().Core()
    except ImportError as error:
        raise UnavailableError(f"OpenVINO cannot be imported ({error}): pip install openvino.") from error


def _specs(ports: Any) -> list[TensorSpec]:
    return [
        TensorSpec(
            port.get_any_name(),
            _DTYPES.get(port.element_type.get_type_name(), port.element_type.get_type_name()),
            tuple(d.get_length() if d.is_static else -1 for d in port.partial_shape),
        )
        for port in ports
    ]
