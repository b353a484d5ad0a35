"""Time and memory of the stages, and their progress."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Progress = Callable[[str, float], None]
"""Called with a stage's name and the fraction of it that is done; 0 begins it, 1 ends it."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageTime:
    """One stage of a run."""

    stage: str
    """Name of the stage."""
    seconds: float
    """Wall time."""
    peak_bytes: int
    """Largest resident memory of the process until the stage's end."""


class Clock:
    """Times the stages and passes their progress on."""

    def __init__(self, progress: Progress | None) -> None:
        self.stages: list[StageTime] = []
        self._progress = progress or (lambda _stage, _fraction: None)
        self._current = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside; a stage that fails leaves no time."""
        self._current = name
        self._progress(name, 0.0)
        start = perf_counter()
        yield
        release_free_memory()
        self.stages.append(StageTime(name, perf_counter() - start, peak_bytes()))
        _LOG.debug("%s: %.2f s, peak memory %.0f MB", name, self.stages[-1].seconds, peak_bytes() / 2**20)
        self._progress(name, 1.0)

    def fraction(self, done: int, total: int) -> None:
        """Report the running stage's progress."""
        if done < total:  # the stage's end is reported when it has ended
            self._progress(self._current, max(done / total, 1e-3))


@cache
def _trim() -> Callable[[int], int] | None:
    """The C library's ``malloc_trim``, if it is glibc."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def release_free_memory() -> None:
    """Give freed memory back to the system: glibc keeps arrays below 32 MB, which add up over the stages."""
    trim = _trim()
    if trim is not None:
        trim(0)


def process_seconds() -> float | None:
    """Seconds since this process was started; None where the system is not Linux."""
    try:
        words = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    started = int(words[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc(5); the first two are cut off
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def peak_bytes() -> int:
    """Largest resident memory of this process so far; 0 where the system does not tell (Windows)."""
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
