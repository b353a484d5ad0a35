"""Recorded runs of SPINEPS 2.1.3: what its two networks answered and what it made of that, step by step."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from spineps_rt.errors import SpinepsError
from spineps_rt.options import AS_SPINEPS
from spineps_rt.volume import Volume, padded, reorient, rescale

MASKS = {
    "raw_semantic": "*_seg-spine-raw_msk.nii.gz",
    "raw_instances": "*_seg-vert-raw_msk.nii.gz",
    "semantic": "*_seg-spine_msk.nii.gz",
    "instances": "*_seg-vert_msk.nii.gz",
}
"""The masks that SPINEPS writes: both before they clean each other, and both in the end."""


MODEL_ORIENTATION = ("P", "I", "R")
"""Of SPINEPS's published semantic model."""
ON_MODEL_GRID = ("oracle", "raw_semantic", "raw_instances")


class GoldenError(Exception):
    """A folder holds no usable recorded run."""


@dataclass(frozen=True, eq=False)
class Golden:
    """One recorded run."""

    name: str
    oracle: Volume
    """What the semantic network answered, uint8, P, I, R, at the model's resolution, margin included; its
    affine is :func:`model_affine`."""
    cutouts: tuple[str, ...]
    """Digest of each cutout that the instance network was shown, in order (see :func:`digest`)."""
    answers: np.ndarray
    """uint8 (N, P, I, R): what it answered, 0 to 3."""
    raw_semantic: Volume
    """uint8, cleaned."""
    raw_instances: Volume
    """uint16, on the same grid."""
    semantic: Volume
    """uint8, on the scan's grid."""
    instances: Volume
    """uint16, on the scan's grid."""
    points: dict[int, tuple[float, float, float]]
    """Instance -> centre in voxels of the scan's grid."""


def digest(cutout: np.ndarray) -> str:
    """Name a cutout by its voxels: SHA-256 of its uint8 bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(cutout, np.uint8).tobytes()).hexdigest()


def read(path: Path) -> Golden:
    """Read a recorded run.

    Args:
        path: Folder that SPINEPS wrote into, or a file that :func:`pack` wrote.

    Raises:
        GoldenError: Something is missing or does not fit together; the message says what.
    """
    if path.is_file():
        return _unpack(path)
    if not path.is_dir():
        raise GoldenError(f"{path}: no such folder; give folders with recorded runs of SPINEPS.")
    masks = {name: _volume(_only(path, pattern), name) for name, pattern in MASKS.items()}
    try:
        with np.load(_only(path, "cuts.npz")) as file:
            cuts, answers = file["cuts"], file["preds"]
        _, points = json.loads(_only(path, "*_seg-spine_ctd.json").read_text(encoding="utf-8"))
        centres = {int(v): tuple(structures["50"]) for v, structures in points.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise GoldenError(f"{path}: cutouts or centres cannot be read: {error!r}") from error
    oracle = _volume(_only(path, "oracle_sem.nii.gz"), "semantic")
    return _checked(
        Golden(path.name, oracle, tuple(map(digest, cuts)), answers.astype(np.uint8), **masks, points=centres)
    )


def pack(golden: Golden, path: Path) -> None:
    """Write a recorded run as one small file: the cutouts as digests, everything else whole."""
    volumes = {name: getattr(golden, name) for name in ("oracle", *MASKS)}
    numbers = sorted(golden.points)
    np.savez_compressed(
        path,
        cutouts=np.array(golden.cutouts),
        answers=golden.answers,
        point_ids=np.array(numbers),
        points=np.array([golden.points[v] for v in numbers]),
        **{name: volume.array for name, volume in volumes.items()},
        **{f"{name}_affine": volume.affine for name, volume in volumes.items()},
    )


def _unpack(path: Path) -> Golden:
    try:
        with np.load(path) as file:
            data = {name: file[name] for name in file.files}
        masks = {n: Volume(data[n], data[f"{n}_affine"]) for n in ("oracle", *MASKS)}
        rows = [(float(p), float(i), float(r)) for p, i, r in data["points"]]
        points = dict(zip(data["point_ids"].tolist(), rows, strict=True))
        return _checked(
            Golden(
                path.stem,
                cutouts=tuple(data["cutouts"].tolist()),
                answers=data["answers"],
                points=points,
                **masks,
            )
        )
    except (OSError, ValueError, KeyError, EOFError, SpinepsError) as error:
        raise GoldenError(f"{path}: not a recorded run: {error!r}") from error


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.rglob(pattern))
    if len(found) != 1:
        raise GoldenError(
            f"{folder}: {len(found)} files match {pattern}; a recorded run holds one. Give the folder "
            "of one run, as docs/parity.md describes it."
        )
    return found[0]


def _volume(path: Path, name: str) -> Volume:
    dtype = np.uint16 if "instances" in name else np.uint8
    try:
        image = nib.load(path)  # type: ignore[attr-defined]
        array = np.asarray(image.dataobj)
        whole = array.astype(dtype)
        if not np.array_equal(whole, array):
            raise GoldenError(f"{path}: labels are not whole numbers of {dtype.__name__}.")
        return Volume(whole, image.affine)
    except (OSError, EOFError, nib.filebasedimages.ImageFileError, SpinepsError) as error:
        raise GoldenError(f"{path}: not a readable mask: {error}") from error


def model_affine(scan: Volume, spacing: tuple[float, ...]) -> np.ndarray:
    """Affine of the grid on which the semantic network answers, in float64.

    A file holds it rounded to float32. Where a voxel of the scan lies halfway between two of the answer, as
    many do from 1.125 or 0.9375 to 0.75 mm, the lost bits decide which of the two it gets; so the affine is
    computed from the scan's own, as SPINEPS does.

    Args:
        scan: On the scan's grid; its array is not looked at.
        spacing: Of the answer, mm along P, I, R.

    Returns:
        (4, 4), voxel index -> mm.
    """
    image, _ = padded(
        scan.with_array(np.zeros(scan.shape, np.uint8)), AS_SPINEPS.preprocess.pad, dtype="uint8"
    )
    return rescale(reorient(image, MODEL_ORIENTATION), spacing, labels=True).affine


def _checked(golden: Golden) -> Golden:
    """Refuse what does not fit together, so that a difference is a difference of the answers."""
    faults = []
    for first, second in (("oracle", "raw_semantic"), ("oracle", "raw_instances"), ("semantic", "instances")):
        shapes = [getattr(golden, name).shape for name in (first, second)]
        if shapes[0] != shapes[1]:
            faults.append(f"{first} has shape {shapes[0]}, {second} {shapes[1]}")
    if golden.oracle.orientation != MODEL_ORIENTATION:
        faults.append(f"the semantic answer is oriented {''.join(golden.oracle.orientation)} instead of PIR")
    if golden.answers.ndim != 4 or len(golden.answers) != len(golden.cutouts):
        faults.append(f"{len(golden.cutouts)} cutouts have answers of shape {golden.answers.shape}")
    affine = model_affine(golden.semantic, golden.oracle.spacing)
    if not np.allclose(affine, golden.oracle.affine, atol=1e-3):
        faults.append(
            "the semantic answer does not lie on the scan's grid at the model's spacing with a margin"
        )
    if faults:
        raise GoldenError(f"{golden.name}: {'; '.join(faults)}.")
    exact = {name: Volume(getattr(golden, name).array, affine) for name in ON_MODEL_GRID}
    return replace(golden, **exact)
