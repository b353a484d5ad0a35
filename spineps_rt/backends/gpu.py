"""What the NVIDIA driver shows of this machine, and whether kernels can be compiled for it."""

from __future__ import annotations

import ctypes
import functools
import sys

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


def cuda_devices() -> int:
    """Count the GPUs, without loading any library of CUDA.

    Returns:
        0 where there is no driver. Asked first, because ONNX Runtime prints its own errors when a GPU
        provider is tried in vain.
    """
    driver, count = _driver(), ctypes.c_int(0)
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def compute_capability() -> str | None:
    """Name what code the first GPU runs.

    Returns:
        For instance ``sm86``; None where there is no GPU.
    """
    driver, number = _driver(), ctypes.c_int(0)
    name = "sm"
    for attribute in (_MAJOR, _MINOR):
        if driver is None or driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, 0) != 0:
            return None
        name += str(number.value)
    return name


@functools.cache
def kernels_compile() -> bool:
    """Tell whether numba finds a driver and NVIDIA's compiler library (NVVM), which kernels on a GPU need."""
    from numba import cuda  # noqa: PLC0415 (slow to import)

    return bool(cuda.is_available())


class _Memory(ctypes.Structure):
    """nvmlMemory_t of nvml.h."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


def memory_used() -> int | None:
    """Ask how much of the first GPU's memory is taken, by whichever process.

    Returns:
        Bytes; None where the driver's management library is absent or does not say.
    """
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return None
    device, memory = ctypes.c_void_p(), _Memory()
    asked = (
        library.nvmlInit_v2() == 0
        and library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0
        and library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == 0
    )
    return int(memory.used) if asked else None


def _driver() -> ctypes.CDLL | None:
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    return driver if driver.cuInit(0) == 0 else None
