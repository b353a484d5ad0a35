"""What comes in: a scan is read, refused, or warned about."""

from __future__ import annotations

from pathlib import Path

from spineps_rt.errors import GeometryError
from spineps_rt.geometry import plane_of
from spineps_rt.io.naming import split_name
from spineps_rt.io.nifti import check_signal, read_nifti_and_digest
from spineps_rt.io.streams import printable
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
        The volume, and the file's name and the SHA-256 of the very bytes that the volume was made of.

    Raises:
        SpinepsError: As :func:`spineps_rt.io.nifti.read_nifti`; a volume without signal is refused as well.
    """
    if isinstance(scan, Volume):
        check_signal(scan.array, "The volume")
        return scan, Source("volume", None)
    image, digest = read_nifti_and_digest(scan)
    return image, Source(printable(Path(scan).name), digest)


def check_scan(image: Volume, model: SemanticModel, *, any_plane: bool) -> None:
    """Refuse slices that the model cannot segment.

    Args:
        image: The scan.
        model: What shall segment it.
        any_plane: Whether slices in another plane than the model's will do.

    Raises:
        GeometryError: The slices lie in another plane.
    """
    found = plane_of(image.affine)
    if found not in (model.acquisition, "iso") and not any_plane:
        raise GeometryError(
            f"The slices are {_PLANES[found]}; model {model.name!r} expects {_PLANES[model.acquisition]} or "
            "isotropic ones. Choose another series, or pass --any-plane (any_plane=True) to try anyway."
        )


def modality_warnings(name: str, model: SemanticModel) -> list[str]:
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
