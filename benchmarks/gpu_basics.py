"""Steps of ``benchmarks.gpu_acceptance`` that need no network: machine, kernels, context."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.checkout import ROOT
from benchmarks.gpu_acceptance import SkippedError, require, require_gpu

PACKAGES = (
    *("numpy", "numba", "numba-cuda", "torch", "onnx", "onnxruntime-gpu", "onnxruntime", "tensorrt"),
    *("tensorrt-rtx", "nvidia-nvvm", "nibabel", "pillow", "click", "pytest"),
)
PATCH, CLASSES = (48, 112, 128), 15
"""Of the embedded semantic network."""
RING_ELEMENTS = (1 << 31) + (1 << 20)
"""More than a 32-bit index reaches."""


def environment() -> dict[str, Any]:
    """Name the machine; a machine without a GPU is named, too."""
    from spineps_rt.backends import gpu  # noqa: PLC0415 (after the checkout is linked)

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    name, cuda = gpu.gpu_and_driver()
    figures = {
        "gpu": name or None,
        "driver_cuda": cuda or None,
        "sm": gpu.compute_capability(),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": versions,
        "kernels_fault": gpu.kernels_fault() if gpu.cuda_devices() else "no GPU",
    }
    if gpu.cuda_devices() and not gpu.kernels_fault():
        figures["copy_gb_s"] = _copy_speed()
        figures["libraries"] = _loaded_libraries()
    return figures


def kernel_tests() -> dict[str, Any]:
    """Run the tests of the kernels on the GPU."""
    require_gpu()
    require("pytest")
    return {"said": run_tests("test_kernels_cuda.py")}


def kernel_speed() -> dict[str, Any]:
    """Compile, run the kernels of the sliding window at full size, compare, and time by events."""
    require_gpu()
    from spineps_rt.inference.tiling import importance_map  # noqa: PLC0415
    from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415
    from spineps_rt.kernels import stitch  # noqa: PLC0415

    (cuda,) = require("numba.cuda")
    rng, stream = np.random.default_rng(0), cuda.stream()
    logits = rng.normal(size=(1, CLASSES, *PATCH)).astype(np.float32)
    weights = importance_map(PATCH).copy()
    sums = np.zeros((CLASSES, *PATCH), np.float32)
    total, up, scale, bad = (cuda.to_device(a) for a in (sums, logits, weights, np.zeros(1, np.int32)))
    place = (0, 0, 0), (False, False, False)
    start = time.perf_counter()
    kernels.accumulate(total, up, scale, place, bad, stream=stream)
    stream.synchronize()
    figures: dict[str, Any] = {"first_launch_s": time.perf_counter() - start}
    stitch.accumulate(sums, logits[0], weights, (0, 0, 0))
    worst = float(np.abs(total.copy_to_host() - sums).max())
    if worst > 1e-2:  # weights go to 1000; a GPU fuses the product and the sum
        raise RuntimeError(f"sums of a full patch differ by {worst} from the processor's")
    milliseconds = _timed(lambda: kernels.accumulate(total, up, scale, place, bad, stream=stream), stream)
    moved = 3 * sums.nbytes + weights.nbytes
    figures |= {"accumulate_ms": milliseconds, "accumulate_gb_s": moved / milliseconds / 1e6}
    classes = cuda.device_array(PATCH, np.uint8)
    corners = (0, 0, 0), PATCH
    kernels.finalise(total, classes, *corners, stream=stream)
    figures["finalise_ms"] = _timed(lambda: kernels.finalise(total, classes, *corners, stream=stream), stream)
    return {**figures, **_long_ring()}


def sanitizer() -> dict[str, Any]:
    """Run the kernels' tests under compute-sanitizer where the CUDA toolkit brings it."""
    require_gpu()
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if tool is None:
        raise SkippedError("compute-sanitizer of the CUDA toolkit is not installed")
    script = "from spineps_rt.kernels.cuda import probe; assert probe()"
    words = [tool, "--error-exitcode", "9", sys.executable, "-c", script]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    return {"said": done.stdout[-500:]}


def one_context() -> dict[str, Any]:
    """Show that numba and PyTorch work in one context, on one memory, in the order of one stream."""
    require_gpu()
    cuda, torch = require("numba.cuda", "torch")
    if not torch.cuda.is_available():
        raise SkippedError(f"PyTorch {torch.__version__} finds no GPU")
    from spineps_rt.backends.device_buffers import address, work_stream  # noqa: PLC0415

    array = cuda.to_device(np.arange(1 << 20, dtype=np.float32))
    ours = _current_context()
    tensor = torch.as_tensor(array, device="cuda")
    torch.cuda.synchronize()
    if _current_context() != ours or tensor.data_ptr() != address(array):
        raise RuntimeError("numba and PyTorch do not share context and memory")
    stream = work_stream()
    theirs = torch.cuda.ExternalStream(int(stream))
    slow = cuda.jit(_slow)
    for round_ in range(1, 21):
        slow[4096, 256, stream](array, 2000, float(round_))
        with torch.cuda.stream(theirs):
            seen = tensor.clone()
        slow[4096, 256, stream](array, 1, 0.0)
        stream.synchronize()
        if not bool((seen == float(round_)).all()):
            raise RuntimeError(f"in round {round_} PyTorch read before or after its turn on the stream")
    return {"rounds": 20}


def run_tests(*names: str) -> str:
    """Run files of tests; returns pytest's last line.

    Raises:
        RuntimeError: One failed.
        SkippedError: All were skipped.
    """
    words = [sys.executable, "-m", "benchmarks.gpu_tests", *names]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if done.returncode not in (0, 5):
        raise RuntimeError(f"{last}: {done.stdout[-2500:]}{done.stderr[-500:]}")
    if "passed" not in last:
        raise SkippedError(f"no test of {', '.join(names)} ran: {done.stdout[-600:]}")
    return last


def _slow(array: Any, rounds: int, value: float) -> None:
    """A kernel that takes its time before it writes."""
    from numba import cuda  # noqa: PLC0415

    n = cuda.grid(1)
    if n < array.size:
        x = array[n]
        for _ in range(rounds):
            x = x * 0.5 + 1.0
        array[n] = value + 0.0 * x


def _timed(work: Any, stream: Any) -> float:
    """Milliseconds of one of 20 launches, between two events."""
    (cuda,) = require("numba.cuda")
    first, last = cuda.event(), cuda.event()
    first.record(stream)
    for _ in range(20):
        work()
    last.record(stream)
    last.synchronize()
    return float(cuda.event_elapsed_time(first, last)) / 20


def _long_ring() -> dict[str, Any]:
    """Sum into an array of more elements than a 32-bit index reaches, in float16."""
    (cuda,) = require("numba.cuda")
    from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415

    free, _ = cuda.current_context().get_memory_info()
    if free < 2 * RING_ELEMENTS + (1 << 29):
        return {"ring_of_2_to_31": f"not tried: {free >> 20} MB free"}
    size = 64
    length = RING_ELEMENTS // (2 * size * size)
    total = cuda.device_array((2, size, length, size), np.float16)
    kernels.clear(total)
    logits = cuda.to_device(np.full((1, 2, 4, 4, 4), 3, np.float32))
    weights, bad = cuda.to_device(np.ones((4, 4, 4), np.float32)), cuda.to_device(np.zeros(1, np.int32))
    corner = (size - 4, length - 4, size - 4)
    kernels.accumulate(total, logits, weights, (corner, (False,) * 3), bad)
    last = total[1, size - 1].copy_to_host()
    if last.sum() != 3 * 16 or last[-1, -1] != 3:
        raise RuntimeError(f"the last sums of {total.size} are {last[-2:, -5:]}, expected 3")
    return {"ring_of_2_to_31": f"{total.size} elements"}


def _copy_speed() -> dict[str, float]:
    """GB/s of a copy to the GPU from pinned memory, back, and within it."""
    (cuda,) = require("numba.cuda")
    stream, size = cuda.stream(), 256 << 20
    host, first, second = (
        cuda.pinned_array(size, np.uint8),
        *(cuda.device_array(size, np.uint8) for _ in range(2)),
    )
    host[:] = 1
    ways = {
        "up": lambda: first.copy_to_device(host, stream=stream),
        "down": lambda: first.copy_to_host(host, stream=stream),
        "within": lambda: second.copy_to_device(first, stream=stream),
    }
    return {name: round(size / _timed(work, stream) / 1e6, 1) for name, work in ways.items()}


def _loaded_libraries() -> list[str]:
    """Files of CUDA's libraries that this process has loaded (Linux)."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    paths = {line.split()[-1] for line in lines if "/" in line}
    kinds = ("libcuda.", "libnvvm", "libnvJitLink", "libnvrtc", "libcudart")
    return sorted(path for path in paths if any(kind in path for kind in kinds))


def _current_context() -> int:
    driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    context = ctypes.c_void_p()
    driver.cuCtxGetCurrent(ctypes.byref(context))
    return context.value or 0
