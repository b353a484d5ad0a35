"""Where results go and what they are called."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spineps_rt.errors import OutputError, OutputExistsError
from spineps_rt.io.atomic import output_errors, prepare_folder, settle
from spineps_rt.io.streams import printable

FOLDER = "derivatives_seg"
"""Folder beside the scan that takes the results unless another is named, as SPINEPS 2.1.3 does."""

_FILE = r"\.(nii|nii\.gz|gz|json|png|zip|mgz|mha|nrrd|dcm)$"
_NAME_BYTES = 255

# The order in which TPTBox writes the entities of a name; others follow in the order they came.
_ENTITIES = (
    *("sub", "ses", "sequ", "acq", "task", "chunk", "hemi", "sample", "split"),
    *("ce", "trc", "stain", "rec", "proc", "mod", "recording", "res", "dir", "echo", "flip", "inv", "mt"),
    *("part", "space", "seg", "source", "ovl", "run", "label", "den", "version", "desc", "nameconflict"),
)


@dataclass(frozen=True)
class OutputPaths:
    """The files of one scan."""

    semantic: Path
    instances: Path
    centroids: Path
    snapshot: Path
    record: Path
    shared: bool = False
    """Whether scans of several folders may have their results here."""

    def all(self) -> tuple[Path, ...]:
        """List every path; the record, which vouches for the others, is the last."""
        return self.semantic, self.instances, self.centroids, self.snapshot, self.record


def split_name(name: str) -> tuple[dict[str, str], str | None]:
    """Read a scan's file name as SPINEPS reads it.

    Args:
        name: File name, for instance ``sub-x_acq-sag_T2w.nii.gz``.

    Returns:
        Entities (``{"sub": "x", "acq": "sag"}``) and modality (``"T2w"``; None where the name ends in an
        entity). A name without subject becomes its own subject, as in TPTBox's non-strict mode.
    """
    parts = _parts(name)
    stem = "-".join(parts)
    modality = None if _ends_in_entity(parts) else parts.pop()
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    if "sub" not in entities:
        entities = {"sub": stem, **entities}
    return entities, modality


def _parts(name: str) -> list[str]:
    return re.sub(r"\.nii(\.gz)?$", "", name, flags=re.IGNORECASE).split("_")


def _ends_in_entity(parts: list[str]) -> bool:
    return "-" in parts[-1] and parts[-1].split("-")[0] in _ENTITIES


def output_paths(scan: Path, folder: Path | None = None) -> OutputPaths:
    """Name the results of a scan, as SPINEPS 2.1.3 names them.

    ``sub-x_T2w.nii.gz`` gives ``sub-x_mod-T2w_seg-spine_msk.nii.gz`` and its siblings; ``scan.nii.gz``, which
    follows no convention, gives ``sub-scan_mod-scan_seg-spine_msk.nii.gz``, as SPINEPS does. What SPINEPS
    drops of a name follows ``nameconflict-``: ``sub-x_pre_T2w.nii.gz`` and ``sub-x_post_T2w.nii.gz`` differ.

    Args:
        scan: Path of the scan.
        folder: Where the results go; None is :data:`FOLDER` beside the scan.

    Returns:
        The paths. Nothing is created.
    """
    entities, modality = split_name(scan.name)
    if dropped := _dropped(scan.name, entities):
        entities["nameconflict"] = "-".join([*filter(None, [entities.get("nameconflict")]), *dropped])

    def name(seg: str, ending: str) -> Path:
        full = {**entities, **({"mod": modality} if modality else {}), "seg": seg}
        known = [key for key in _ENTITIES if key in full]
        ordered = known + [key for key in full if key not in known]
        return target / "_".join([*(f"{key}-{full[key]}" for key in ordered), ending])

    target = scan.parent / FOLDER if folder is None else folder
    return OutputPaths(
        semantic=name("spine", "msk.nii.gz"),
        instances=name("vert", "msk.nii.gz"),
        centroids=name("spine", "ctd.json"),
        snapshot=name("spine", "snp.png"),
        record=name("spine", "run.json"),
        shared=folder is not None,
    )


def _dropped(name: str, entities: dict[str, str]) -> list[str]:
    """Parts of a scan's name that SPINEPS does not keep, although they may tell it from another.

    Without a subject the whole name is the subject's, and nothing is lost.
    """
    parts = _parts(name)
    if not any(part.startswith("sub-") for part in parts):
        return []
    kept = {f"{key}-{value}" for key, value in entities.items() if key != "seg"}
    middle = parts if _ends_in_entity(parts) else parts[:-1]
    return [part for part in middle if part and part not in kept]


def check_distinct(scans: Sequence[Path], folder: Path | None) -> None:
    """Refuse scans of one call whose results would overwrite each other.

    Args:
        scans: Paths of the scans.
        folder: Common folder, or None.

    Raises:
        OutputError: Two scans would write the same file, or a result would take the place of a scan.
    """
    taken: dict[Path, Path] = {}
    for scan in scans:
        target = _real(output_paths(scan, folder).semantic)
        if target in taken:
            raise OutputError(
                f"{printable(str(taken[target]))} and {printable(str(scan))} would both write "
                f"{printable(target.name)} into {printable(str(target.parent))}; name the scans apart or run "
                "them into different folders."
            )
        taken[target] = scan
    own = {_real(path) for scan in scans for path in output_paths(scan, folder).all()}
    for scan in scans:
        if own & {_real(scan), Path(os.path.realpath(scan))}:
            raise OutputError(
                f"{printable(str(scan))} would be replaced by results, which is no place for a scan; choose "
                "another folder, or another name for the scan."
            )


def _real(path: Path) -> Path:
    """One path for one file, however its folder is spelled."""
    return Path(os.path.realpath(path.parent)) / path.name


def check_folder_name(folder: Path | None) -> None:
    """Refuse what cannot be meant as a folder for results.

    Raises:
        OutputError: It is a file, or has a file's name.
    """
    if folder is None:
        return
    with output_errors(folder):
        if not folder.is_dir() and (folder.exists() or re.search(_FILE, folder.name, re.IGNORECASE)):
            raise OutputError(
                f"{printable(str(folder))} is a file's name; -o takes a folder, in which results get names "
                "of their own."
            )


def check_writable(paths: OutputPaths, *, overwrite: bool) -> None:
    """Find out before computing whether the results can be written. Leaves nothing behind.

    Args:
        paths: Where the results shall go.
        overwrite: Whether results that are already there may be replaced.

    Raises:
        OutputExistsError: Results are there and ``overwrite`` is off.
        OutputError: The folder cannot be written.
    """
    folder = paths.semantic.parent
    longest = max((path.name for path in paths.all()), key=lambda name: len(os.fsencode(name)))
    if (length := len(os.fsencode(longest))) > _NAME_BYTES:
        raise OutputError(
            f"{printable(longest)} would have {length} bytes, and names have at most {_NAME_BYTES}; give the "
            "scan a shorter one."
        )
    with output_errors(folder):
        if folder.is_dir():
            with contextlib.suppress(OutputError):  # whether it can be written is found out below
                settle(paths.semantic, finish=overwrite)
        there = [path.name for path in paths.all() if os.path.lexists(path)]
        if there and not overwrite:
            raise OutputExistsError(
                f"{printable(str(folder))} already holds {printable(', '.join(there))}; pass --overwrite to "
                "replace."
            )
        ancestor = folder.absolute()
        while not ancestor.exists() and ancestor != ancestor.parent:
            ancestor = ancestor.parent
        prepare_folder(ancestor)
