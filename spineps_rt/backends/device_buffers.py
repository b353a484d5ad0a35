"""A network between two buffers of an NVIDIA GPU: what of the engines nothing but a GPU can try."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from spineps_rt.models.manifest import TensorSpec


class DeviceRun(ABC):
    """Device memory for both ends of a network, and a stream; what is put on the stream happens in order."""

    def __init__(self, ends: tuple[TensorSpec, TensorSpec]) -> None:
        """Take the memory.

        Args:
            ends: The network's input and output.

        Raises:
            Exception: The GPU has too little memory;
                :func:`spineps_rt.inference.out_of_memory.within_memory` knows the words of all libraries.
        """
        from numba import cuda  # noqa: PLC0415 (slow to import)

        self.stream: Any = cuda.stream()
        self.input, self.output = (cuda.device_array(spec.shape, np.dtype(spec.dtype)) for spec in ends)
        self._host = [cuda.pinned_array(spec.shape, np.dtype(spec.dtype)) for spec in ends]

    @abstractmethod
    def launch(self) -> None:
        """Put one run of the network, from ``input`` to ``output``, on the stream.

        Raises:
            Exception: The network could not be started.
        """

    def fetch(self) -> np.ndarray:
        """Wait for the stream and bring the answer down, to pinned memory that the next call overwrites."""
        self.output.copy_to_host(self._host[1], stream=self.stream)
        self.stream.synchronize()
        return self._host[1]

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the network once on an array of the host.

        Args:
            batch: Of the input's shape and dtype.

        Returns:
            The answer, as :meth:`fetch`.

        Raises:
            Exception: The network could not be started.
        """
        self._host[0][:] = batch
        self.input.copy_to_device(self._host[0], stream=self.stream)
        self.launch()
        return self.fetch()


class TensorRtRun(DeviceRun):
    """An execution context of TensorRT."""

    def __init__(
        self, engine: Any, ends: tuple[TensorSpec, TensorSpec], *, complaints: Callable[[], str]
    ) -> None:
        """Take the memory.

        Args:
            engine: An ICudaEngine.
            ends: Its input and its output.
            complaints: Says what the library has against it.

        Raises:
            MemoryError: The GPU has too little.
        """
        super().__init__(ends)
        self._complaints = complaints
        self._context = engine.create_execution_context()
        if self._context is None:
            raise MemoryError(f"no execution context: {complaints()}")
        for spec, buffer in zip(ends, (self.input, self.output)):
            self._context.set_tensor_address(spec.name, address(buffer))

    def launch(self) -> None:
        """Put one run on the stream."""
        if not self._context.execute_async_v3(int(self.stream)):
            raise RuntimeError(f"the network could not be started: {self._complaints()}")


class OnnxRun(DeviceRun):
    """A session of ONNX Runtime, bound to the buffers."""

    def __init__(self, session: Any, ends: tuple[TensorSpec, TensorSpec], *, device: str = "cuda") -> None:
        """Take the memory and bind it.

        Args:
            session: An InferenceSession.
            ends: Its input and its output.
            device: Where the buffers lie, in ONNX Runtime's words.
        """
        super().__init__(ends)
        self._session = session
        self._binding = session.io_binding()
        binds = (self._binding.bind_input, self._binding.bind_output)
        for bind, spec, buffer in zip(binds, ends, (self.input, self.output)):
            bind(spec.name, device, 0, np.dtype(spec.dtype).type, spec.shape, address(buffer))

    def launch(self) -> None:
        """Run, in place of queueing: ONNX Runtime has a stream of its own, so one waits for the other."""
        self.stream.synchronize()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()


def address(buffer: Any) -> int:
    """Where a device array begins in the GPU's memory."""
    return int(buffer.device_ctypes_pointer.value)
