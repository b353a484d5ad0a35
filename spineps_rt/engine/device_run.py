"""A network on an NVIDIA GPU: the only part of the native engines that nothing but a GPU can try."""

from __future__ import annotations

from typing import Any

import numpy as np

from spineps_rt.engine.manifest import TensorSpec


class DeviceRun:
    """An execution context with a stream of its own, and device memory for both ends."""

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
        self.stream: Any = cuda.stream()
        self.input, self.output = (cuda.device_array(spec.shape, np.dtype(spec.dtype)) for spec in ends)
        self._host = [cuda.pinned_array(spec.shape, np.dtype(spec.dtype)) for spec in ends]
        for spec, buffer in zip(ends, (self.input, self.output)):
            self._context.set_tensor_address(spec.name, buffer.device_ctypes_pointer.value)

    def launch(self) -> None:
        """Put one run of the network, from ``input`` to ``output``, on the stream.

        Raises:
            RuntimeError: The network could not be started.
        """
        if not self._context.execute_async_v3(int(self.stream)):
            raise RuntimeError("the network could not be started")

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the network once on an array of the host.

        Args:
            batch: Of the input's shape and dtype.

        Returns:
            The answer, in pinned memory that the next call overwrites.

        Raises:
            RuntimeError: The network could not be started.
        """
        self._host[0][:] = batch
        self.input.copy_to_device(self._host[0], stream=self.stream)
        self.launch()
        self.output.copy_to_host(self._host[1], stream=self.stream)
        self.stream.synchronize()
        return self._host[1]
