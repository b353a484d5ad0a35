"""What a command does about signals, and about streams that nobody reads."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TextIO

from spineps_rt.io.locks import SIGNALS

INTERRUPTED = 130
"""Exit code after ctrl-C, as shells have it (128 + SIGINT); 129 after a hang-up, 143 after SIGTERM."""

UNHEARD = 141
"""Exit code where all went well, but standard output could not be written (128 + SIGPIPE)."""

_LATER = 0.05


def listen() -> None:
    """Let ctrl-C, SIGTERM and SIGHUP end the command in order, unless it was started to ignore them."""
    heard: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        sys.unraisablehook = lambda unheard: _again(unheard, number)
        if number == signal.SIGINT and len(heard) == 1:  # further ones leave no traceback wherever they hit
            signal.default_int_handler(number, frame)
        sys.exit(128 + number)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)


def _again(unheard: sys.UnraisableHookArgs, number: int) -> None:
    """Send a signal once more where its exception was lost; what else is torn down says nothing."""
    if unheard.exc_type in (KeyboardInterrupt, SystemExit):
        with contextlib.suppress(RuntimeError):  # no thread starts any more: this is the end
            timer = threading.Timer(_LATER, os.kill, [os.getpid(), number])  # which wakes the main thread
            timer.daemon = True
            timer.start()


def stop_listening() -> None:
    """Let nothing disturb the end: what other threads have begun to write, they finish."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def steady_streams() -> list[TextIO]:
    """Make standard output and error such that a command can write whatever happens to their readers.

    A closed one is opened on nothing, so that no file that is opened later gets its number; what cannot be
    encoded is shown by its code; what cannot be written is lost.

    Returns:
        The streams that lost something, filled as it happens.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            free = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(free, True)  # noqa: FBT003
    lost: list[TextIO] = []
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):
                stream.flush()
            setattr(sys, name, _steady(stream, descriptor, lost))
    return lost


def _steady(stream: TextIO, descriptor: int, lost: list[TextIO]) -> TextIO:
    steady: TextIO = io.TextIOWrapper(
        io.BufferedWriter(_Forgiving(descriptor, lambda: lost.append(steady))),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=bool(stream.line_buffering),
        write_through=not stream.line_buffering and descriptor == 2,
    )
    return steady


class _Forgiving(io.FileIO):
    """A file that loses what it cannot write."""

    def __init__(self, descriptor: int, lose: Callable[[], object]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._lose = lose

    def write(self, data: Any) -> int:
        """Write, or do as if."""
        try:
            return super().write(data)
        except OSError:
            self._lose()
            return len(data)
