"""A network between two buffers of an NVIDIA GPU: what of the engines nothing but a GPU can try.

All engines of a process share one stream, so that what one network leaves the next may read, and one block of
scratch memory, in which one network after the other works.
"""

from __future__ import annotations

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spineps_rt.backends.gpu import lacks_memory
from spineps_rt.models.manifest import TensorSpec

Ends = tuple[TensorSpec, TensorSpec]
"""A network's input and output."""


@functools.cache
def work_stream() -> Any:
    """The one stream of the process, made when first asked for; it outlives every session bound to it."""
    from numba import cuda  # noqa: PLC0415 (slow to import)

    return cuda.stream()


class Scratch:
    """A block of device memory that grows to what the largest network works in."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Held while a network is put on the stream: two that interleave would overwrite one another."""
        self._block: Any = None

    def address(self, size: int) -> int:
        """Where at least so many bytes lie, aligned to 256; the lock must be held.

        Args:
            size: Bytes, 1 or more.

        Raises:
            Exception: The GPU has too little memory.
        """
        from numba import cuda  # noqa: PLC0415 (slow to import)

        if self._block is None or self._block.size < size:
            self._block = None  # the driver frees it once what was put on the stream has run
            self._block = cuda.device_array(size, np.uint8)
        return address(self._block)

    def release(self) -> None:
        """Give the block back."""
        with self.lock:
            self._block = None


SCRATCH = Scratch()


class Buffers:
    """Device memory for both ends of a network."""

    def __init__(self, ends: Ends) -> None:
        """Take the memory.

        Args:
            ends: The network's input and output.

        Raises:
            Exception: The GPU has too little memory; :func:`spineps_rt.backends.gpu.lacks_memory` knows the
                words of all libraries.
        """
        from numba import cuda  # noqa: PLC0415 (slow to import)

        self.input, self.output = (cuda.device_array(spec.shape, np.dtype(spec.dtype)) for spec in ends)


class DeviceRun(ABC):
    """A network between two buffers; what is put on the stream happens in order."""

    def __init__(self, buffers: Buffers) -> None:
        """Take buffers of the network's own ends, which other runs may share."""
        self.stream, self.buffers = work_stream(), buffers
        self.input, self.output = buffers.input, buffers.output

    @functools.cached_property
    def _pinned(self) -> Any:
        """Pinned memory of the host for the answer; the sliding window never asks for it."""
        from numba import cuda  # noqa: PLC0415 (slow to import)

        return cuda.pinned_array(self.output.shape, self.output.dtype)

    @abstractmethod
    def launch(self) -> None:
        """Put one run of the network, from ``input`` to ``output``, on the stream.

        Raises:
            Exception: The network could not be started.
        """

    def fetch(self) -> np.ndarray:
        """Wait for the stream and bring the answer down, to pinned memory that the next call overwrites."""
        self.output.copy_to_host(self._pinned, stream=self.stream)
        self.stream.synchronize()
        return self._pinned

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the network once on an array of the host.

        Args:
            batch: Of the input's shape and dtype.

        Returns:
            The answer, as :meth:`fetch`.

        Raises:
            Exception: The network could not be started.
        """
        self.input.copy_to_device(np.ascontiguousarray(batch), stream=self.stream)
        self.launch()
        return self.fetch()


class TensorRtRun(DeviceRun):
    """An execution context of TensorRT, which is its engine's to keep."""

    def __init__(
        self, context: Any, ends: Ends, *, error_text: Callable[[], str], buffers: Buffers | None = None
    ) -> None:
        """Bind the context to buffers.

        Args:
            context: An IExecutionContext whose memory is its user's to manage, or its own.
            ends: The engine's input and output.
            error_text: Says what the library has against it.
            buffers: Of these ends, if they are there already.

        Raises:
            RuntimeError: The library refuses a buffer.
            Exception: The GPU has too little memory.
        """
        super().__init__(buffers or Buffers(ends))
        self._context, self._error_text = context, error_text
        self._scratch = int(context.engine.device_memory_size_v2)
        for spec, buffer in zip(ends, (self.input, self.output)):
            if not context.set_tensor_address(spec.name, address(buffer)):
                raise RuntimeError(f"the buffer of {spec.name} is refused: {error_text()}")

    def launch(self) -> None:
        """Put one run on the stream."""
        with SCRATCH.lock:
            if self._scratch:
                self._context.set_device_memory(SCRATCH.address(self._scratch), self._scratch)
            started = self._context.execute_async_v3(int(self.stream))
        if not started:
            raise RuntimeError(f"the network could not be started: {self._error_text()}")


def tensorrt_context(engine: Any, config: Any, *, error_text: Callable[[], str]) -> Any:
    """Make the execution context of an engine; TensorRT-RTX compiles its kernels here.

    Args:
        engine: An ICudaEngine.
        config: An IRuntimeConfig, or an allocation strategy.
        error_text: Says what the library has against it.

    Raises:
        MemoryError: The library says that the GPU has too little memory.
        RuntimeError: It says something else.
    """
    context = engine.create_execution_context(config)
    if context is None:
        said = error_text()
        raise (MemoryError if lacks_memory(said) else RuntimeError)(f"no execution context: {said}")
    return context


class OnnxRun(DeviceRun):
    """A session of ONNX Runtime, bound to the buffers, that works on our stream."""

    def __init__(
        self, session: Any, ends: Ends, *, device: str = "cuda", buffers: Buffers | None = None
    ) -> None:
        """Take the memory and bind it.

        Args:
            session: An InferenceSession whose provider was given :func:`work_stream`.
            ends: Its input and output.
            device: Where the buffers lie, in ONNX Runtime's words.
            buffers: Of these ends, if they are there already.
        """
        from onnxruntime import RunOptions  # noqa: PLC0415 (the session's library)

        super().__init__(buffers or Buffers(ends))
        self._session, self._binding, self._options = session, session.io_binding(), RunOptions()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        binds = (self._binding.bind_input, self._binding.bind_output)
        for bind, spec, buffer in zip(binds, ends, (self.input, self.output)):
            bind(spec.name, device, 0, np.dtype(spec.dtype).type, spec.shape, address(buffer))

    def launch(self) -> None:
        """Put one run on the stream, which ONNX Runtime uses as its own, so nobody waits."""
        self._session.run_with_iobinding(self._binding, self._options)


class FoldsRun(DeviceRun):
    """Folds that run in turn on one input; their mean is formed on the GPU."""

    def __init__(self, folds: Sequence[DeviceRun], ends: Ends) -> None:
        """Take the memory for the mean.

        Args:
            folds: Runs that share their buffers.
            ends: The folds' input and output; the mean is a float32 array of the output's shape.
        """
        from numba import cuda  # noqa: PLC0415 (slow to import)

        super().__init__(folds[0].buffers)
        self._folds = folds
        self.output = cuda.device_array(ends[1].shape, np.float32)

    def launch(self) -> None:
        """Put all folds and the sums of their shares on the stream."""
        from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415 (slow to import)

        for n, fold in enumerate(self._folds):
            fold.launch()
            kernels.add_share(
                self.output, fold.output, 1 / len(self._folds), first=n == 0, stream=self.stream
            )


def address(buffer: Any) -> int:
    """Where a device array begins in the GPU's memory."""
    return int(buffer.device_ctypes_pointer.value)
