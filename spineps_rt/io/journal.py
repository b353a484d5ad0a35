"""What a writer that died left: its files get their names, or go."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spineps_rt.errors import OutputError
from spineps_rt.io.locks import OWN, exclusive, leftovers


@dataclass(frozen=True)
class Journal:
    """Which hidden file is to get which name; once that is on the disk, the set can be finished."""

    moves: Sequence[tuple[Path, Path]]
    """(hidden, final); all in one folder."""
    overwrite: bool
    """Whether what has a final name is replaced."""

    def encode(self) -> bytes:
        """Write it down."""
        names = [(staged.name, path.name) for staged, path in self.moves]
        return json.dumps({"overwrite": self.overwrite, "moves": names}).encode()


def journal_path(folder: Path, key: str) -> Path:
    """Say where the journal of a set lies."""
    return folder / f".spineps-rt-{key}.journal"


def read_journal(path: Path) -> Journal | None:
    """Read a journal; None where there is none, or none that this package wrote."""
    try:
        document = json.loads(path.read_bytes())
        moves = [(path.with_name(staged), path.with_name(name)) for staged, name in document["moves"]]
        overwrite = bool(document["overwrite"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    matches = [(OWN.fullmatch(path.name), OWN.fullmatch(staged.name)) for staged, _ in moves]
    return Journal(moves, overwrite) if all(a and b and a["key"] == b["key"] for a, b in matches) else None


def recover(folder: Path, key: str, *, finish: bool = True) -> None:
    """Finish the set of a writer that died between its renames, then remove its hidden files.

    Whoever calls has the key's lock: so the writer is dead.

    Args:
        folder: Where the files lie.
        key: Theirs.
        finish: Otherwise a set that replaced nothing is taken back, unless all of it is there.

    Raises:
        OSError: It cannot be done; what was there is kept.
    """
    path = journal_path(folder, key)
    journal = read_journal(path)
    if journal is not None:
        _finish(journal) if finish or journal.overwrite else _take_back(journal)
        path.unlink()
    for file in leftovers(folder, key).get(key, []):
        if file.suffix != ".lock":
            discard(file)


def _finish(journal: Journal) -> None:
    for staged, path in journal.moves:
        if not os.path.lexists(staged):
            continue
        if not journal.overwrite:
            with contextlib.suppress(FileExistsError):
                claim(staged, path)
            continue
        if staged.is_dir() and os.path.lexists(path):
            path.replace(staged.with_suffix(".old"))
        staged.replace(path)


def _take_back(journal: Journal) -> None:
    mine = [(path, same(staged, path)) for staged, path in journal.moves]
    if all(os.path.lexists(staged) for staged, _ in journal.moves) and not all(there for _, there in mine):
        for path in (path for path, there in mine if there):
            path.unlink()
    else:
        _finish(journal)


def remove_litter(folder: Path) -> None:
    """Finish or remove what dead writers left in a folder; what lives, and all other files, are let be."""
    with contextlib.suppress(OSError):
        for key in leftovers(folder):
            # an OutputError: somebody has the lock and lives
            with contextlib.suppress(OSError, OutputError), exclusive(folder, key, patience=0.0) as alone:
                if alone:
                    recover(folder, key)


def claim(staged: Path, path: Path) -> None:
    """Give what is staged its name, which nobody may have.

    Raises:
        FileExistsError: Somebody has.
    """
    if not staged.is_dir():
        try:
            os.link(staged, path, follow_symlinks=False)
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            pass
    if os.path.lexists(path):
        raise FileExistsError(f"{path} is there.")
    staged.rename(path)


def same(staged: Path, path: Path) -> bool:
    """Tell whether both names are of one file."""
    try:
        return os.path.samestat(staged.lstat(), path.lstat())
    except OSError:
        return False


def discard(path: Path) -> None:
    """Remove a file or a folder, if it can be removed."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
