"""What is asked of the driver, and whatever may be wrong with the packages of CUDA."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import types

import numba
import pytest
from numba import cuda as simulator

import spineps_rt.kernels
import tiny_models
from benchmarks.checkout import ROOT
from spineps_rt.backends import gpu, open_engine
from spineps_rt.backends import onnxruntime as onnx_backend
from spineps_rt.models import load_model

pytestmark = pytest.mark.skipif(gpu.cuda_devices() > 0, reason="the fakes stand for a broken installation")


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def empty():
    return types.ModuleType("numba.cuda")


def unreadable_library():
    module = empty()
    module.__getattr__ = raising(OSError("libnvvm.so.4: cannot open shared object file"))
    return module


def without_compiler():
    module = empty()
    module.is_available = raising(RuntimeError("Failure finding 'libnvvm.so'"))
    return module


def without_driver():
    module = empty()
    module.is_available, module.cuda_error = (lambda: False), (lambda: "[100] no CUDA-capable device")
    return module


def working(**changes):
    module = empty()
    vars(module).update({**vars(simulator), "is_available": lambda: True, **changes})
    return module


class Kernel:
    """A compiled kernel whose launch does something else than it should."""

    def __init__(self, launch):
        self._launch = launch

    def __getitem__(self, _):
        return self._launch


def jit(launch):
    return lambda *args, **_: Kernel(launch) if args else lambda _: Kernel(launch)


def old_driver():
    said = "[222] Call to cuLinkAddData results in CUDA_ERROR_UNSUPPORTED_PTX_VERSION"
    return working(jit=jit(raising(RuntimeError(said))))


def wrong_answers():
    return working(jit=jit(lambda _, words: words.__setitem__(slice(None), 7)))


class Finder:
    """An import of ``numba.cuda`` that fails."""

    def __init__(self, error):
        self._error = error

    def find_spec(self, name, *_):
        if name == "numba.cuda":
            raise self._error


@pytest.fixture
def broken(monkeypatch):
    """Put another module, or an error of its import, in the place of numba's."""
    importlib.import_module("spineps_rt.kernels.cuda")  # what is taken away here comes back afterwards

    def put(instead):
        monkeypatch.setattr(numba.config, "ENABLE_CUDASIM", 0)
        monkeypatch.delitem(sys.modules, "spineps_rt.kernels.cuda", raising=False)
        monkeypatch.delattr(spineps_rt.kernels, "cuda", raising=False)
        if isinstance(instead, Exception):
            monkeypatch.delitem(sys.modules, "numba.cuda")
            monkeypatch.delattr(numba, "cuda")
            monkeypatch.setattr(sys, "meta_path", [Finder(instead), *sys.meta_path])
        else:
            monkeypatch.setitem(sys.modules, "numba.cuda", instead)
            monkeypatch.setattr(numba, "cuda", instead)
        for function in (gpu.kernels_fault, gpu.way):
            function.cache_clear()

    yield put
    for function in (gpu.kernels_fault, gpu.way):
        function.cache_clear()


FAULTS = {
    "numba.cuda is not there": (lambda: ModuleNotFoundError("No module named 'numba.cuda'"), "No module"),
    "no libcudart": (lambda: RuntimeError("Failure finding 'libcudart.so'"), "RuntimeError: Fail.*libcudart"),
    "an empty module": (empty, "AttributeError: .*is_available"),
    "a library that cannot be loaded": (unreadable_library, r"OSError: libnvvm\.so\.4"),
    "no libnvvm": (without_compiler, r"RuntimeError: Failure finding 'libnvvm\.so'"),
    "no driver": (without_driver, r"no CUDA driver or compiler library: \[100\]"),
    "an old driver": (old_driver, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"),
    "a GPU that computes wrongly": (wrong_answers, "answered wrongly"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_whatever_is_broken_the_host_s_way_is_taken_with_one_warning(
    broken, tmp_path, caplog, monkeypatch, what
):
    make, says = FAULTS[what]
    broken(make())
    assert [gpu.way(), gpu.way()] == ["tiles on the host"] * 2
    (record,) = caplog.records
    assert re.search(says, record.getMessage())
    assert "spineps-rt[gpu13]" in record.getMessage()
    assert "\n" not in record.getMessage()
    monkeypatch.setattr(onnx_backend, "cuda_devices", lambda: 1)
    with open_engine(load_model(tiny_models.write_semantic(tmp_path)), device="auto") as engine:
        assert "CPU" in engine.provider


def test_what_works_is_taken(broken, caplog):
    broken(working())
    assert gpu.way() == "tiles on the GPU"
    assert gpu.kernels_compile()
    assert not caplog.records


def test_the_simulator_is_no_gpu():
    gpu.kernels_fault.cache_clear()
    if numba.config.ENABLE_CUDASIM:
        assert "NUMBA_ENABLE_CUDASIM" in gpu.kernels_fault()
    gpu.kernels_fault.cache_clear()


def test_numba_as_it_is_installed_here_ends_in_no_traceback():
    """Whichever target numba has here, without a driver: a reason comes back, in one line."""
    script = "from spineps_rt.backends import gpu; print(gpu.kernels_fault())"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**_environment(), "NUMBA_ENABLE_CUDASIM": "0"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1), done.stderr
    assert done.stdout.strip()


def _environment():
    return {key: value for key, value in os.environ.items() if key != "NUMBA_ENABLE_CUDASIM"}


class Driver:
    """The driver's interface of a machine with two GPUs, of which CUDA_VISIBLE_DEVICES shows the second."""

    def __init__(self, *, context=True):
        self._context, self.stack, self.retained = context, 0, 0

    def cuDeviceGet(self, device, ordinal):
        device._obj.value = 40 + ordinal
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = 1
        return 0

    def cuDeviceGetAttribute(self, number, attribute, device):
        number._obj.value = {75: 8, 76: 9}[attribute]
        return 0 if device == 40 else 101

    def cuDeviceGetName(self, name, _size, device):
        name.value = b"NVIDIA L4"
        return 0 if device == 40 else 101

    def cuDriverGetVersion(self, number):
        number._obj.value = 12080
        return 0

    def cuDevicePrimaryCtxGetState(self, device, _flags, active):
        active._obj.value = int(self._context)
        return 0 if device == 40 else 101

    def cuDevicePrimaryCtxRetain(self, _context, _device):
        self.retained += 1
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, _device):
        self.retained -= 1
        return 0

    def cuCtxPushCurrent_v2(self, _context):
        self.stack += 1
        return 0

    def cuCtxPopCurrent_v2(self, _context):
        self.stack -= 1
        return 0

    def cuMemGetInfo_v2(self, free, total):
        assert self.stack == 1
        free._obj.value, total._obj.value = 20 << 30, 22 << 30
        return 0


def test_the_driver_is_asked_about_the_first_gpu_that_it_shows(monkeypatch):
    driver = Driver()
    monkeypatch.setattr(gpu, "cuda_driver", lambda: driver)
    assert gpu.cuda_devices() == 1
    assert gpu.compute_capability() == "sm89"
    assert gpu.gpu_and_driver() == ("NVIDIA L4", "12.8")
    assert gpu.memory_used() == 2 << 30
    assert (driver.stack, driver.retained) == (0, 0)


def test_a_process_without_a_context_takes_no_memory(monkeypatch):
    monkeypatch.setattr(gpu, "cuda_driver", lambda: Driver(context=False))
    assert gpu.memory_used() is None
    monkeypatch.setattr(gpu, "cuda_driver", lambda: None)
    assert (gpu.memory_used(), gpu.compute_capability(), gpu.gpu_and_driver()) == (None, None, ("", ""))


@pytest.mark.parametrize(
    "said",
    [
        "[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY",
        "CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "Failed to allocate memory for requested buffer of size 4",
        "Available memory of 8 is smaller than requested bytes of 16",
        "cudaErrorMemoryAllocation",
        "Requested amount of GPU memory (1024 bytes) could not be allocated.",
        "Error Code 2: OutOfMemory (Requested size was 4 bytes.)",
        "std::bad_alloc",
    ],
)
def test_every_library_s_words_for_too_little_memory(said):
    assert gpu.lacks_memory(said)


@pytest.mark.parametrize("said", ["no kernel image is available", "CUDNN_STATUS_NOT_SUPPORTED", "NaN"])
def test_other_faults_are_no_lack_of_memory(said):
    assert not gpu.lacks_memory(said)


def test_every_module_is_imported_where_unix_s_modules_are_missing():
    """As on Windows, which has none of these."""
    script = """
import importlib, pkgutil, sys
from benchmarks.checkout import link_checkout
link_checkout()
for name in ("resource", "fcntl", "pwd", "grp", "termios", "posix_ipc"):
    sys.modules[name] = None
import spineps_rt
for found in pkgutil.walk_packages(spineps_rt.__path__, "spineps_rt."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
from spineps_rt.timing import peak_bytes
assert peak_bytes() == 0
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={**_environment(), "NUMBA_ENABLE_CUDASIM": "1"}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


FREEING = """
from types import SimpleNamespace
from numba import cuda
from numba.cuda.cudadrv import driver
from spineps_rt.backends import gpu

freed = []


def cuMemFree(pointer):
    freed.append(pointer)


driver._logger = driver.make_logger()
driver.driver = SimpleNamespace(cuMemFree=cuMemFree)
context = SimpleNamespace(deallocations=driver._PendingDeallocs())
manager = driver.NumbaCUDAMemoryManager(context=context)
manager.deallocations.memory_capacity = 1 << 40
context.memory_manager = manager
cuda.current_context = lambda: context
manager.allocations[7] = "an array's memory"
driver._alloc_finalizer(manager, 7, 7, 1000)()
assert not freed, "numba frees at once, so that nothing is left to do"
gpu.free_memory()
assert freed == [7], freed
"""


def test_what_numba_keeps_is_freed():
    """Of the very classes that keep it, over a driver that counts; whichever target numba has here."""
    done = subprocess.run(
        [sys.executable, "-c", FREEING], env={**_environment(), "NUMBA_ENABLE_CUDASIM": "0"}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_small_kernels_warn_nobody():
    importlib.import_module("spineps_rt.kernels.cuda")
    assert numba.config.CUDA_LOW_OCCUPANCY_WARNINGS == 0
