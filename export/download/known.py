"""What was downloaded once is known: its SHA-256 is recorded on first use and compared ever after."""

from __future__ import annotations

import json
from pathlib import Path

from spineps_rt.errors import ModelError
from spineps_rt.io.atomic import atomic_write
from spineps_rt.io.streams import file_sha256

RECORD = "sha256.json"
"""Address -> hexadecimal digest, in the folder of the downloads."""


def is_known(path: Path, folder: Path, address: str) -> bool:
    """Tell whether a file is there and is what an address brought when it was first used.

    Raises:
        ModelError: The record is damaged.
    """
    known = _read(folder)
    return path.is_file() and known.get(address) == file_sha256(path)


def check_known(path: Path, folder: Path, address: str) -> None:
    """Compare a download with the first one from its address; record it where it is the first.

    Args:
        path: The file.
        folder: Where the record is kept.
        address: Where the file comes from.

    Raises:
        ModelError: The content is another one, or the record is damaged.
        OutputError: The record cannot be written.
    """
    known, digest = _read(folder), file_sha256(path)
    first = known.setdefault(address, digest)
    if first != digest:
        raise ModelError(
            f"{address} is not what it was: its SHA-256 is {digest[:12]}..., that of the first download was "
            f"{first[:12]}.... The download was removed. Only if you know why it changed, delete the address "
            f"from {folder / RECORD} and run the command again."
        )
    atomic_write(folder / RECORD, json.dumps(known, indent=1).encode())


def _read(folder: Path) -> dict[str, str]:
    path = folder / RECORD
    try:
        known = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        known = error
    if isinstance(known, dict) and all(isinstance(digest, str) for digest in known.values()):
        return known
    raise ModelError(
        f"{path} is no table of addresses and SHA-256 ({str(known)[:80]}). Restore it; without it, the next "
        "download of every release would count as the first."
    )
