"""What the NVIDIA driver shows of this machine, and whether kernels can be compiled for it and run.

Everything here is about the first GPU that the driver shows. ``CUDA_VISIBLE_DEVICES`` chooses which that is,
for this module and every library alike.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from typing import Any

from spineps_rt.machine import cuda_driver

_LOG = logging.getLogger(__name__)
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""
_NAME_BYTES = 256
_MEMORY_SIGNS = (
    *("out of memory", "out_of_memory", "outofmemory", "failed to allocate", "unable to allocate"),
    *("could not be allocated", "alloc_failed", "cudaerrormemoryallocation", "bad_alloc"),
    "smaller than requested bytes",
)
"""What CUDA, cuDNN, cuBLAS, TensorRT, numba, ONNX Runtime (at last: below its limit) and numpy say."""


def cuda_devices() -> int:
    """Count the GPUs, without loading any library of CUDA.

    Returns:
        0 where there is no driver. Asked first, because ONNX Runtime prints its own errors when a GPU
        provider is tried in vain.
    """
    driver, count = cuda_driver(), ctypes.c_int(0)
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def compute_capability() -> str | None:
    """Name what code the first GPU runs.

    Returns:
        For instance ``sm86``; None where there is no GPU.
    """
    driver, number = cuda_driver(), ctypes.c_int(0)
    name = "sm"
    for attribute in (_MAJOR, _MINOR):
        if driver is None or driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, _first(driver)):
            return None
        name += str(number.value)
    return name


def gpu_and_driver() -> tuple[str, str]:
    """Name the first GPU and the newest CUDA that the driver runs.

    Returns:
        For instance ``("NVIDIA L4", "13.0")``; empty texts where the driver does not tell.
    """
    driver, number, name = cuda_driver(), ctypes.c_int(0), ctypes.create_string_buffer(_NAME_BYTES)
    if driver is None or driver.cuDeviceGetName(name, _NAME_BYTES, _first(driver)):
        return "", ""
    if driver.cuDriverGetVersion(ctypes.byref(number)):
        return name.value.decode(errors="replace"), ""
    version = f"{number.value // 1000}.{number.value % 1000 // 10}"
    return name.value.decode(errors="replace"), version


def memory_used() -> int | None:
    """Ask how much of the first GPU's memory is taken, by whichever process.

    Returns:
        Bytes; None where this process has no context on it, and so takes none of it.
    """
    driver = cuda_driver()
    device = None if driver is None else _first(driver)
    flags, active = ctypes.c_uint(0), ctypes.c_int(0)
    if driver is None or driver.cuDevicePrimaryCtxGetState(device, ctypes.byref(flags), ctypes.byref(active)):
        return None
    context, free, total = ctypes.c_void_p(), ctypes.c_size_t(0), ctypes.c_size_t(0)
    if not active.value or driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
        return None
    try:
        if driver.cuCtxPushCurrent_v2(context):
            return None
        failed = driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        driver.cuCtxPopCurrent_v2(ctypes.byref(context))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(device)
    return None if failed else total.value - free.value


def lacks_memory(said: str) -> bool:
    """Tell by what a library says whether memory was lacking."""
    return any(sign in said.lower() for sign in _MEMORY_SIGNS)


def kernels_compile() -> bool:
    """Tell whether kernels run on the first GPU: one is compiled, launched, and its answer looked at."""
    return not kernels_fault()


@functools.cache
def kernels_fault() -> str:
    """Say why no kernel runs on the first GPU, whatever numba, NVIDIA's compiler or the driver lacks.

    Returns:
        An empty text where one runs.
    """
    try:
        fault = _probe()
    except Exception as error:  # noqa: BLE001 (each of these packages fails in its own way)
        fault = f"{type(error).__name__}: {error}"
    return " ".join(fault.split())


@functools.cache
def way() -> str:
    """Say, for the run record, where tiles and cutouts are cut and summed when a GPU runs the network.

    Where it is the host although there is a GPU, a warning, given once, says why.
    """
    if kernels_compile():
        return "tiles on the GPU"
    _LOG.warning(
        "No kernel runs on the GPU (%s); tiles are cut and summed on the host. What it takes comes with "
        "pip install 'spineps-rt[gpu13]' (driver 580 or newer) or 'spineps-rt[gpu12]'",
        kernels_fault(),
    )
    return "tiles on the host"


def free_memory() -> None:
    """Return to the driver what numba's arrays have left: it keeps some of it for its own next arrays.

    Memory waits in the memory manager, streams and events in the context itself.
    """
    from numba import cuda  # noqa: PLC0415 (slow to import)

    context = cuda.current_context()
    for owner in (getattr(context, "memory_manager", None), context):
        pending = getattr(owner, "deallocations", None)  # the simulator has none
        if pending is not None:
            pending.clear()


def _probe() -> str:
    """Run a kernel; what numba raises is the reason why it cannot be, an empty text says that it ran."""
    import numba  # noqa: PLC0415 (slow to import)
    from numba import cuda  # noqa: PLC0415 (its import alone may fail)

    if getattr(numba.config, "ENABLE_CUDASIM", False):
        return "NUMBA_ENABLE_CUDASIM makes numba simulate one"
    if not cuda.is_available():
        reason = getattr(cuda, "cuda_error", lambda: None)()
        return f"numba finds no CUDA driver or compiler library: {reason or 'it gives no reason'}"
    from spineps_rt.kernels.cuda import probe  # noqa: PLC0415

    return "" if probe() else "a kernel answered wrongly"


def _first(driver: Any) -> int:
    """The driver's handle of the first GPU."""
    device = ctypes.c_int(0)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    return device.value
