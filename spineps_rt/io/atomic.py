"""Files and folders that appear whole or not at all: written under a hidden name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from spineps_rt.errors import ContractError, OutputError, OutputExistsError
from spineps_rt.io.journal import Journal, claim, discard, journal_path, recover, remove_litter, same
from spineps_rt.io.locks import exclusive, key_of, temporary_name, uninterrupted


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all: beside, fsync, rename.

    Args:
        path: Where to; its folder must exist. A file there is replaced.
        data: The content.

    Raises:
        OutputError: It cannot be written; what was there before still is.
    """
    write_together([(path, data)])


def write_together(
    items: Sequence[tuple[Path, bytes]],
    *,
    overwrite: bool = True,
    allowed: Callable[[], object] | None = None,
) -> None:
    """Write several files so that all appear or none: every one is on the disk before the first is renamed.

    One process at a time writes a set of files, known by the name of the first. An error or an interrupt
    between the renames takes back those already done; if the process is killed there, the next one that
    writes in the folder does the rest.

    Args:
        items: (path, content); all in one folder, which must exist.
        overwrite: Files there are replaced; otherwise none is, even if it appeared just now.
        allowed: Called when no other process can write the set any more; what it raises stops the writing.

    Raises:
        OutputExistsError: One is there and ``overwrite`` is false; then none was written.
        OutputError: One cannot be written; then none was, and what was there before still is.
        ContractError: A path comes twice, or another folder.
    """
    if not items:
        return
    paths = [path for path, _ in items]
    if len(set(paths)) < len(paths) or len({path.parent for path in paths}) != 1:
        raise ContractError(
            f"Each output needs a path of its own, and all one folder; got {', '.join(map(str, paths))}. "
            "Name them apart."
        )
    for path in paths:
        with output_errors(path):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    with _staged(paths, overwrite=overwrite, allowed=allowed) as places:
        for place, (path, data) in zip(places, items):
            with output_errors(path):
                write_new(place, data)


@contextlib.contextmanager
def new_folder(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Fill a folder under a hidden name beside its path; it gets its own when the context ends well.

    Args:
        path: Where to; folders above it are made.
        overwrite: What is there is replaced, at the end and at once; otherwise it stays.

    Yields:
        The folder to be filled by :func:`write_new`.

    Raises:
        OutputExistsError: Something is there and ``overwrite`` is false.
        OutputError: It cannot be written; what was there before still is.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _staged([path], overwrite=overwrite) as (place,):
            place.mkdir()
            yield place


def remove_folder(path: Path) -> None:
    """Take a folder away, its name before its files, so that no half of it is left under its name.

    Raises:
        OutputError: It cannot be moved; then it is as it was.
    """
    key = key_of(path)
    former = path.with_name(temporary_name(key))
    with output_errors(path), exclusive(path.parent, key):
        path.replace(former)
        discard(former)


def settle(path: Path, *, finish: bool) -> None:
    """Finish or take back what dead writers left in a folder, and remove their hidden files.

    Args:
        path: The first file of the set that is to be written next; its folder must exist.
        finish: As :func:`spineps_rt.io.journal.recover` takes it, for that set.

    Raises:
        OutputError: The folder cannot be written, or another run is writing the set.
    """
    key = key_of(path)
    with output_errors(path.parent), exclusive(path.parent, key) as alone:
        if alone:
            recover(path.parent, key, finish=finish)
    remove_litter(path.parent)


def prepare_folder(folder: Path) -> None:
    """Create a folder for results and prove that it can be written, before time is spent on them.

    Raises:
        OutputError: It cannot be created or written.
    """
    key = secrets.token_hex(6)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder, key):
            probe = folder / temporary_name(key)
            try:
                write_new(probe, b"\0")
            finally:
                discard(probe)


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
def _staged(
    paths: Sequence[Path], *, overwrite: bool, allowed: Callable[[], object] | None = None
) -> Iterator[list[Path]]:
    """Give each path a hidden name beside it; what is there when the context ends well gets the path."""
    folder, key = paths[0].parent, key_of(paths[0])
    with output_errors(folder), exclusive(folder, key) as alone:
        if alone:
            recover(folder, key, finish=overwrite)
        moves = [_Move(path, path.with_name(temporary_name(key)), overwrite=overwrite) for path in paths]
        for path in () if overwrite else paths:
            if os.path.lexists(path):
                raise _exists(path)
        if allowed is not None:
            allowed()
        try:
            yield [move.staged for move in moves]
            _publish(moves, journal_path(folder, key))
        finally:
            if not os.path.lexists(journal_path(folder, key)):
                for move in moves:
                    discard(move.staged)
                    discard(move.former)
    remove_litter(folder)


def _publish(moves: Sequence[_Move], journal: Path) -> None:
    """Rename all or none; whoever finds the journal of a dead writer does the rest."""
    noted = Journal([(move.staged, move.path) for move in moves], overwrite=moves[0].overwrite)
    with uninterrupted():
        try:
            if len(moves) > 1 or moves[0].staged.is_dir():
                with output_errors(moves[0].path):
                    _write_journal(journal, noted)
            for move in moves:
                with output_errors(move.path):
                    move.publish()
        except BaseException:
            for move in reversed(moves):
                move.undo()
            discard(journal)
            raise
        _sync_folder(journal.parent)
        discard(journal)


def _write_journal(path: Path, journal: Journal) -> None:
    staged = journal.moves[0][0].with_suffix(".old")  # nobody has stepped aside yet
    try:
        write_new(staged, journal.encode())
        _sync_folder(path.parent)
        os.rename(staged, path)  # noqa: PTH104 (the moves alone are Path.replace)
        _sync_folder(path.parent)
    finally:
        discard(staged)


class _Move:
    """A file or folder on its way from a hidden name to its path, and the way back."""

    def __init__(self, path: Path, staged: Path, *, overwrite: bool) -> None:
        self.path, self.staged, self.overwrite = path, staged, overwrite
        self.former = staged.with_suffix(".old")
        self.begun = False

    def publish(self) -> None:
        """Put what is there aside and the new in its place."""
        self.begun = True
        if not self.overwrite:
            try:
                claim(self.staged, self.path)
            except FileExistsError:
                self.begun = False
                raise _exists(self.path) from None
            return
        if os.path.lexists(self.path):
            self.path.replace(self.former)
        self.staged.replace(self.path)

    def undo(self) -> None:
        """Bring back what was there, wherever the way was left."""
        if self.begun and same(self.staged, self.path):
            self.path.unlink()
        elif self.begun and not os.path.lexists(self.staged):
            self.path.replace(self.staged)
        if os.path.lexists(self.former):
            self.former.replace(self.path)


def _exists(path: Path) -> OutputExistsError:
    return OutputExistsError(f"{path.parent} already holds {path.name}; pass --overwrite to replace.")


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, and wait until it is on the disk.

    Raises:
        OSError: It is there, or cannot be written.
    """
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
