"""ONNX Runtime: on the CPU, or on an NVIDIA GPU by its CUDA or TensorRT provider."""

from __future__ import annotations

import contextlib
import io
import os
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from spineps_rt.backends.base import Engine, UnavailableError
from spineps_rt.backends.device_buffers import Buffers, OnnxRun, work_stream
from spineps_rt.backends.engine_cache import private_folder
from spineps_rt.backends.gpu import cuda_devices, free_memory, kernels_compile, way
from spineps_rt.backends.telemetry import import_onnxruntime
from spineps_rt.errors import EngineError, ModelError
from spineps_rt.models.graphs import GRAPH
from spineps_rt.models.manifest import Model, TensorSpec
from spineps_rt.models.resolve import read_graph

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

_ERROR, _FATAL = 3, 4
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
_CUDA_OPTIONS = {
    "use_tf32": "0",  # TF32 keeps 10 bits of the mantissa: float32 in name only
    "arena_extend_strategy": "kSameAsRequested",  # else the arena doubles, which small cards have no room for
}
_HOW = {
    CUDA: "pip install 'spineps-rt[gpu13]', or [gpu12] for a driver of CUDA 12, in an environment without "
    "onnxruntime, whose files onnxruntime-gpu replaces.",
    TENSORRT: "pip install 'spineps-rt[gpu12]' 'tensorrt-cu12<11'; no ONNX Runtime reads TensorRT 11 yet.",
}


class OnnxEngine(Engine):
    """A session of ONNX Runtime."""

    def __init__(self, model: Model, *, provider: str = CPU, threads: int = 0) -> None:
        """Build the session.

        Args:
            model: The model.
            provider: :data:`CPU`, :data:`CUDA` or :data:`TENSORRT`.
            threads: Threads within an operator on the CPU; 0 leaves it to ONNX Runtime.

        Raises:
            UnavailableError: The provider, its libraries or a GPU are not there.
            ModelError: The graph cannot be read.
        """
        onnxruntime = load_onnxruntime()
        self._wanted, self._version = provider, onnxruntime.__version__
        self._bindable = False
        if provider != CPU:
            _require_gpu(onnxruntime, provider)
            self._bindable = kernels_compile()
        self._build = partial(
            _session, onnxruntime, provider=provider, threads=threads, on_our_stream=self._bindable
        )
        self._device: OnnxRun | None = None
        self._session: Any = self._checked(model)
        super().__init__(model, provider=f"ONNX Runtime {provider}{'' if provider == CPU else ', ' + way()}")

    def _checked(self, model: Model) -> Any:
        """Build a session and look at what it runs on: ONNX Runtime takes the CPU without a word."""
        session = self._build(model)
        really = session.get_providers()[0]
        if really != self._wanted:
            raise EngineError(
                f"ONNX Runtime {self._version} could not load {self._wanted} and took {really}: its CUDA "
                f"libraries are missing or of another version. Try: {_HOW[self._wanted]}"
            )
        return session

    def _signature(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        return _specs(self._session.get_inputs()), _specs(self._session.get_outputs())

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self._session.run([self.model.output.name], {self.model.input.name: batch})[0]

    def device_buffers(self, shared: Buffers | None = None) -> OnnxRun | None:
        """Return the network between buffers of the GPU, made when first asked for; None on the CPU."""
        if self._bindable and self._open and self._device is None:
            with self.explained():
                self._device = OnnxRun(self._session, (self.model.input, self.model.output), buffers=shared)
        return self._device

    def switch_variant(self, model: Model) -> bool:
        """Build the session of another variant; the present one goes first, because of the memory."""
        self._device = self._session = None
        self._session = self._checked(model)
        self._adopt(model)
        return True

    def release_buffers(self) -> None:
        """Release the memory of both ends."""
        if self._device is not None:
            self._device = None
            free_memory()

    def close(self) -> None:
        """Release the session."""
        super().close()
        self._device = self._session = None


def load_onnxruntime() -> ModuleType:
    """Import ONNX Runtime with its telemetry off.

    Raises:
        UnavailableError: It is not installed; the message says how to get it.
    """
    try:
        return import_onnxruntime()
    except ImportError as error:
        raise UnavailableError(
            f"ONNX Runtime cannot be imported ({error}): pip install 'spineps-rt[onnx]', or [gpu13] or "
            "[gpu12] on an NVIDIA GPU."
        ) from error


def _specs(nodes: Any) -> list[TensorSpec]:
    return [TensorSpec(node.name, _DTYPES.get(node.type, node.type), tuple(node.shape)) for node in nodes]


def _require_gpu(onnxruntime: Any, provider: str) -> None:
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise UnavailableError(
            f"This ONNX Runtime {onnxruntime.__version__} was built without {provider} (it has "
            f"{', '.join(available)}). Try: {_HOW[provider]}"
        )
    if not cuda_devices():
        raise UnavailableError(f"{provider} needs an NVIDIA GPU and its driver; this machine shows none.")


def _session(
    onnxruntime: Any, model: Model, *, provider: str, threads: int, on_our_stream: bool = False
) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = model.folds == (GRAPH,)  # folds in turn would each keep theirs
    options.log_severity_level = _ERROR if provider == CPU else _FATAL
    providers: list[Any] = [CPU]
    if provider != CPU:
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        stream = {"user_compute_stream": str(int(work_stream()))} if on_our_stream else {}
        providers = [(CUDA, {**_CUDA_OPTIONS, **stream}), CPU]
        if provider == TENSORRT:
            providers.insert(0, (TENSORRT, {**_tensorrt_options(), **stream}))
        # A provider that does not load is reported by what get_providers answers, not by prints.
        onnxruntime.set_default_logger_severity(_FATAL)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(AttributeError, OSError):
            onnxruntime.preload_dlls()
    graph = read_graph(model)
    try:
        return onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:
        text = f"ONNX Runtime cannot open model {model.name!r} ({model.folder}) on {provider}: {error}"
        raise (ModelError if provider == CPU else EngineError)(text) from error


def _tensorrt_options() -> dict[str, str]:
    """Turn TF32 off, for which this provider has no option, and keep what it builds where it is private."""
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # read when CUDA's libraries load
    folder = str(private_folder("onnx-tensorrt"))  # what lies there is code
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": folder,
    }
