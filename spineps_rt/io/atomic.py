"""Files and folders that appear whole or not at all: written under a hidden name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from spineps_rt.errors import ContractError, OutputError


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all: beside, fsync, rename.

    Args:
        path: Where to; its folder must exist. A file there is replaced.
        data: The content.

    Raises:
        OutputError: It cannot be written; what was there before still is.
    """
    write_together([(path, data)])


def write_together(items: Sequence[tuple[Path, bytes]]) -> None:
    """Write several files so that all appear or none: every one is on the disk before the first is renamed.

    An error or an interrupt between the renames takes back those already done.

    Args:
        items: (path, content); folders must exist, files there are replaced.

    Raises:
        OutputError: One cannot be written; then none was, and what was there before still is.
        ContractError: A path comes twice.
    """
    paths = [path for path, _ in items]
    if len(set(paths)) < len(paths):
        raise ContractError(
            f"Each output needs a path of its own; got {', '.join(map(str, paths))}. Name them apart."
        )
    with _staged(paths) as places:
        for place, (path, data) in zip(places, items):
            with output_errors(path):
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                _write_new(place, data)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a hidden name beside its path; it gets its own when the context ends well.

    Args:
        path: Where to; folders above it are made. What is there is replaced, at the end and at once.

    Yields:
        The folder to be filled, with files that are on the disk when they are written.

    Raises:
        OutputError: It cannot be written; what was there before still is.
    """
    with output_errors(path), _staged([path]) as (place,):
        place.mkdir(parents=True)
        yield place


def remove_folder(path: Path) -> None:
    """Take a folder away, its name before its files, so that no half of it is left under its name.

    Raises:
        OutputError: It cannot be moved; then it is as it was.
    """
    former = path.with_name(temporary_name())
    with output_errors(path):
        path.replace(former)
    _discard(former)


def prepare_folder(folder: Path) -> None:
    """Create a folder for results and prove that it can be written, before time is spent on them.

    Raises:
        OutputError: It cannot be created or written.
    """
    probe = folder / temporary_name()
    try:
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _write_new(probe, b"\0")
    finally:
        _discard(probe)


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Say in a sentence why something cannot be written.

    Raises:
        OutputError: Instead of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(_sentence(path, error)) from error


@contextlib.contextmanager
def _staged(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Give each path a hidden name beside it; what is there when the context ends well gets the path."""
    moves = [_Move(path) for path in paths]
    try:
        yield [move.staged for move in moves]
        for move in moves:
            with output_errors(move.path):
                move.publish()
        for folder in {path.parent for path in paths}:
            _sync_folder(folder)
    except BaseException:
        for move in reversed(moves):
            move.undo()
        raise
    finally:
        for move in moves:
            _discard(move.staged)
    for move in moves:
        _discard(move.former)


class _Move:
    """A file or folder on its way from a hidden name to its path, and the way back."""

    def __init__(self, path: Path) -> None:
        self.path, self.staged = path, path.with_name(temporary_name())
        self.former = self.staged.with_suffix(".old")
        self.begun = False

    def publish(self) -> None:
        """Put what is there aside and the new in its place."""
        self.begun = True
        if os.path.lexists(self.path):
            self.path.replace(self.former)
        self.staged.replace(self.path)

    def undo(self) -> None:
        """Bring back what was there, wherever the way was left."""
        if self.begun and not os.path.lexists(self.staged):
            self.path.replace(self.staged)
        if os.path.lexists(self.former):
            self.former.replace(self.path)


def temporary_name() -> str:
    """Make up a hidden name for what is not whole yet."""
    return f".spineps-rt-{secrets.token_hex(6)}.part"


def _write_new(path: Path, data: bytes) -> None:
    # not tempfile: its files are private to the user, results follow the umask
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    with contextlib.suppress(OSError):  # some network file systems refuse to sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


_REASONS = {
    errno.EACCES: "may not be written; check its permissions or choose another folder.",
    errno.EPERM: "may not be written; check its permissions or choose another folder.",
    errno.EROFS: "lies on a read-only disk; choose another folder.",
    errno.ENOSPC: "does not fit: the disk is full; free some space or choose another folder.",
    errno.EDQUOT: "does not fit: the disk quota is used up; free some space or choose another folder.",
    errno.EFBIG: "does not fit: it exceeds the file size limit; raise the limit or choose another folder.",
    errno.ENOENT: "cannot be created: its folder does not exist; create it first.",
    errno.ENOTDIR: "cannot be created: part of its path is a file, not a folder; choose another folder.",
    errno.EEXIST: "cannot be a folder: a file of this name is there; choose another folder.",
    errno.EISDIR: "cannot be written: a folder of this name is there; choose another name.",
}


def _sentence(path: Path, error: OSError) -> str:
    otherwise = f"cannot be written ({error.strerror}); choose another folder."
    return f"{path} {_REASONS.get(error.errno or 0, otherwise)}"
