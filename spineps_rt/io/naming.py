"""Where results go and what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from spineps_rt.errors import OutputError, OutputExistsError
from spineps_rt.io.atomic import prepare_folder

FOLDER = "derivatives_seg"
"""Folder beside the scan that takes the results unless another is named, as SPINEPS 2.1.3 does."""

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

    def all(self) -> tuple[Path, ...]:
        """List every path."""
        return tuple(getattr(self, field.name) for field in fields(self))


def split_name(name: str) -> tuple[dict[str, str], str | None]:
    """Read a scan's file name as SPINEPS reads it.

    Args:
        name: File name, for instance ``sub-x_acq-sag_T2w.nii.gz``.

    Returns:
        Entities (``{"sub": "x", "acq": "sag"}``) and modality (``"T2w"``; None where the name ends in an
        entity). A name without subject becomes its own subject, as in TPTBox's non-strict mode.
    """
    stem = re.sub(r"\.nii(\.gz)?$", "", name, flags=re.IGNORECASE)
    parts = stem.split("_")
    modality = None if parts[-1].split("-")[0] in _ENTITIES and "-" in parts[-1] else parts.pop()
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    if "sub" not in entities:
        entities = {"sub": stem.replace("_", "-"), **entities}
    return entities, modality


def output_paths(scan: Path, folder: Path | None = None) -> OutputPaths:
    """Name the results of a scan, as SPINEPS 2.1.3 names them.

    ``sub-x_T2w.nii.gz`` gives ``sub-x_mod-T2w_seg-spine_msk.nii.gz`` and its siblings; ``scan.nii.gz``, which
    follows no convention, gives ``sub-scan_mod-scan_seg-spine_msk.nii.gz``, as SPINEPS does.

    Args:
        scan: Path of the scan.
        folder: Where the results go; None is :data:`FOLDER` beside the scan.

    Returns:
        The paths. Nothing is created.
    """
    entities, modality = split_name(scan.name)

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
    )


def check_distinct(scans: Sequence[Path], folder: Path | None) -> None:
    """Refuse scans of one call whose results would overwrite each other.

    Args:
        scans: Paths of the scans.
        folder: Common folder, or None.

    Raises:
        OutputError: Two scans would write the same file.
    """
    taken: dict[Path, Path] = {}
    for scan in scans:
        target = output_paths(scan, folder).semantic.absolute()
        if target in taken:
            raise OutputError(
                f"{taken[target]} and {scan} would both write {target.name} into {target.parent}; "
                "name the scans apart or run them into different folders."
            )
        taken[target] = scan


def check_writable(paths: OutputPaths, *, overwrite: bool) -> None:
    """Find out before computing whether the results can be written. Leaves nothing behind.

    Args:
        paths: Where the results shall go.
        overwrite: Whether results that are already there may be replaced.

    Raises:
        OutputExistsError: Results are there and ``overwrite`` is off.
        OutputError: The folder cannot be written.
    """
    there = [path.name for path in paths.all() if path.exists()]
    folder = paths.semantic.parent
    if there and not overwrite:
        raise OutputExistsError(f"{folder} already holds {', '.join(there)}; pass --overwrite to replace.")
    ancestor = folder.absolute()
    while not ancestor.exists() and ancestor != ancestor.parent:
        ancestor = ancestor.parent
    prepare_folder(ancestor)
