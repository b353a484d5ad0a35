"""The header of a NIfTI-1 or NIfTI-2 file, read with suspicion: what it declares and where the image lies."""

from __future__ import annotations

import math

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError

from spineps_rt import geometry
from spineps_rt.errors import (
    DimensionError,
    GeometryError,
    ImageSizeError,
    NotNiftiError,
    TruncatedFileError,
)
from spineps_rt.io.streams import GZIP_MAGIC

MAX_AXIS = 4096
"""Voxels on one axis: four times the largest matrix that MR scanners reconstruct."""
MAX_VOXELS = 1 << 30
"""Voxels of a scan: 1024 cubed, 4 GiB as float32; a whole spine at 0.5 mm isotropic has a tenth of it."""

OTHER_FORMATS: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "a DICOM file; convert the series with dcm2niix"),
    (0, b"\x00\x00\x00\x01", "a FreeSurfer .mgh/.mgz image; convert it with mri_convert"),
    (0, b"NRRD", "an NRRD image; convert it to NIfTI"),
    (0, b"ObjectType", "a MetaImage; convert it to NIfTI"),
    (0, b"\x89HDF", "an HDF5 or MINC file; convert it to NIfTI"),
    (0, b"\x89PNG", "a PNG picture; the scan itself is needed"),
    (0, b"PK", "a zip archive; unpack it first"),
    (0, b"BZh", "a bzip2 archive; unpack it first"),
    (0, GZIP_MAGIC, "compressed twice; run gunzip on it once"),
    (257, b"ustar", "a tar archive; unpack it first"),
    (0, b"version https://git-lfs", "a git-lfs pointer; run git lfs pull"),
)
"""Formats that are not NIfTI: offset, bytes that lie there, and what it is."""


def parse_header(head: bytes, name: str) -> Nifti1Header:
    """Recognise a NIfTI header.

    Args:
        head: The file's first bytes, unpacked; 540 are enough.
        name: How messages call the file.

    Returns:
        A ``Nifti1Header`` or ``Nifti2Header`` of the file's own byte order, unchecked.

    Raises:
        TruncatedFileError: The file is empty or ends within its header.
        NotNiftiError: It is something else.
    """
    if not head:
        raise TruncatedFileError(f"{name} is empty; copy or export it again.")
    for kind in (Nifti1Header, Nifti2Header):
        size = kind.sizeof_hdr
        for endianness in ("<", ">"):
            if head[:4] != np.array(size, f"{endianness}i4").tobytes():
                continue
            if len(head) < size:
                raise TruncatedFileError(f"{name} ends within its header; copy or export it again.")
            header = kind(head[:size], endianness=endianness, check=False)  # type: ignore[no-untyped-call]
            if header["magic"].item() == kind.single_magic:
                return header
            raise NotNiftiError(
                f"{name} is one half of an Analyze or NIfTI .hdr/.img pair; expected a single NIfTI file. "
                "Join the pair, for instance with fslchfiletype NIFTI_GZ."
            )
    for start, magic, what in OTHER_FORMATS:
        if head[start : start + len(magic)] == magic:
            raise NotNiftiError(f"{name} is not NIfTI but {what}.")
    what = "text" if head.isascii() and b"\0" not in head else "of an unknown kind"
    raise NotNiftiError(f"{name} is not NIfTI: its content is {what}; expected .nii or .nii.gz.")


def declared_array(header: Nifti1Header, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Tell shape (three axes) and data type of the voxels.

    Raises:
        NotNiftiError: The header contradicts the standard.
        ImageSizeError: It declares an absurd size.
        DimensionError: It is 2-D, 4-D, or has several numbers per voxel (RGB, complex).
    """
    count = int(header["dim"][0])
    sizes = [int(size) for size in header["dim"][1 : count + 1]]
    if not 1 <= count <= 7:
        raise NotNiftiError(f"{name} declares {count} axes; NIfTI has 1 to 7. Export it again.")
    if min(sizes) < 1 or max(sizes) > MAX_AXIS or math.prod(sizes[:3]) > MAX_VOXELS:
        raise ImageSizeError(
            f"{name} declares {' x '.join(map(str, sizes))} voxels; expected 2 to {MAX_AXIS} per axis and at "
            f"most {MAX_VOXELS:,} in all. Export it again."
        )
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) > 3:
        raise DimensionError(f"{name} has {len(sizes)} axes, {sizes}; expected one 3-D scan. Split it first.")
    if len(sizes) < 3 or min(sizes) < 2:
        raise DimensionError(f"{name} is a single slice, {sizes}; expected a 3-D scan of at least 2 slices.")
    code = int(header["datatype"])
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        dtype = np.dtype("V")
    if dtype.kind == "c" or code in (128, 2304):
        kind = "complex numbers" if dtype.kind == "c" else "colours"
        raise DimensionError(f"{name} holds {kind}; expected one grey value per voxel. Export the magnitude.")
    if dtype.kind not in "uif":
        raise NotNiftiError(f"{name} declares data type {code}, which is none of NIfTI's. Export it again.")
    return tuple(sizes), dtype


def stored_affine(header: Nifti1Header, name: str) -> np.ndarray:
    """Tell how the image lies: (4, 4) float64, voxel -> mm; the sform, else the qform.

    A quaternion's zero qfac becomes 1 and negative voxel sizes positive, in the header too.

    Raises:
        GeometryError: There is neither, or it is unusable.
    """
    if not (header["sform_code"] or header["qform_code"]):
        raise GeometryError(
            f"{name} does not say how it lies in the patient (sform and qform codes are 0), so left, right, "
            "head and feet would be guesses. Convert the scan again from its DICOM files with dcm2niix."
        )
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1  # as the standard has it: "if pixdim[0] is not 1 or -1, 1 should be used"
    header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    try:
        return geometry.checked_affine(header.get_best_affine())
    except (HeaderDataError, ValueError, GeometryError) as error:
        raise GeometryError(f"{name} cannot be placed in space: {error}") from error
