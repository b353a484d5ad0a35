"""TensorRT and TensorRT-RTX: the same Python interface under two names."""

from __future__ import annotations

import functools
import importlib
from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from spineps_rt.backends.base import UnavailableError
from spineps_rt.errors import EngineError
from spineps_rt.machine import require_library

LIBRARIES = {"tensorrt-rtx": ("tensorrt_rtx", "rtx13"), "tensorrt": ("tensorrt", "gpu13")}
"""Device -> module, and the extra of this package for CUDA 13; that for CUDA 12 ends in 12."""
_KEPT = 50_000
"""Messages kept; a build says some ten thousand, which nobody may ask for."""


@dataclass(frozen=True)
class Library:
    """One of the two, loaded."""

    name: str
    module: ModuleType
    logger: Any
    """The one logger of the process; TensorRT takes no second."""

    @property
    def version(self) -> str:
        """As the library spells it."""
        return str(self.module.__version__)

    def drain_messages(self) -> list[str]:
        """Take what the library has said since this was last asked, one message an item."""
        taken = [text for _, text in self.logger.messages]
        self.logger.messages.clear()
        return taken

    def error_text(self) -> str:
        """Take what the library has said; only its errors, one after the other."""
        errors = [text for severity, text in self.logger.messages if "ERROR" in severity]
        self.logger.messages.clear()
        return " ".join(errors) or "it gives no reason"


def load_library(name: str) -> Library:
    """Import a library, once in a process.

    Args:
        name: One of :data:`LIBRARIES`.

    Returns:
        The library.

    Raises:
        EngineError: There is no such library.
        UnavailableError: It is not installed, or does not load.
    """
    if name not in LIBRARIES:
        raise EngineError(f"There is no engine {name!r} to build; choose one of {', '.join(LIBRARIES)}.")
    try:
        require_library(name)
        return _load(name)
    except (ImportError, OSError) as error:
        extra = LIBRARIES[name][1]
        raise UnavailableError(
            f"{name} cannot be imported ({error}): pip install 'spineps-rt[{extra}]', or "
            f"[{extra[:-1]}2] with a driver of CUDA 12."
        ) from error


@functools.cache
def _load(name: str) -> Library:
    module = importlib.import_module(LIBRARIES[name][0])
    return Library(name, module, _logger(module))


def _logger(module: ModuleType) -> Any:
    """Collect what the library says instead of printing it."""

    class Logger(module.ILogger):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.messages: deque[tuple[str, str]] = deque(maxlen=_KEPT)

        def log(self, severity: Any, text: str) -> None:
            self.messages.append((severity.name, text))

    return Logger()
