"""What this machine has. It is asked here and nowhere else, so that it can be hidden.

``SPINEPS_RT_HIDE=bfloat16,gpu`` lets a process believe that these are absent. Tests show with it what happens
on a smaller machine; a user can find out which part of a machine makes a difference.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from spineps_rt.errors import EngineError

HIDE = "SPINEPS_RT_HIDE"
"""Environment variable that lists, with commas, the features to hide."""
LIBRARIES = ("openvino", "onnxruntime", "tensorrt", "tensorrt-rtx")
FEATURES = ("bfloat16", "cores", "gpu", "terminal", *LIBRARIES)
"""What can be hidden: bfloat16 on the CPU, every core but one, GPUs, the terminal's width, libraries."""


def has(feature: str) -> bool:
    """Tell whether a feature may be looked for; it is read anew at each call.

    Args:
        feature: One of :data:`FEATURES`.

    Raises:
        EngineError: ``SPINEPS_RT_HIDE`` names something else.
    """
    hidden = {name.strip() for name in os.environ.get(HIDE, "").split(",")} - {""}
    if unknown := sorted(hidden.difference(FEATURES)):
        raise EngineError(
            f"{HIDE} hides {', '.join(unknown)}, which is unknown; expected some of {', '.join(FEATURES)}."
        )
    return feature not in hidden


def require_library(name: str) -> None:
    """Refuse to import a library that is hidden.

    Args:
        name: One of :data:`LIBRARIES`.

    Raises:
        ImportError: It is hidden.
    """
    if not has(name):
        raise ImportError(f"{name} is hidden by {HIDE}")


def cores() -> int:
    """Count the cores that this process may use."""
    if not has("cores"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def computes_bfloat16(core: Any) -> bool:
    """Tell whether OpenVINO computes in bfloat16 on this processor, which takes AVX-512 or newer.

    Args:
        core: An ``openvino.Core``.
    """
    return has("bfloat16") and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def cuda_driver() -> ctypes.CDLL | None:
    """Load NVIDIA's driver.

    Returns:
        The initialised driver; None where there is none.
    """
    if not has("gpu"):
        return None
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    return driver if driver.cuInit(0) == 0 else None


def user_id() -> int | None:
    """Number of the user that this process acts for; None on Windows, which has none."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def user_folder(find: Callable[..., Path]) -> Path | None:
    """Name this package's folder among those that a system keeps for a user.

    Args:
        find: One of platformdirs' functions, for instance ``user_cache_path``.

    Returns:
        An absolute path, which need not exist; None where the user has no home folder.
    """
    try:
        folder = find("spineps-rt", appauthor=False)
    except RuntimeError:  # what newer versions of platformdirs raise; older ones answer "~/..."
        return None
    return folder if folder.is_absolute() else None


def terminal_columns() -> int:
    """Characters in a line of the terminal, 80 where nothing says so."""
    return shutil.get_terminal_size().columns if has("terminal") else 80


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(timezone.utc)
