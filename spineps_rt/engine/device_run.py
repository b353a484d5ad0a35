"""A network on an NVIDIA GPU: the only part of the native engines that nothing but a GPU can try."""

from __future__ import annotations

from typing import Any

import numpy as np

from spineps_rt.engine.manifest import TensorSpec


class DeviceRun:
    """An execution context with a stream of its own, and pinned and device memory for both ends."""

    def __init__(self, engine: Any, ends: tuple[TensorSpec, TensorSpec]) -> None:
        """Take the memory.

        Args:
            engine: An ICudaEngine.
            ends: Its input and its output.

        Raises:
            MemoryError: The GPU has too little.
        """
        from numba import cuda  # noqa: PLC0415 (slow to import)

        self._context = engine.create_execution_context()
        if self._context is None:
            raise MemoryError("no execution context: the GPU has too little free memory")
        self._stream: Any = cuda.stream()
        self._host = [cuda.pinned_array(spec.shape, np.dtype(spec.dtype)) for spec in ends]
        self._device = [cuda.device_array(spec.shape, np.dtype(spec.dtype)) for spec in ends]
        for spec, buffer in zip(ends, self._device):
            self._context.set_tensor_address(spec.name, buffer.device_ctypes_pointer.value)

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the network once.

        Args:
            batch: Of the input's shape and dtype.

        Returns:
            The answer, in pinned memory that the next call overwrites.

        Raises:
            RuntimeError: The network could not be started.
        """
        self._host[0][:] = batch
        self._device[0].copy_to_device(self._host[0], stream=self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise RuntimeError("the network could not be started")
        self._device[1].copy_to_host(self._host[1], stream=self._stream)
        self._stream.synchronize()
        return self._host[1]
