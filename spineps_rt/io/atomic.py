"""Folders that appear whole and go whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from spineps_rt.io.streams import output_errors, sync_folder, temporary_name


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
    staged = path.with_name(temporary_name())
    former = staged.with_suffix(".old")
    try:
        with output_errors(path):
            staged.mkdir(parents=True)
            yield staged
            if os.path.lexists(path):
                path.replace(former)
            staged.replace(path)
            sync_folder(path.parent)
    finally:
        if os.path.lexists(former) and not os.path.lexists(path):
            former.replace(path)
        _discard(staged)
        _discard(former)


def remove_folder(path: Path) -> None:
    """Take a folder away, its name before its files, so that no half of it is left under its name.

    Raises:
        OutputError: It cannot be moved; then it is as it was.
    """
    former = path.with_name(temporary_name())
    with output_errors(path):
        path.replace(former)
    _discard(former)


def _discard(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
