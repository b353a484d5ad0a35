"""What a scan asks of a GPU: calls, bytes and waits, counted by the code's own run in numba's simulator.

``python -m benchmarks.gpu_calls``. Networks and kernels do nothing here and everything has its
real size: the embedded models, a lumbar scan whose tiles are all run, and ten cutouts. So nothing is timed;
what is counted is what the host puts on the stream, what crosses the bus, and where it waits. What a network
works in is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # read when numba is imported

import numpy as np

from benchmarks.figures import RESULTS
from spineps_rt.backends import device_buffers, tensorrt
from spineps_rt.backends.onnxruntime import OnnxEngine
from spineps_rt.backends.tensorrt import TensorRtEngine
from spineps_rt.inference.instance import InstanceNetwork
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.models import resolve_models

SHAPE = (240, 400, 56)
"""Of the scan, P, I, R, at the semantic model's spacing."""
WINDOWS = 10
SCANS = 2
"""The second is counted: what only a first scan needs is not."""


class Counts:
    """What was asked for, by kind."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def add(self, kind: str, size: int = 0) -> None:
        """Count a call, and bytes."""
        self.calls[kind] += 1
        self.bytes[kind] += size

    def as_json(self) -> dict[str, Any]:
        """Kind -> calls, and bytes where there are some."""
        return {
            kind: {"calls": n, **({"bytes": self.bytes[kind]} if self.bytes[kind] else {})}
            for kind, n in sorted(self.calls.items())
        }


class Recorder:
    """Stands between the package and numba's arrays."""

    def __init__(self, counts: Counts, cuda: Any) -> None:
        self._counts = counts
        self._allocate, self._pin, self._send = cuda.device_array, cuda.pinned_array, cuda.to_device

    def device_array(self, *words: Any, **more: Any) -> Any:
        """As numba's, filled with zeros."""
        made = self._allocate(*words, **more)
        self._counts.add("allocations on the GPU", made.nbytes)
        made._ary[...] = 0
        return made

    def pinned_array(self, *words: Any, **more: Any) -> Any:
        """As numba's, filled with zeros."""
        made = self._pin(*words, **more)
        self._counts.add("pinned allocations", made.nbytes)
        made[...] = 0
        return made

    def to_device(self, data: Any, **more: Any) -> Any:
        """As numba's."""
        self._counts.add("allocations on the GPU", data.nbytes)
        self._counts.add("copies up", data.nbytes)
        return self._send(data, **more)

    def copies(self, kind: str) -> Any:
        """A method of a device array that copies, or rather counts."""

        def copy(array: Any, host: Any = None, **_: Any) -> Any:
            self._counts.add(kind, array.nbytes)
            return host if host is not None else np.zeros(array.shape, array.dtype)

        return copy

    def counting(self, kind: str) -> Any:
        """A function that does nothing but count."""
        return lambda *_, **__: self._counts.add(kind)


def int_of_a_stream(_stream: Any) -> int:
    """A handle, which the simulator's stream lacks."""
    return 1


@contextmanager
def counted(counts: Counts) -> Iterator[None]:
    """Count what the package asks of numba."""
    from numba import cuda  # noqa: PLC0415 (after the switch above)
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray  # noqa: PLC0415

    from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415

    recorder = Recorder(counts, cuda)
    replaced: dict[tuple[Any, str], Any] = {
        (cuda, "device_array"): recorder.device_array,
        (cuda, "pinned_array"): recorder.pinned_array,
        (cuda, "to_device"): recorder.to_device,
        (FakeCUDAArray, "copy_to_host"): recorder.copies("copies down"),
        (FakeCUDAArray, "copy_to_device"): recorder.copies("copies up"),
        (cuda.stream, "synchronize"): recorder.counting("waits for the stream"),
        (cuda.event, "synchronize"): recorder.counting("waits for a batch before the last"),
        (kernels, "_launch"): recorder.counting("kernels"),
        (device_buffers, "address"): lambda _: 256,
    }
    with ExitStack() as entered:
        for where, what in replaced.items():
            entered.enter_context(mock.patch.object(*where, what))
        entered.enter_context(mock.patch.object(cuda.stream, "__int__", int_of_a_stream, create=True))
        yield


def tensorrt_engine(model: Any, counts: Counts) -> Any:
    """The back end of TensorRT over a library that does nothing."""
    context = SimpleNamespace(
        set_tensor_address=lambda *_: True,
        set_device_memory=lambda *_: None,
        execute_async_v3=lambda _: not counts.add("networks"),
    )

    def create(*_: Any) -> Any:
        counts.add("execution contexts made")
        return context

    engine = SimpleNamespace(create_execution_context=create, device_memory_size_v2=0)
    context.engine = engine
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda _: engine)
    strategy = SimpleNamespace(USER_MANAGED=2)
    module = SimpleNamespace(
        Runtime=lambda _: runtime, __version__="1", ExecutionContextAllocationStrategy=strategy
    )
    library = tensorrt.Library("tensorrt", module, SimpleNamespace(messages=[]))
    key = tensorrt.engine_key(model, library, "sm89")
    ends = [model.input], [model.output]
    replaced = {
        "compute_capability": lambda: "sm89",
        "load_library": lambda _: library,
        "find_plan": lambda *_: (model, key, b""),
        "signature": lambda *_: ends,
    }
    with mock.patch.multiple(tensorrt, **replaced):
        return TensorRtEngine(model, library="tensorrt")


def onnx_engine(model: Any, counts: Counts) -> Any:
    """The back end of ONNX Runtime, bound to the simulator's memory; its session does nothing."""
    engine = OnnxEngine(model, threads=1)
    engine._bindable = True
    nothing = SimpleNamespace(
        bind_input=lambda *_: None,
        bind_output=lambda *_: None,
        synchronize_outputs=lambda: counts.add("waits for the stream"),
    )
    engine._session = SimpleNamespace(
        io_binding=lambda: nothing, run_with_iobinding=lambda *_: counts.add("networks")
    )
    return engine


def scan(engines: tuple[Any, Any]) -> None:
    """Both stages of one scan."""
    image = np.random.default_rng(0).integers(1, 900, SHAPE).astype(np.float32)
    SemanticNetwork(engines[0]).classify(image, progress=lambda *_: None)
    labels, table = np.ones((200, 420, 90), np.uint8), np.zeros(256, np.uint8)
    starts = np.random.default_rng(1).integers(0, 40, (WINDOWS, 3))
    network = InstanceNetwork(engines[1])
    with mock.patch.object(network, "_check_classes"):
        for _ in network.classify_windows(labels, table, starts):
            pass


def count() -> dict[str, dict[str, Any]]:
    """Count a scan by both back ends; back end -> kind -> calls and bytes."""
    models, found = resolve_models(None), {}
    for name, make in (("tensorrt", tensorrt_engine), ("onnxruntime", onnx_engine)):
        counts = Counts()
        with counted(counts), mock.patch.object(tensorrt, "kernels_compile", return_value=True):
            engines = make(models.semantic, counts), make(models.instance, counts)
            for _ in range(SCANS):
                before = counts.calls.copy(), counts.bytes.copy()
                scan(engines)
        counts.calls, counts.bytes = counts.calls - before[0], counts.bytes - before[1]
        found[name] = counts.as_json()
    return found


def main() -> None:
    """Write the counts in the place of the former ones; what they are compared with stays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "gpu_calls.json")
    asked = parser.parse_args()
    known = json.loads(asked.output.read_text(encoding="utf-8")) if asked.output.is_file() else {}
    document = {"benchmark": "gpu_calls", "scan": SHAPE, "cutouts": WINDOWS, "now": count()}
    asked.output.write_text(json.dumps({**known, **document}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
