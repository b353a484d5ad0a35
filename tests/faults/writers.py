"""Writers for accidents: processes that wait, then write a result set and suffer what they are told."""

from __future__ import annotations

import errno
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from spineps_rt.cli.process import listen, stop_listening
from spineps_rt.errors import SpinepsError
from spineps_rt.io.naming import OutputPaths
from spineps_rt.report import write

READY, GO = b"r", b"g"
CALLS = ("rename", "replace", "link", "unlink", "open", "fsync")
"""What changes names and content: whatever is written, is written by these."""


class Child:
    """A process that is forked from this one, which has loaded and segmented already."""

    def __init__(self, work: Callable[[], None]) -> None:
        """Fork; the child does its work when :meth:`go` says so."""
        (self._ready, ready), (go, self._go) = os.pipe(), os.pipe()
        self._out, out = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in (self._ready, self._go, self._out):
                os.close(descriptor)
            os.dup2(out, 1)
            os.dup2(out, 2)
            _live(work, ready, go)
        for descriptor in (ready, go, out):
            os.close(descriptor)
        os.read(self._ready, 1)

    def go(self) -> None:
        """Let it begin."""
        os.write(self._go, GO)

    def kill(self, number: int) -> None:
        """Send a signal, if it still lives."""
        os.kill(self.pid, number)  # not waited for yet, so the number is nobody else's

    def wait(self, seconds: float = 60.0) -> tuple[int | None, str]:
        """Wait for its end.

        Returns:
            Exit code, or minus the signal; None where it hung and had to be killed. And what it printed.
        """
        until, code = time.monotonic() + seconds, None
        while code is None and time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if pid else None
            time.sleep(0.0005)
        if code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        text = b""
        while piece := os.read(self._out, 1 << 16):
            text += piece
        for descriptor in (self._ready, self._go, self._out):
            os.close(descriptor)
        return code, text.decode(errors="replace")


def _live(work: Callable[[], None], ready: int, go: int) -> None:
    """The child's whole life, as the command line lives: never returns."""
    code = 70
    try:
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.default_int_handler)
            os.write(ready, READY)
            os.read(go, 1)
            listen()
            code = _outcome(work)
        finally:
            stop_listening()
    except BaseException:  # noqa: BLE001 (a second signal where the first was handled: the command ends so, too)
        code = 130
    finally:
        os._exit(code)  # never back into what the parent has on its stack


def _outcome(work: Callable[[], None]) -> int:
    try:
        work()
    except SpinepsError as error:
        os.write(2, f"error: {error}\n".encode(errors="replace"))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return int(error.code or 0)
    except Exception as error:  # noqa: BLE001 (counted)
        os.write(2, f"Traceback {error!r}\n".encode(errors="replace"))
        return 1
    return 0


def set_writer(
    files: dict[str, bytes], result: object, paths: OutputPaths, *, overwrite: bool
) -> Callable[[], None]:
    """A work that writes a set of files as the command does, behind its rendering."""
    places = {path.name: path for path in paths.all()}

    def work() -> None:
        write._write_set({places[n]: data for n, data in files.items()}, result, paths, overwrite=overwrite)

    return work


def dying(work: Callable[[], None], nth: int) -> Callable[[], None]:
    """A work that is killed (SIGKILL) before its n-th call that changes a name or content."""
    return _struck(work, lambda count: count == nth, lambda: os.kill(os.getpid(), signal.SIGKILL))


def failing(work: Callable[[], None], nth: int, numbers: tuple[int, ...]) -> Callable[[], None]:
    """A work whose n-th such call fails (EIO), and that gets signals at every call from then on."""
    pending = list(numbers)

    def strike() -> None:
        if pending:
            os.kill(os.getpid(), pending.pop(0))
        if len(pending) == len(numbers) - 1:
            raise OSError(errno.EIO, "Input/output error")

    return _struck(work, lambda count: count >= nth, strike)


def _struck(
    work: Callable[[], None], when: Callable[[int], bool], strike: Callable[[], None]
) -> Callable[[], None]:
    def struck() -> None:
        count = 0
        for name in CALLS:
            true = getattr(os, name)

            def call(*arguments: object, _true: Callable = true, **options: object) -> object:
                nonlocal count
                count += 1
                if when(count):
                    strike()
                return _true(*arguments, **options)

            setattr(os, name, call)
        work()

    return struck


def cramped(work: Callable[[], None], size: int) -> Callable[[], None]:
    """A work on a disk on which no file gets larger than so many bytes."""

    def struck() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        work()

    return struck


def in_a_thread(work: Callable[[], None]) -> Callable[[], None]:
    """A work beside the main thread, as that of a scan among several; signals reach the main thread."""

    def beside() -> None:
        raised: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 (raised again where the main thread waits)
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            thread.join()
        finally:
            stop_listening()
            thread.join()  # as the interpreter does before it ends
        if raised:
            raise raised[0]

    return beside


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that lies in a folder."""
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in _listed(folder)}


def _listed(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir())) if folder.exists() else iter(())
