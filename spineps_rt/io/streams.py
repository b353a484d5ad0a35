"""Bytes out of files: regular ones only, gzip verified to its end, SHA-256 of what was read."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from spineps_rt.errors import CorruptFileError, MissingFileError, TruncatedFileError

GZIP_MAGIC = b"\x1f\x8b"

DEFLATE_LIMIT = 1032
"""Deflate cannot pack more than this many bytes into one: a file smaller than that was cut off."""

_PIECE = 1 << 17
"""Bytes of a piece, packed or not: so much memory a file takes that unpacks to a thousand times its size."""


def open_input(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        MissingFileError: It does not exist, is a folder or a device, or may not be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise MissingFileError(
                f"{path} is a folder; expected a NIfTI file (DICOM: convert with dcm2niix)."
            )
        if not stat.S_ISREG(mode):
            raise MissingFileError(f"{path} is not a regular file; expected a NIfTI file.")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"{path} does not exist; check the name and the folder.") from None
    except OSError as error:
        raise MissingFileError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    except ValueError as error:
        raise MissingFileError(f"{path!r} is no file's name ({error}); check it.") from error


def unpacked(
    handle: BinaryIO, *, name: str, watch: Callable[[bytes], object] | None = None
) -> Iterator[bytes]:
    """Yield a file's content piece by piece, unpacked if its first bytes say gzip.

    Whoever takes the last piece has the CRC-32 and the length of every gzip member verified (nibabel stops
    before them and so does not notice a flipped bit), and has had every byte of the file shown to ``watch``.

    Args:
        handle: Open at its beginning; it can be rewound.
        name: How messages call the file.
        watch: Called with the file's bytes as they lie on the disk, for instance a hash's ``update``.

    Yields:
        Non-empty pieces.

    Raises:
        TruncatedFileError: The gzip stream ends early.
        CorruptFileError: The stream is damaged, or something else follows it.
    """
    try:
        packed_file = handle.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        handle.seek(0)
        source = handle if watch is None else cast(BinaryIO, _Watched(handle, watch))
        stream = gzip.GzipFile(fileobj=source, mode="rb") if packed_file else source
        while piece := stream.read(_PIECE):
            yield piece
    except EOFError:
        raise TruncatedFileError(
            f"{name} ends in the middle of its gzip stream; copy or export it again."
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise CorruptFileError(
            f"{name} is damaged: its gzip stream fails its checks ({error}). Copy or export it again."
        ) from error
    except OSError as error:
        raise CorruptFileError(f"{name} cannot be read ({error.strerror}); copy it again.") from error


def printable(text: str) -> str:
    """Make a file's name fit for a message, a record, a picture: whatever is no text is shown by its code."""
    return "".join(c if c.isprintable() else _code(c) for c in as_utf8(text))


def as_utf8(name: str) -> str:
    """Read a file's name as UTF-8, whatever this machine takes names for."""
    try:
        return os.fsencode(name).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a message with more than names in it
        return name


def as_name(text: str) -> str:
    """Turn what :func:`as_utf8` gave into the name that this machine knows the file by."""
    try:
        return os.fsdecode(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # what no name of a file gives
        return text


def _code(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8, as Python holds it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class _Watched:
    """A file of which somebody else sees every byte that is read."""

    def __init__(self, handle: BinaryIO, watch: Callable[[bytes], object]) -> None:
        self._handle, self._watch = handle, watch

    def read(self, size: int) -> bytes:
        """Read as the file does."""
        data = self._handle.read(size)
        self._watch(data)
        return data


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def packed(pieces: Iterable[bytes]) -> bytes:
    """Gzip at the fastest level and without a time stamp: the same content gives the same bytes.

    Args:
        pieces: The content, in order.

    Returns:
        One gzip member.
    """
    packer = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)
    return b"".join([*map(packer.compress, pieces), packer.flush()])
