"""The private cache of built engines. An engine file is code, so it is loaded from nowhere else.

The cache is a folder that nobody but its user can write. An engine lies there under a name that says what it
is for, beside metadata that say what it was built from; it is handed out only if both are what was asked for.
It is never built here: that takes the export step.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_cache_path

from spineps_rt.backends.base import UnavailableError
from spineps_rt.errors import EngineError, OutputError
from spineps_rt.machine import user_folder, user_id

FOLDER_VARIABLE = "SPINEPS_RT_CACHE"


@dataclass(frozen=True)
class EngineKey:
    """What an engine is for; two engines with the same key do the same."""

    model: str
    """Name in the model's manifest."""
    onnx_sha256: str
    """Of the graph that the engine was built from."""
    library: str
    """``tensorrt-rtx`` or ``tensorrt``."""
    version: str
    """The library's."""
    target: str
    """What it runs on, for instance ``sm86``."""
    precision: str
    """For instance ``fp16``."""

    @property
    def name(self) -> str:
        """File name without suffix; a model's name cannot leave the folder with it."""
        model = re.sub(r"[^\w-]+", "_", self.model)
        return f"{model}-{self.target}-{self.precision}-{self.library}-{self.version}"

    def command(self, source: str | Path) -> str:
        """Say how the engine is built.

        Args:
            source: The model's folder.
        """
        words = ["spineps-rt export engine --library", self.library]
        if self.library == "tensorrt-rtx":
            words.append(f"--sm {self.target.removeprefix('sm')}")
        elif not self.target.startswith("sm"):
            words.append("--hardware-compatible")
        if self.version.endswith(".x"):
            words.append("--version-compatible")
        return " ".join([*words, "--precision", self.precision, shlex.quote(str(source))])


def cache_folder() -> Path:
    """Name the user's cache: ``SPINEPS_RT_CACHE``, else where the platform keeps a user's caches.

    Raises:
        EngineError: The user has no home folder.
    """
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    folder = user_folder(user_cache_path)
    if folder is None:
        raise EngineError(
            f"There is no home folder to keep engines in; set {FOLDER_VARIABLE} to a folder of your own."
        )
    return folder


def private_folder(name: str = "") -> Path:
    """Make the cache if need be.

    Args:
        name: Of a folder in it; empty for itself.

    Returns:
        The folder, which only this user can write.

    Raises:
        EngineError: It is there and not private.
        OutputError: It cannot be made.
    """
    for folder in (cache_folder(), cache_folder() / name):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The engine cache {folder} cannot be made ({error.strerror}); name another folder with "
                f"{FOLDER_VARIABLE}."
            ) from error
        require_private(folder)
    return folder


def find_engine(key: EngineKey, *, source: str | Path) -> bytes:
    """Read an engine out of the cache.

    Args:
        key: What it shall be for.
        source: The model's folder, for the command that builds what is missing.

    Returns:
        The serialised engine: the very bytes that were checked.

    Raises:
        UnavailableError: There is none; the message names those of the same model that are there.
        EngineError: The cache is not private, or the engine is damaged, has no metadata, belongs to somebody
            else, or was built from something else than its name says.
    """
    folder = cache_folder()
    build = f"Build it: {key.command(source)}"
    path, beside = folder / f"{key.name}.engine", folder / f"{key.name}.json"
    if folder.is_dir():
        require_private(folder)
    if not path.is_file():
        raise UnavailableError(f"There is no engine {path.name} in {folder}{_others(key, folder)}. {build}")
    try:
        metadata = json.loads(read_own(beside))
        engine = read_own(path)
    except FileNotFoundError as error:
        raise EngineError(f"{path} has no metadata beside it ({beside.name}). {build}") from error
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} or its metadata cannot be read: {error}. {build}") from error
    for field, expected in asdict(key).items():
        found = metadata.get(field) if isinstance(metadata, dict) else None
        if found != expected:
            raise EngineError(
                f"{path} is stale or not what its name says: its {field} is {found}; expected {expected}. "
                f"{build}"
            )
    digest = hashlib.sha256(engine).hexdigest()
    if digest != metadata.get("engine_sha256"):
        raise EngineError(f"{path} is damaged: its SHA-256 is not that of its metadata. {build}")
    return engine


def require_private(folder: Path) -> None:
    """Refuse a cache into which somebody else could put a program.

    Windows has no such bits; there the user's profile, where the cache lies, is private by itself.

    Raises:
        EngineError: The folder belongs to somebody else, or others may write it.
    """
    user, found = user_id(), folder.stat()
    if user is None:
        return
    if found.st_uid != user:
        raise EngineError(
            f"The engine cache {folder} belongs to user {found.st_uid}, this program runs as {user}. "
            f"An engine file is code: name a folder of your own with {FOLDER_VARIABLE}."
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EngineError(
            f"The engine cache {folder} can be written by others (mode {stat.S_IMODE(found.st_mode):o}). An "
            f"engine file is code: delete what is in it, then chmod 700 {folder}, and build again."
        )


def read_own(path: Path) -> bytes:
    """Read a file of the cache, unless it is somebody else's: the folder may have been open once.

    Raises:
        OSError: It cannot be read, or belongs to another user.
    """
    with path.open("rb") as handle:
        owner = os.fstat(handle.fileno()).st_uid
        if user_id() not in (None, owner):
            raise PermissionError(f"{path} belongs to user {owner}")
        return handle.read()


def _others(key: EngineKey, folder: Path) -> str:
    """Name the engines of the same model, so that another target, precision or version shows."""
    start = key.name.removesuffix(f"{key.target}-{key.precision}-{key.library}-{key.version}")
    there = ", ".join(sorted(path.name for path in folder.glob(f"{start}*.engine")))
    return f", only {there}" if there else ""
