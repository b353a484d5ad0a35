"""Progress: one moving bar on a terminal, plain lines in a log, nothing when quiet."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from threading import RLock
from time import perf_counter
from typing import TextIO

from spineps_rt.machine import terminal_columns

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


class ProgressDisplay:
    """Shows how far scans are; :meth:`scan` gives what each of them reports to, from any thread."""

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
        self._lock = RLock()
        self._shown = ""
        self._drawn = ""

    def scan(self, name: str, number: int, total: int) -> Callable[[str, float], None]:
        """Begin a scan.

        Returns:
            What its stages are reported to: a stage's name and the fraction of it that is done; 0 begins it,
            1 ends it.
        """
        title = name if total == 1 else f"[{number}/{total}] {name}"
        started = 0.0

        def report(stage: str, fraction: float) -> None:
            nonlocal started
            if fraction <= 0:
                started = perf_counter()
            if self._terminal:
                self._draw(title, stage, fraction)
            elif fraction >= 1:
                self.line(f"{title}: {stage} {perf_counter() - started:.1f} s", only_log=True)

        self.line(f"{title}: started", only_log=True)
        return report

    def line(self, text: str, *, only_log: bool = False) -> None:
        """Print a line of its own, above the bar."""
        if not (only_log and self._terminal):
            self._print(text, self._stream)

    def result(self, text: str) -> None:
        """Print what came of a scan on standard output."""
        self._print(text, sys.stdout)

    def _print(self, text: str, stream: TextIO) -> None:
        if not self._quiet:
            with self._lock:
                self.clear()
                print(text, file=stream, flush=True)

    def clear(self) -> None:
        """Take the bar away."""
        with self._lock:
            if self._drawn:
                print("\r" + " " * len(self._drawn) + "\r", end="", file=self._stream, flush=True)
                self._drawn = ""

    def show_logs(self, *, verbose: bool) -> None:
        """Print the package's log records above the bar: warnings, and with ``verbose`` everything."""
        logger = logging.getLogger("spineps_rt")
        logger.handlers, logger.propagate = [_LineHandler(self)], False
        logger.setLevel(logging.DEBUG if verbose else logging.WARNING)

    def _draw(self, title: str, stage: str, fraction: float) -> None:
        """Move the bar, which is that of the scan in the networks where several are on their way."""
        with self._lock:
            if not self._shown or stage == "semantic":
                self._shown = title
            if title != self._shown:
                return
            stages = list(_SHARES)
            before = sum(_SHARES[s] for s in stages[: stages.index(stage)]) if stage in _SHARES else 0
            done = (before + _SHARES.get(stage, 0) * min(fraction, 1)) / sum(_SHARES.values())
            full, empty = self._blocks[0], self._blocks[1]
            filled = round(done * _BAR)
            text = f"{title} {full * filled}{empty * (_BAR - filled)} {done:4.0%} {stage}"
            text = text[-(terminal_columns() - 1) :]
            if text != self._drawn:
                padding = " " * max(len(self._drawn) - len(text), 0)
                print("\r" + text + padding, end="", file=self._stream, flush=True)
                self._drawn = text


class _LineHandler(logging.Handler):
    """Hands log records to a ProgressDisplay."""

    def __init__(self, progress: ProgressDisplay) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.line(self.format(record))
