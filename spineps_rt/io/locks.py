"""One writer at a time, by a lock that dies with its owner; the names of what is not whole yet."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from types import FrameType

from spineps_rt.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

PATIENCE = 30.0
"""Seconds that a writer waits for another."""

OWN = re.compile(r"\.spineps-rt-(?P<key>[0-9a-f]{12})(\.lock|\.journal|-[0-9a-f]{12}\.(part|old))")
"""What this package leaves if it is killed: all of one key belongs to the owner of that key's lock."""

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What asks a process to end."""

_PAUSE = 0.01
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def key_of(path: Path) -> str:
    """Give a set of files its key, by the name of the first of them."""
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]


def temporary_name(key: str = "0" * 12) -> str:
    """Make up a hidden name for what is not whole yet."""
    return f".spineps-rt-{key}-{secrets.token_hex(6)}.part"


def leftovers(folder: Path, key: str | None = None) -> dict[str, list[Path]]:
    """Look for what writers have in a folder, dead or alive.

    Returns:
        Key -> its files and folders, those of one key only where one is given.
    """
    found: dict[str, list[Path]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            match = OWN.fullmatch(entry.name)
            if match and key in (None, match["key"]):
                found.setdefault(match["key"], []).append(folder / entry.name)
    return found


@contextlib.contextmanager
def exclusive(folder: Path, key: str, *, patience: float | None = None) -> Iterator[bool]:
    """Keep other processes and threads from writing what has this key.

    The lock is the kernel's (flock), on a file that goes with it; it ends with its owner, however that ends.

    Args:
        folder: Where the files lie; it must exist.
        key: From :func:`key_of`.
        patience: Seconds to wait; :data:`PATIENCE` unless given.

    Yields:
        Whether nobody else can have it; false on a file system that has no such locks.

    Raises:
        OutputError: Somebody else has it.
        OSError: The lock's file cannot be written.
    """
    path, until = (
        folder / f".spineps-rt-{key}.lock",
        monotonic() + (PATIENCE if patience is None else patience),
    )
    while (taken := _take(path)) is None:
        if monotonic() >= until:
            raise OutputError(
                f"Another run is writing these results in {folder}; wait until it is done, or choose another "
                "folder."
            )
        sleep(_PAUSE)
    lock, alone = taken
    try:
        yield alone
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # before it is let go: what is at the path is ours until then
        os.close(lock)


def _take(path: Path) -> tuple[int, bool] | None:
    """Descriptor of the file, and whether it could be locked; None where another has locked it."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o666)
    except PermissionError as error:
        try:
            lock = os.open(path, os.O_RDONLY | _NO_FOLLOW)  # another user's
        except OSError:
            raise error from None
    if fcntl is None:
        return lock, False
    mine, alone = False, True
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                mine, alone = True, False
            elif error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        else:
            with contextlib.suppress(FileNotFoundError):  # its last owner took it away
                mine = os.path.samestat(os.fstat(lock), os.stat(path, follow_symlinks=False))  # noqa: PTH116
    finally:
        if not mine:
            os.close(lock)
    return (lock, alone) if mine else None


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let renames and their undoing happen as one: signals that ask for the end are heard behind them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's, and the interpreter ends only behind the others
        return
    heard: list[int] = []
    former = {number: signal.getsignal(number) for number in SIGNALS}
    busy = True

    def hear(number: int, frame: FrameType | None) -> None:
        handler = former[number]
        if busy:
            heard.append(number)
        elif callable(handler):
            handler(number, frame)

    listening = [number for number, handler in former.items() if handler not in (signal.SIG_IGN, None)]
    for number in listening:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number in listening:
            signal.signal(number, former[number])
        busy = False
        for number in heard:
            signal.raise_signal(number)
