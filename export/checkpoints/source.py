"""What users of SPINEPS have on their disks: a folder or a zip file around one ``inference_config.json``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spineps_rt.errors import ModelError
from spineps_rt.models.archive import only, opened
from spineps_rt.models.install import CONFIG

_MAX_JSON = 64 << 20


@contextlib.contextmanager
def open_source(path: Path) -> Iterator[Path]:
    """Find the folder of a model.

    Args:
        path: A folder, a zip file of it, or a file directly in it (``inference_config.json``, a checkpoint of
            Lightning). The configuration may lie deeper, as SPINEPS allows.

    Yields:
        The folder that holds ``inference_config.json``; of a zip file, until the context ends.

    Raises:
        ModelError: Nothing is there, or the configuration is missing or there are several.
    """
    beside = path.is_file() and path.suffix.lower() != ".zip"
    with opened(path.parent if beside else path) as folder:
        yield only(folder, CONFIG, path).parent


def find(folder: Path, name: str) -> Path:
    """The one file of a name in a folder or below it.

    Args:
        folder: Where to look.
        name: A file name, or a pattern with ``*``.

    Raises:
        ModelError: There is none, or more than one.
    """
    return only(folder, name, folder)


def read_json(path: Path) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        ModelError: The file is missing, larger than 64 MiB, or holds no JSON object.
    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ModelError(f"{path} has {path.stat().st_size} bytes; expected a small JSON file.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}. Copy it again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}; expected a JSON object.")
    return content
