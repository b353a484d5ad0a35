"""Progress: one moving bar on a terminal, plain lines in a log, nothing when quiet."""

from __future__ import annotations

import logging
import shutil
import sys
from time import perf_counter
from typing import TextIO

# Rough shares of a run's time, so that the bar moves evenly.
_SHARES = {
    "read": 2,
    "preprocess": 4,
    "semantic": 62,
    "clean": 4,
    "instance": 14,
    "resample": 3,
    "reconcile": 5,
    "points": 2,
    "write": 4,
}
_BAR = 24


class Progress:
    """Shows how far a scan is; call it with a stage's name and the fraction of the stage that is done."""

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        """Choose the way of showing.

        Args:
            quiet: Show nothing.
            stream: Where to show; standard error unless given.
        """
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._terminal = not quiet and self._stream.isatty()
        self._blocks = "█░" if "utf" in (getattr(self._stream, "encoding", "") or "").lower() else "#."
        self._title = ""
        self._started = 0.0
        self._drawn = ""

    def scan(self, name: str, number: int, total: int) -> None:
        """Begin a scan."""
        self._title = name if total == 1 else f"[{number}/{total}] {name}"
        self.line(f"{self._title}: started", only_log=True)

    def __call__(self, stage: str, fraction: float) -> None:
        """Report that ``fraction`` of ``stage`` is done; 0 begins it, 1 ends it."""
        if fraction <= 0:
            self._started = perf_counter()
        if self._terminal:
            self._draw(stage, fraction)
        elif fraction >= 1:
            self.line(f"{self._title}: {stage} {perf_counter() - self._started:.1f} s", only_log=True)

    def line(self, text: str, *, only_log: bool = False) -> None:
        """Print a line of its own, above the bar."""
        if self._quiet or (only_log and self._terminal):
            return
        self.clear()
        print(text, file=self._stream, flush=True)

    def clear(self) -> None:
        """Take the bar away."""
        if self._drawn:
            print("\r" + " " * len(self._drawn) + "\r", end="", file=self._stream, flush=True)
            self._drawn = ""

    def show_logs(self, *, verbose: bool) -> None:
        """Print the package's log records above the bar: warnings, and with ``verbose`` everything."""
        logger = logging.getLogger("spineps_rt")
        logger.handlers, logger.propagate = [_LineHandler(self)], False
        logger.setLevel(logging.DEBUG if verbose else logging.WARNING)

    def _draw(self, stage: str, fraction: float) -> None:
        stages = list(_SHARES)
        before = sum(_SHARES[s] for s in stages[: stages.index(stage)]) if stage in _SHARES else 0
        done = (before + _SHARES.get(stage, 0) * min(fraction, 1)) / sum(_SHARES.values())
        full, empty = self._blocks[0], self._blocks[1]
        filled = round(done * _BAR)
        text = f"{self._title} {full * filled}{empty * (_BAR - filled)} {done:4.0%} {stage}"
        text = text[-(shutil.get_terminal_size().columns - 1) :]
        if text != self._drawn:
            padding = " " * max(len(self._drawn) - len(text), 0)
            print("\r" + text + padding, end="", file=self._stream, flush=True)
            self._drawn = text


class _LineHandler(logging.Handler):
    """Hands log records to a Progress."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.line(self.format(record))
