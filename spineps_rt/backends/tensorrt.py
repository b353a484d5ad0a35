"""Engines of TensorRT and TensorRT-RTX, built by the export step and taken from the private cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spineps_rt.backends.base import Engine, UnavailableError
from spineps_rt.backends.device_buffers import SCRATCH, Buffers, TensorRtRun, tensorrt_context
from spineps_rt.backends.engine_cache import EngineKey, find_engine
from spineps_rt.backends.gpu import compute_capability, free_memory, gpu_and_driver, kernels_compile, way
from spineps_rt.backends.runtime_cache import (
    context_config,
    read_runtime_cache,
    runtime_key,
    write_runtime_cache,
)
from spineps_rt.backends.tensorrt_library import Library, load_library
from spineps_rt.errors import EngineError
from spineps_rt.models.manifest import Model, TensorSpec
from spineps_rt.models.resolve import M, select_variant

AMPERE_PLUS = "ampere-plus"
"""Target of engines that run on every GPU from sm80."""

FULL, HALF = "fp32", "fp16"
"""Precision of a model's own graph, and the variant that is taken before it."""

DTYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8"}
"""TensorRT's name of a type -> numpy's."""


class TensorRtEngine(Engine):
    """An engine that was built beforehand; what is not in the cache is not built here."""

    _context: Any
    _config: Any
    _cache: Any
    _engine: Any
    _runtime: Any

    def __init__(self, model: Model, *, library: str) -> None:
        """Load the engine for this GPU.

        Args:
            model: The model. Where no variant of it was chosen, an engine in fp16 comes before one in fp32.
            library: ``tensorrt-rtx`` or ``tensorrt``.

        Raises:
            UnavailableError: There is no GPU, no such library, or no engine for them in the cache.
            EngineError: The engine in the cache is refused, or the library refuses it.
            ModelError: The engine's ends are not those of the manifest.
        """
        target = compute_capability()
        if target is None:
            raise UnavailableError(
                f"{library} runs on an NVIDIA GPU with its driver; this machine shows none."
            )
        self._library, self._target = load_library(library), target
        found = find_plan(model, self._library, target)
        super().__init__(found[0], provider=self._load(*found))

    def _load(self, model: Model, key: EngineKey, plan: bytes) -> str:
        """Load a serialised engine and let go of the one before; returns what runs."""
        self._forget()
        self._runtime = self._library.module.Runtime(self._library.logger)
        # A version-compatible engine brings the program that runs it. It came from the private cache.
        self._runtime.engine_host_code_allowed = key.version != self._library.version
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineError(
                f"{key.library} {self._library.version} refuses the engine {key.name}: "
                f"{self._library.error_text()}. Build it again: {key.command(model.folder)}"
            )
        self._key = runtime_key(key, gpu_and_driver())
        self._kept = read_runtime_cache(self._key)
        return f"{key.library} {key.version} {key.target} {key.precision}, {way()}"

    def _forget(self) -> None:
        """Let go of everything, what depends on another thing before that."""
        self._device: TensorRtRun | None = None
        self._context = self._config = self._cache = None
        self._engine = self._runtime = None

    def _signature(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        return signature(self._engine, self._library)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self._run_borrowed(batch).copy()

    def _run_borrowed(self, batch: np.ndarray) -> np.ndarray:
        return self._between_buffers().run(batch)

    def _between_buffers(self, shared: Buffers | None = None) -> TensorRtRun:
        """The network between buffers of the GPU; made when first asked for."""
        error_text = self._library.error_text
        if self._context is None:
            self._config, self._cache = context_config(self._engine, self._library.module, self._kept)
            self._context = tensorrt_context(self._engine, self._config, error_text=error_text)
        if self._device is None:
            ends = (self.model.input, self.model.output)
            self._device = TensorRtRun(self._context, ends, error_text=error_text, buffers=shared)
        return self._device

    def device_buffers(self, shared: Buffers | None = None) -> TensorRtRun | None:
        """Return the network between buffers of the GPU; None where no kernel can be compiled for it."""
        if not (kernels_compile() and self._open):
            return None
        with self.explained():
            return self._between_buffers(shared)

    def switch_variant(self, model: Model) -> bool:
        """Load the engine of another variant if it is in the cache; the present one goes first."""
        try:
            found = find_plan(model, self._library, self._target)
        except UnavailableError:
            return False
        self.provider = self._load(*found)
        self._adopt(found[0])
        return True

    def release_buffers(self) -> None:
        """Release the activations and the memory of both ends; the context and its kernels stay."""
        if self._device is None:
            return
        self._device = None
        SCRATCH.release()
        free_memory()
        self._keep_kernels()

    def _keep_kernels(self) -> None:
        """Write what the library has compiled, if it is new."""
        if self._cache is not None:
            compiled = bytes(self._cache.serialize())
            if compiled and compiled != self._kept:
                write_runtime_cache(self._key, compiled)
                self._kept = compiled

    def close(self) -> None:
        """Release the engine."""
        super().close()
        self.release_buffers()
        self._forget()


def engine_key(model: Model, library: Library, target: str) -> EngineKey:
    """Say what an engine for a model must be.

    Args:
        model: The model, in the variant that is to run.
        library: What builds and runs it.
        target: For instance ``sm86``.
    """
    precision = model.variant or FULL
    return EngineKey(model.name, model.sha256, library.name, library.version, target, precision)


def find_plan(model: M, library: Library, target: str) -> tuple[M, EngineKey, bytes]:
    """Find the engine for a GPU: the closest fit that is in the cache.

    Args:
        model: The model.
        library: What runs it.
        target: The GPU, for instance ``sm86``.

    Returns:
        The model in the engine's variant, the engine's key, and the serialised engine.

    Raises:
        UnavailableError: There is none.
        EngineError: The one that fits closest is refused; no other is tried.
    """
    fit = not model.variant and HALF in model.variants and model.variants[HALF].vouched(library.name)
    half = [select_variant(model, HALF)] if fit else []
    absent: list[UnavailableError] = []
    for one in (*half, model):
        for key in _fitting(engine_key(one, library, target)):
            try:
                return one, key, find_engine(key, source=model.folder)
            except UnavailableError as error:
                absent.append(error)
    raise absent[0]


def _fitting(exact: EngineKey) -> list[EngineKey]:
    """Keys of what runs where an engine of this key does, itself first."""
    keys = [exact]
    if exact.library == "tensorrt":
        if int(exact.target.removeprefix("sm")) >= 80:
            keys.append(replace(exact, target=AMPERE_PLUS))
        keys += [replace(key, version=compatible_version(key.version)) for key in keys]
    return keys


def compatible_version(version: str) -> str:
    """Name what a version-compatible engine runs on: every release of the same major version."""
    return f"{version.split('.', maxsplit=1)[0]}.x"


def signature(engine: Any, library: Library) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs as an ICudaEngine reports them."""
    ends: tuple[list[TensorSpec], list[TensorSpec]] = ([], [])
    for i in range(engine.num_io_tensors):
        name = engine.get_tensor_name(i)
        dtype = engine.get_tensor_dtype(name).name
        spec = TensorSpec(name, DTYPES.get(dtype, dtype), tuple(engine.get_tensor_shape(name)))
        ends[engine.get_tensor_mode(name) != library.module.TensorIOMode.INPUT].append(spec)
    return ends
