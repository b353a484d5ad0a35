"""The one ``njit`` of the package: cached on disk, safe to call from threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a kernel with the package's settings.

    Args:
        function: The kernel; None when called with options.
        options: Passed to :func:`numba.njit`, for instance ``parallel=True``.

    Returns:
        The compiled dispatcher, or a decorator when called with options only.
    """
    settings = {"cache": True, "nogil": True, "error_model": "numpy", **options}
    return numba.njit(**settings)(function) if function is not None else numba.njit(**settings)


prange = numba.prange
