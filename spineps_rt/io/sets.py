"""A result set is what its run record says: which files, with which SHA-256, of which scan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spineps_rt.errors import IncompleteSetError, MissingFileError, OutputError, SpinepsError
from spineps_rt.io.journal import read_journal
from spineps_rt.io.locks import leftovers
from spineps_rt.io.naming import OutputPaths
from spineps_rt.io.streams import as_name, as_utf8, open_input, printable

RECORD = "_run.json"
"""End of a record's name."""

_ENDINGS = ("_msk.nii.gz", "_ctd.json", "_snp.png", RECORD)
_LARGEST_RECORD = 1 << 24


@dataclass(frozen=True)
class SetState:
    """What was found of one result set."""

    name: str
    """The record's file name, or that of a file which no record knows."""
    state: str
    """``complete``; ``incomplete``: a file is missing or another than was written; ``foreign``: no record."""
    problem: str = ""
    """A sentence where it is not complete."""


def encode_record(document: Mapping[str, Any], name: str, files: Mapping[str, bytes]) -> bytes:
    """Write a record down, with the SHA-256 of every file of its set.

    Args:
        document: What it says of the run.
        name: The record's own file name. Its digest is that of the record with an empty one in its place.
        files: Name -> content of the others.

    Returns:
        A JSON document, UTF-8.
    """
    name = as_utf8(name)
    digests = {as_utf8(file): hashlib.sha256(data).hexdigest() for file, data in files.items()}
    whole = {**document, "files": {**digests, name: ""}}
    whole["files"][name] = hashlib.sha256(_dump(whole)).hexdigest()
    return _dump(whole)


def _dump(document: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # a file's name that is no text
        return (json.dumps(document, indent=1) + "\n").encode()


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a record; None where there is none that can be read."""
    try:
        with open_input(path) as handle:
            document = json.loads(handle.read(_LARGEST_RECORD))
    except (SpinepsError, OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("input"), dict) else None


def check_set(record: Path) -> SetState:
    """Hash every file of a result set.

    Args:
        record: The set's run record.

    Returns:
        Whether each file is there and is the one that was written.
    """
    name, document = as_utf8(record.name), read_record(record)
    if document is None:
        return SetState(name, "incomplete", "The record is missing or damaged.")
    files = document.get("files")
    if not isinstance(files, dict) or name not in files:
        return SetState(name, "foreign", "The record does not vouch for the files beside it.")
    whole = {**document, "files": {**files, name: ""}}
    wrong = [] if hashlib.sha256(_dump(whole)).hexdigest() == files[name] else [f"{name} was changed"]
    for file, digest in files.items():
        if file != name and (fault := _fault(record.parent, file, digest)):
            wrong.append(f"{printable(file)} {fault}")
    return SetState(name, "incomplete", f"{'; '.join(wrong)}.") if wrong else SetState(name, "complete")


def _fault(folder: Path, file: str, digest: object) -> str:
    """What is wrong with a file, or nothing."""
    if Path(file).name != file:
        return "lies in another folder"
    file = as_name(file)
    try:
        found = hashlib.sha256()
        with open_input(folder / file) as handle:
            while piece := handle.read(1 << 20):
                found.update(piece)
    except (MissingFileError, OSError):
        return "is missing"
    return "" if found.hexdigest() == digest else "is not the file that was written"


def require_complete(paths: OutputPaths) -> dict[str, Any]:
    """Refuse a result set that is not whole, before any of it is used.

    Args:
        paths: From :func:`~spineps_rt.io.naming.output_paths`.

    Returns:
        The run record.

    Raises:
        IncompleteSetError: A file is missing, or is not the one that the record vouches for.
    """
    found = check_set(paths.record)
    if found.state != "complete":
        raise IncompleteSetError(
            f"{paths.record} belongs to no complete result set. {found.problem} Run the scan again with "
            "--overwrite."
        )
    return read_record(paths.record) or {}


def check_folder(folder: Path) -> list[SetState]:
    """Check every result set of a folder.

    Args:
        folder: Where results lie.

    Returns:
        The sets in the order of their names, and the files that look like results and belong to none.

    Raises:
        MissingFileError: It is no folder, or cannot be read.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
        hidden = [file for files in leftovers(folder).values() for file in files]
    except OSError as error:
        raise MissingFileError(
            f"{folder} cannot be read as a folder ({error.strerror}); name one that holds results."
        ) from error
    states = [check_set(folder / name) for name in names if name.endswith(RECORD)]
    known = {file for name in names if name.endswith(RECORD) for file in _files(folder / name)}
    for journal in filter(None, (read_journal(file) for file in hidden if file.suffix == ".journal")):
        known.update(path.name for _, path in journal.moves)
        targets = [as_utf8(path.name) for _, path in journal.moves]
        states = [state for state in states if state.name not in targets]
        states.append(
            SetState(targets[-1], "incomplete", "It is being written, or its writer died: run it again.")
        )
    alone = [name for name in names if name.endswith(_ENDINGS[:-1]) and name not in known]
    return [*states, *(SetState(as_utf8(name), "foreign", "No record vouches for it.") for name in alone)]


def _files(record: Path) -> list[str]:
    files = (read_record(record) or {}).get("files")
    return [as_name(str(file)) for file in files] if isinstance(files, (dict, list)) else []


def refuse_another(paths: OutputPaths, name: str, sha256: str | None) -> None:
    """Refuse to replace the results of another scan.

    Args:
        paths: Where the results shall go.
        name: The scan's file name.
        sha256: Of the scan; None where it is not known.

    Raises:
        OutputError: The record there names another scan; where scans of several folders have their results,
            also one of the same name with other content.
    """
    document = read_record(paths.record)
    if document is None:
        return
    named, digest = document["input"].get("file"), document["input"].get("sha256")
    if named != printable(name):
        raise OutputError(
            f"{printable(str(paths.record))} is of another scan, {named}, not of {printable(name)}; choose "
            "another folder, or remove those results."
        )
    if paths.shared and None not in (digest, sha256) and digest != sha256:
        raise OutputError(
            f"{printable(str(paths.record))} is of another scan called {named}, with other content; "
            "choose another folder, or remove those results."
        )
