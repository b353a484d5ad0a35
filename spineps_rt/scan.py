"""What comes in: a scan is read, refused, or doubted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from spineps_rt.errors import EmptyImageError, GeometryError, NotFiniteError
from spineps_rt.geometry import plane_of
from spineps_rt.io.naming import split_name
from spineps_rt.io.nifti import read_nifti
from spineps_rt.models import SemanticModel
from spineps_rt.results import Source
from spineps_rt.volume import Volume

_PLANES = {"sag": "sagittal", "cor": "coronal", "ax": "axial", "iso": "isotropic"}
_MODALITIES = ("T1w", "T2w", "CT", "PD", "FLAIR", "T2star", "dixon", "vibe", "TIRM", "STIR")


def read_scan(scan: Volume | str | Path) -> tuple[Volume, Source]:
    """Read a scan and name it.

    Args:
        scan: A NIfTI file, or a volume, which is taken as it is.

    Returns:
        The volume, and the file's name and SHA-256.

    Raises:
        SpinepsError: As :func:`spineps_rt.io.nifti.read_nifti`.
    """
    if isinstance(scan, Volume):
        return scan, Source("volume", None)
    path = Path(scan)
    image = read_nifti(path)
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return image, Source(path.name, digest.hexdigest())


def check_scan(image: Volume, model: SemanticModel, *, any_plane: bool) -> None:
    """Refuse what cannot be segmented.

    Args:
        image: The scan.
        model: What shall segment it.
        any_plane: Whether slices in another plane than the model's will do.

    Raises:
        NotFiniteError: A voxel is NaN or infinite.
        EmptyImageError: All voxels are equal.
        GeometryError: The slices lie in another plane.
    """
    low, high = float(image.array.min()), float(image.array.max())
    if not np.isfinite((low, high)).all():
        raise NotFiniteError(
            "the image holds NaN or infinity; expected finite intensities. Export the series again."
        )
    if low == high:
        raise EmptyImageError(f"the image has no signal: every voxel is {low:g}. Check what was exported.")
    found = plane_of(image.affine)
    if found not in (model.acquisition, "iso") and not any_plane:
        raise GeometryError(
            f"the slices are {_PLANES[found]}; model {model.name!r} expects {_PLANES[model.acquisition]} or "
            "isotropic ones. Choose another series, or pass --any-plane (any_plane=True) to try anyway."
        )


def doubts_about(name: str, model: SemanticModel) -> list[str]:
    """Warn where the file name contradicts the model; a name that says nothing is trusted, as in SPINEPS.

    Args:
        name: The scan's file name.
        model: What segments it.

    Returns:
        Warnings, or none.
    """
    modality = split_name(name)[1]
    if modality in _MODALITIES and modality not in model.modalities:
        made_for = ", ".join(model.modalities)
        return [
            f"the file name says {modality}; model {model.name!r} was made for {made_for}: check the masks"
        ]
    return []
