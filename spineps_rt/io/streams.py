"""Bytes in and out of files: gzip verified to its end, results that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from spineps_rt.errors import (
    ContractError,
    CorruptFileError,
    MissingFileError,
    OutputError,
    TruncatedFileError,
)

GZIP_MAGIC = b"\x1f\x8b"

DEFLATE_LIMIT = 1032
"""Deflate cannot pack more than this many bytes into one: a file smaller than that was cut off."""

FORMATS: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "a DICOM file; convert the series with dcm2niix"),
    (0, b"\x00\x00\x00\x01", "a FreeSurfer .mgh/.mgz image; convert it with mri_convert"),
    (0, b"NRRD", "an NRRD image; convert it to NIfTI"),
    (0, b"ObjectType", "a MetaImage; convert it to NIfTI"),
    (0, b"\x89HDF", "an HDF5 or MINC file; convert it to NIfTI"),
    (0, b"\x89PNG", "a PNG picture; the scan itself is needed"),
    (0, b"PK", "a zip archive; unpack it first"),
    (0, b"BZh", "a bzip2 archive; unpack it first"),
    (0, GZIP_MAGIC, "compressed twice; run gunzip on it once"),
    (257, b"ustar", "a tar archive; unpack it first"),
    (0, b"version https://git-lfs", "a git-lfs pointer; run git lfs pull"),
)
"""What is no NIfTI: offset, bytes that lie there, and what it is."""

_GZIP_BITS = zlib.MAX_WBITS | 16
_CHUNK = 1 << 14  # at the deflate limit one chunk unpacks to 16 MiB, which bounds the memory of a bomb


def open_input(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        MissingFileError: It does not exist, is a folder or a device, or may not be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise MissingFileError(
                f"{path} is a folder; expected a NIfTI file (DICOM: convert with dcm2niix)"
            )
        if not stat.S_ISREG(mode):
            raise MissingFileError(f"{path} is not a regular file; expected a NIfTI file")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"{path} does not exist; check the name and the folder") from None
    except OSError as error:
        raise MissingFileError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def unpacked(handle: BinaryIO, *, name: str) -> Iterator[bytes]:
    """Yield a file's content piece by piece, unpacked if its first bytes say gzip.

    Whoever takes the last piece has the stream's CRC-32 and length verified for every gzip member (nibabel
    stops before them and so does not notice a flipped bit).

    Args:
        handle: Open at its beginning.
        name: How messages call the file.

    Yields:
        Non-empty pieces.

    Raises:
        TruncatedFileError: The gzip stream ends early.
        CorruptFileError: The stream is damaged, or something else follows it.
    """
    try:
        chunk = handle.read(_CHUNK)
        if chunk.startswith(GZIP_MAGIC):
            yield from _members(handle, chunk, name)
            return
        while chunk:
            yield chunk
            chunk = handle.read(_CHUNK)
    except OSError as error:
        raise CorruptFileError(f"{name} cannot be read ({error.strerror}); copy it again") from error


def _members(handle: BinaryIO, chunk: bytes, name: str) -> Iterator[bytes]:
    inside = False
    unpacker = zlib.decompressobj(wbits=_GZIP_BITS)
    while chunk or (chunk := handle.read(_CHUNK)):
        if not inside:
            chunk = chunk.lstrip(b"\0")  # zeros may pad a stream's end; what else follows is a new member
            if not chunk:
                continue
            unpacker = zlib.decompressobj(wbits=_GZIP_BITS)
        try:
            piece = unpacker.decompress(chunk)
        except zlib.error as error:
            raise CorruptFileError(
                f"{name} is damaged: its gzip stream fails its checks ({error}). Copy or export it again"
            ) from error
        if piece:
            yield piece
        inside, chunk = not unpacker.eof, unpacker.unused_data
    if inside:
        raise TruncatedFileError(f"{name} ends in the middle of its gzip stream; copy or export it again")


def packed(pieces: Iterable[bytes]) -> bytes:
    """Gzip at the fastest level and without a time stamp: the same content gives the same bytes.

    Args:
        pieces: The content, in order.

    Returns:
        One gzip member.
    """
    packer = zlib.compressobj(level=1, wbits=_GZIP_BITS)
    return b"".join([*map(packer.compress, pieces), packer.flush()])


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
        _remove(probe)


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
    if len({path for path, _ in items}) < len(items):
        raise ContractError(f"each output needs a path of its own; got {[str(path) for path, _ in items]}")
    moves = [_Move(path.with_name(temporary_name()), path) for path, _ in items]
    current = Path()
    try:
        for move, (current, data) in zip(moves, items):
            if current.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            _write_new(move.staged, data)
        for move in moves:
            current = move.path
            move.publish()
        for folder in {move.path.parent for move in moves}:
            sync_folder(folder)
    except BaseException as error:
        for move in reversed(moves):
            move.undo()
        if isinstance(error, OSError):
            raise OutputError(_sentence(current, error)) from error
        raise
    finally:
        for move in moves:
            _remove(move.staged)
    for move in moves:
        _remove(move.former)


class _Move:
    """One staged file on its way to its path, and the way back."""

    def __init__(self, staged: Path, path: Path) -> None:
        self.staged, self.path = staged, path
        self.former = staged.with_suffix(".old")
        self.begun = self.replaces = False

    def publish(self) -> None:
        self.replaces, self.begun = os.path.lexists(self.path), True
        if self.replaces:
            self.path.replace(self.former)
        self.staged.replace(self.path)

    def undo(self) -> None:
        if self.replaces and os.path.lexists(self.former):
            self.former.replace(self.path)
        elif self.begun and not self.replaces and not os.path.lexists(self.staged):
            _remove(self.path)


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


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    with contextlib.suppress(OSError):  # some network file systems refuse to sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


_REASONS = {
    errno.EACCES: "may not be written; check its permissions or choose another folder",
    errno.EPERM: "may not be written; check its permissions or choose another folder",
    errno.EROFS: "lies on a read-only disk; choose another folder",
    errno.ENOSPC: "does not fit: the disk is full; free some space or choose another folder",
    errno.EDQUOT: "does not fit: the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "does not fit: it exceeds the file size limit; raise the limit or choose another folder",
    errno.ENOENT: "cannot be created: its folder does not exist; create it first",
    errno.ENOTDIR: "cannot be created: part of its path is a file, not a folder; choose another folder",
    errno.EEXIST: "cannot be a folder: a file of this name is there; choose another folder",
    errno.EISDIR: "cannot be written: a folder of this name is there; choose another name",
}


def _sentence(path: Path, error: OSError) -> str:
    otherwise = f"cannot be written ({error.strerror}); choose another folder"
    return f"{path} {_REASONS.get(error.errno or 0, otherwise)}"
