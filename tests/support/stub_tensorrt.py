"""TensorRT-RTX's own interface over ONNX Runtime on the processor: an engine's bytes are those of its graph.

The simulator's device memory is the processor's, so a context reads and writes what its addresses say. A name
that the real library lacks is an error where that library is installed.
"""

from __future__ import annotations

import ctypes
import importlib
import math
from collections import deque
from enum import Enum
from types import SimpleNamespace

import numpy as np
import onnxruntime

from spineps_rt.backends.tensorrt_library import Library

SCRATCH_BYTES = 1 << 12
_TYPES = {"tensor(float)": "FLOAT", "tensor(uint8)": "UINT8", "tensor(float16)": "HALF"}
_NUMPY = {"FLOAT": np.float32, "UINT8": np.uint8, "HALF": np.float16}


class Strategy(Enum):
    STATIC = 0
    USER_MANAGED = 2


class Graphs(Enum):
    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


class Mode(Enum):
    INPUT = 0
    OUTPUT = 1


class Log:
    """What happened, over all engines of a library."""

    def __init__(self):
        self.contexts, self.compiled, self.runs, self.blocks = 0, 0, 0, set()
        self.fail_with = ""
        self.refuse = ()
        self.graphs = Graphs.DISABLED


class IRuntimeCache:
    def __init__(self, log):
        self.kernels, self._log = b"", log

    def deserialize(self, blob):
        if not bytes(blob).startswith(b"kernels"):
            return False
        self.kernels = bytes(blob)
        return True

    def serialize(self):
        return memoryview(self.kernels)


class IRuntimeConfig:
    def __init__(self, log):
        self._log, self.cache, self.strategy = log, None, Strategy.STATIC
        self.cuda_graph_strategy = Graphs.DISABLED

    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy

    def create_runtime_cache(self):
        return IRuntimeCache(self._log)

    def set_runtime_cache(self, cache):
        self.cache = cache
        return True


class ICudaEngine:
    device_memory_size_v2 = SCRATCH_BYTES

    def __init__(self, plan, log, logger):
        self._log, self._logger = log, logger
        self.session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
        self.ends = [*self.session.get_inputs(), *self.session.get_outputs()]

    @property
    def num_io_tensors(self):
        return len(self.ends)

    def _end(self, name):
        return next(end for end in self.ends if end.name == name)

    def get_tensor_name(self, i):
        return self.ends[i].name

    def get_tensor_dtype(self, name):
        return SimpleNamespace(name=_TYPES[self._end(name).type])

    def get_tensor_shape(self, name):
        return self._end(name).shape

    def get_tensor_mode(self, name):
        return Mode.INPUT if name == self.ends[0].name else Mode.OUTPUT

    def create_runtime_config(self):
        return IRuntimeConfig(self._log)

    def create_execution_context(self, config):
        if self._log.fail_with:
            self._logger.messages.append(("ERROR", self._log.fail_with))
            return None
        self._log.contexts += 1
        self._log.graphs = config.cuda_graph_strategy
        if not config.cache.kernels:
            self._log.compiled += 1
            config.cache.kernels = b"kernels of a network"
        return IExecutionContext(self, config, self._log)


class IExecutionContext:
    def __init__(self, engine, config, log):
        self.engine, self._config, self._log = engine, config, log
        self._at, self._memory = {}, 0

    def set_tensor_address(self, name, memory):
        self._at[name] = memory
        return name not in self._log.refuse

    def set_device_memory(self, memory, size):
        assert size >= SCRATCH_BYTES
        self._memory = memory

    def execute_async_v3(self, stream_handle):
        assert isinstance(stream_handle, int)
        if self._config.strategy is Strategy.USER_MANAGED and not self._memory:
            return False
        ctypes.memset(self._memory, 0xFF, SCRATCH_BYTES)
        self._log.blocks.add(self._memory)
        self._log.runs += 1
        first, last = self.engine.ends
        (answer,) = self.engine.session.run(None, {first.name: self._array(first)})
        self._array(last)[...] = answer
        return True

    def _array(self, end):
        dtype = np.dtype(_NUMPY[_TYPES[end.type]])
        size = math.prod(end.shape) * dtype.itemsize
        return np.frombuffer((ctypes.c_char * size).from_address(self._at[end.name]), dtype).reshape(
            end.shape
        )


class Runtime:
    engine_host_code_allowed = False
    log: Log

    def __init__(self, logger):
        self._logger = logger

    def deserialize_cuda_engine(self, plan):
        return ICudaEngine(bytes(plan), self.log, self._logger)


def library(log: Log) -> Library:
    """The library as the back end loads it."""
    module = SimpleNamespace(
        __version__="1.7.1",
        Runtime=type("Runtime", (Runtime,), {"log": log}),
        TensorIOMode=Mode,
        ExecutionContextAllocationStrategy=Strategy,
        CudaGraphStrategy=Graphs,
    )
    return Library("tensorrt-rtx", module, SimpleNamespace(messages=deque()))


def unknown_names() -> list[str]:
    """Names that this stub has and the real library lacks; empty where it is not installed."""
    try:
        real = importlib.import_module("tensorrt_rtx")
    except ImportError:
        return []
    lacking = []
    for stub in (IRuntimeCache, IRuntimeConfig, ICudaEngine, IExecutionContext, Runtime):
        public = [name for name in vars(stub) if not name.startswith("_")]
        lacking += [f"{stub.__name__}.{n}" for n in public if not hasattr(getattr(real, stub.__name__), n)]
    for ours, theirs in (
        (Strategy, real.ExecutionContextAllocationStrategy),
        (Graphs, real.CudaGraphStrategy),
    ):
        lacking += [one.name for one in ours if one.name not in theirs.__members__]
    return lacking + [n for n in ("cuda_graph_strategy",) if not hasattr(real.IRuntimeConfig, n)]
