"""Models as they come: a folder, or a zip file of one with every entry distrusted."""

from __future__ import annotations

import contextlib
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from spineps_rt.errors import ModelError

MAX_FILES = 10_000
MAX_BYTES = 16 << 30
"""Unpacked, all files together; five folds of a large nnU-Net are about 2 GiB."""
MAX_RATIO = 100
"""Unpacked to packed; weights hardly shrink at all, JSON by less than 20."""
_FREE_BYTES = 1 << 20
"""Below this nothing is a bomb, whatever its ratio."""
_ENCRYPTED = 1
_FIRST = b"PK\3\4"
"""What a zip file begins with (APPNOTE 4.3.7)."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Open a folder or a zip file of one.

    Args:
        path: The folder, or a file that ends in ``.zip``.

    Yields:
        The folder; of a zip file what it holds, until the context ends.

    Raises:
        ModelError: Nothing is there, it is neither, or the zip file is refused; see :func:`unpacked`.
    """
    if path.is_dir():
        yield path
    elif path.suffix.lower() == ".zip" and path.is_file():
        with unpacked(path) as folder:
            yield folder
    else:
        problem = "is neither" if path.exists() else "does not exist"
        raise ModelError(f"{path} {problem}; name a model folder or a zip file of one.")


def only(folder: Path, name: str, source: Path) -> Path:
    """Find the one file of a name in a folder or, where it is not directly there, below it.

    Args:
        folder: Where to look.
        name: A file name, or a pattern with ``*``.
        source: How messages call the folder.

    Raises:
        ModelError: There is none, or more than one.
    """
    found = sorted(folder.glob(name)) or sorted(folder.glob(f"**/{name}"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(path.relative_to(folder)) for path in found[:5])
    problem = f"holds {len(found)} of {name} ({names})" if found else f"holds no {name}"
    raise ModelError(f"{source} {problem}; expected one. Name the folder of one model.")


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Unpack a zip file into a temporary folder, which goes again at the end.

    Args:
        path: The zip file.

    Yields:
        The folder.

    Raises:
        ModelError: The file is no zip file, damaged, or one of its entries is refused; see
            :func:`check_archive`.
    """
    entries = check_archive(path)
    with tempfile.TemporaryDirectory(prefix="spineps-rt-") as folder:
        try:
            with _damage_told(path), zipfile.ZipFile(path) as archive:
                for entry in entries:
                    target = Path(folder, *PurePosixPath(entry.filename).parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    # zipfile stops at the size that was checked, and compares the CRC
                    with archive.open(entry) as source, target.open("xb") as sink:
                        shutil.copyfileobj(source, sink, 1 << 20)
        except OSError as error:
            raise ModelError(f"{path} cannot be unpacked into {folder}: {error.strerror}.") from error
        yield Path(folder)


def check_content(path: Path) -> None:
    """Read a zip file to its end and compare every checksum.

    Args:
        path: The zip file.

    Raises:
        ModelError: It is damaged, or refused; see :func:`check_archive`.
    """
    check_archive(path)
    with _damage_told(path), zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")


@contextlib.contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{path} is damaged: {error}. Download or copy it again.") from error


def check_archive(path: Path) -> list[zipfile.ZipInfo]:
    """Look at a zip file's table of contents and refuse what no model needs.

    Args:
        path: The zip file.

    Returns:
        Its files, without folders.

    Raises:
        ModelError: The file cannot be read or is cut off; or an entry leaves the folder, is a link or a
            device, is encrypted, comes twice; or the files are too many, too large or packed too tightly.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        _require_end(path, whole=path.is_file() and zipfile.is_zipfile(path))
        raise ModelError(f"{path} cannot be read as a zip file: {error}. Copy it again.") from error
    _require_end(path, whole=not listed or min(entry.header_offset for entry in listed) == 0)
    entries = [entry for entry in listed if not entry.is_dir()]
    for entry in entries:
        _check_entry(path, entry)
    names = {entry.filename.casefold() for entry in entries}
    if len(names) < len(entries):
        raise ModelError(f"{path} holds a file twice; a model's archive does not.")
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES or size > MAX_BYTES:
        raise ModelError(
            f"{path} holds {len(entries)} files of {size} bytes; at most {MAX_FILES} files and {MAX_BYTES} "
            "bytes are unpacked. Unpack it yourself if you trust it, and name the folder."
        )
    return entries


def _require_end(path: Path, *, whole: bool) -> None:
    """Refuse what begins as a zip file and has lost its table of contents, which is at the end.

    A checkpoint is a zip file itself. Where the outer table is gone, that of the last checkpoint may be found
    instead: its files do not begin where the outer file does.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(len(_FIRST)) == _FIRST
    except OSError:
        return  # the caller has the reason
    if begins and not whole:
        raise ModelError(
            f"{path} is cut off: it begins as a zip file ({path.stat().st_size} bytes) and has no end. "
            "Download or copy it again."
        )


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    outside = name.startswith("/") or "\\" in name or ":" in name.split("/")[0] or ".." in name.split("/")
    if outside or "\0" in entry.orig_filename or not PurePosixPath(name).parts:
        raise ModelError(f"{path} holds {name!r}, which would leave the folder it is unpacked into.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ModelError(f"{path} holds {name!r}, a link or device; a model is made of plain files.")
    if entry.flag_bits & _ENCRYPTED:
        raise ModelError(
            f"{path} holds {name!r}, which is encrypted. Unpack it yourself and name the folder."
        )
    if entry.file_size > max(_FREE_BYTES, MAX_RATIO * entry.compress_size):
        raise ModelError(
            f"{path} holds {name!r}, {entry.compress_size} bytes that would unpack to {entry.file_size}: "
            "no weights shrink like that. Unpack it yourself if you trust it, and name the folder."
        )
