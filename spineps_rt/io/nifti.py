"""NIfTI-1 and NIfTI-2, read with suspicion and written whole.

What decides what a file is, is its content, never its name. A read image has been verified: the gzip
checksum matches, every declared voxel is there and finite, the affine can be trusted.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError

from spineps_rt._version import __version__
from spineps_rt.errors import (
    ContractError,
    EmptyImageError,
    ImageSizeError,
    NotFiniteError,
    NotNiftiError,
    SpinepsError,
    TruncatedFileError,
)
from spineps_rt.io import streams
from spineps_rt.io.atomic import atomic_write
from spineps_rt.io.header import declared_array, parse_header, stored_affine
from spineps_rt.volume import Volume

MAX_EXTENSIONS = 1 << 24
"""Bytes between header and voxels: header extensions hold text, 16 MiB is a generous lot of it."""
MAX_TRAILING = 1 << 16
"""Bytes after the last voxel: padding. More means that the header and the content disagree."""

_MAX_DRAIN = 1 << 28  # how far a stream with a bad header is followed to learn whether it is damaged

_PLACEMENT = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


def read_nifti(path: str | os.PathLike[str]) -> Volume:
    """Read a scan and prove that it is one.

    The sform places it, else the qform, as nibabel does. A file with neither is refused: its axes are not
    said to be any body axes, and a mask with left and right, or head and feet, swapped looks right.

    Args:
        path: ``.nii`` or ``.nii.gz`` (or any other name; the content counts).

    Returns:
        The image with scl_slope and scl_inter applied: float32 (exact up to 24 bits), or the file's own whole
        numbers of one or two bytes where they are not scaled; Fortran order. A fourth axis of one goes.

    Raises:
        MissingFileError: The file is not there or may not be read.
        NotNiftiError: It is something else, or its header contradicts the standard.
        TruncatedFileError: It ends before its voxels do.
        CorruptFileError: Its gzip checksum or structure is wrong.
        ImageSizeError: It declares an absurd size, or holds more than it declares.
        DimensionError: It is 2-D, 4-D, or has several numbers per voxel (RGB, complex).
        GeometryError: Its affine is missing or unusable.
        NotFiniteError: It holds NaN or infinity.
        EmptyImageError: All voxels are equal.
    """
    return read_nifti_and_digest(path)[0]


def read_nifti_and_digest(path: str | os.PathLike[str]) -> tuple[Volume, str]:
    """As :func:`read_nifti`, with the SHA-256 of the very bytes that the image was made of."""
    name, digest = str(path), hashlib.sha256()
    with streams.open_input(Path(path)) as handle:
        pieces = streams.unpacked(handle, name=name, watch=digest.update)
        try:
            head = _head(pieces)
            header = parse_header(head, name)
            shape, dtype = declared_array(header, name)
            affine = stored_affine(header, name)
            size = math.prod(shape) * dtype.itemsize
            if size > os.fstat(handle.fileno()).st_size * streams.DEFLATE_LIMIT:
                raise TruncatedFileError(
                    f"{name} is too small for the {size:,} bytes of voxels it declares; copy it again."
                )
            content = _content(chain((head,), pieces), header, size, name)
        except SpinepsError:
            left = _MAX_DRAIN  # a damaged stream explains an odd header better than the header does
            while left > 0 and (piece := next(pieces, b"")):
                left -= len(piece)
            raise
    image = _scaled(content.view(dtype).reshape(shape, order="F"), header, name)
    check_signal(image, name)
    return Volume(image, affine, header), digest.hexdigest()


def read_grid(path: str | os.PathLike[str]) -> tuple[tuple[int, ...], np.ndarray]:
    """Read a scan's shape (three axes) and affine (4, 4); the voxels are neither read nor verified.

    Raises:
        SpinepsError: As :func:`read_nifti`, for whatever the header alone can tell.
    """
    name = str(path)
    with streams.open_input(Path(path)) as handle:
        header = parse_header(_head(streams.unpacked(handle, name=name)), name)
    return declared_array(header, name)[0], stored_affine(header, name)


def encode_nifti(array: np.ndarray, *, like: Volume, compress: bool = True) -> bytes:
    """Make the bytes of a NIfTI file that lies where ``like`` lies.

    Args:
        array: uint8 or uint16 label map, or int16 or float32 image, of the shape of ``like``.
        like: Of one from :func:`read_nifti`, sform, qform, codes and voxel sizes are copied by the bit, so
            that every reader puts the mask where it puts the scan. Else its affine is both sform and qform.
        compress: gzip, fastest level, no time stamp: the same input gives the same bytes.

    Returns:
        The whole file. Nothing but the placement is taken over from the header of ``like``: no description,
        name or extension, which may name a patient.

    Raises:
        ContractError: Shape or dtype is not one of these.
    """
    if array.shape != like.shape:
        raise ContractError(
            f"The scan has shape {like.shape}; got an array of {array.shape} to write for it."
        )
    if array.dtype not in (np.uint8, np.uint16, np.int16, np.float32):
        raise ContractError(f"Masks are written as uint8 or uint16, images as float32; got {array.dtype}.")
    kind = Nifti2Header if isinstance(like.header, Nifti2Header) else Nifti1Header
    header = kind(endianness="<")  # type: ignore[no-untyped-call]
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_data_offset(kind.single_vox_offset)
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["intent_code"] = 1002 if array.dtype.kind == "u" else 0  # NIFTI_INTENT_LABEL
    header["descrip"] = f"spineps-rt {__version__}".encode()
    _place(header, like)
    header.set_xyzt_units("mm")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    voxels = (little[:, :, k : k + 8].tobytes(order="F") for k in range(0, array.shape[2], 8))
    pieces = chain((header.binaryblock, bytes(4)), voxels)  # four zero bytes: no extension follows
    return streams.packed(pieces) if compress else b"".join(pieces)


def write_nifti(path: str | os.PathLike[str], array: np.ndarray, *, like: Volume) -> None:
    """Write a mask or image in the space of ``like``, whole or not at all (see :func:`encode_nifti`).

    Args:
        path: Ends in ``.nii`` or ``.nii.gz``; its folder exists. A file there is replaced.
        array: As :func:`encode_nifti` takes it.
        like: The scan that it belongs to.

    Raises:
        ContractError: Name, shape or dtype will not do.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        raise ContractError(f"{path}: a NIfTI file's name ends in .nii or .nii.gz.")
    atomic_write(path, encode_nifti(array, like=like, compress=name.endswith(".gz")))


def _head(pieces: Iterator[bytes]) -> bytes:
    """Take the bytes that hold the header, and what came with them."""
    head = b""
    while len(head) < Nifti2Header.single_vox_offset and (piece := next(pieces, b"")):
        head += piece
    return head


def _content(pieces: Iterator[bytes], header: Nifti1Header, size: int, name: str) -> np.ndarray:
    """Collect the voxels' bytes, uint8 (size,), and follow the stream to its end."""
    offset, first = float(header["vox_offset"]), type(header).single_vox_offset
    if not (first <= offset <= first + MAX_EXTENSIONS and offset.is_integer()):
        raise NotNiftiError(f"{name}: voxels cannot begin at byte {offset:g}. Export it again.")
    begin, end, position = int(offset), int(offset) + size, 0
    content = np.empty(size, np.uint8)
    for piece in pieces:
        part = piece[max(begin - position, 0) : max(end - position, 0)]
        if part:
            start = max(position - begin, 0)
            content[start : start + len(part)] = np.frombuffer(part, np.uint8)
        position += len(piece)
        if position > end + MAX_TRAILING:
            raise ImageSizeError(
                f"{name} holds more than the {size:,} bytes of voxels that it declares; export it again."
            )
    if position < end:
        raise TruncatedFileError(f"{name} ends after {position:,} of {end:,} bytes; copy or export it again.")
    return content


def _scaled(raw: np.ndarray, header: Nifti1Header, name: str) -> np.ndarray:
    try:
        slope, inter = header.get_slope_inter()
    except HeaderDataError as error:
        raise NotFiniteError(f"{name}: its scaling is not finite ({error}); export it again.") from error
    with np.errstate(all="ignore"):  # what overflows becomes infinity, which is refused
        if slope is None or (slope, inter) == (1, 0):
            small = raw.dtype.kind in "iu" and raw.dtype.itemsize <= 2
            return raw.astype(raw.dtype.newbyteorder("=") if small else np.float32, copy=False)
        image = np.empty(raw.shape, np.float32, order="F")
        for k in range(raw.shape[2]):
            image[:, :, k] = raw[:, :, k] * np.float64(slope) + np.float64(inter)
    return image


def check_signal(image: np.ndarray, name: str) -> None:
    """Refuse an image without signal.

    Args:
        image: Any shape.
        name: How messages call it.

    Raises:
        NotFiniteError: A voxel is NaN or infinite.
        EmptyImageError: All voxels are equal.
    """
    low, high = image.min(), image.max()
    if not np.isfinite((low, high)).all():
        bad = image.size - int(np.count_nonzero(np.isfinite(image)))
        raise NotFiniteError(
            f"{name} holds {bad:,} NaN or infinite voxels of {image.size:,}; export it again."
        )
    if low == high:
        raise EmptyImageError(f"{name} holds {low:g} in every voxel; expected a scan with signal.")


def _place(header: Nifti1Header, like: Volume) -> None:
    source, code = like.header, 0
    if isinstance(source, Nifti1Header):
        code = int(source["sform_code"]) or int(source["qform_code"])
    if code and np.array_equal(source.get_best_affine(), like.affine):
        for field in _PLACEMENT:
            header[field] = source[field]
        header["pixdim"][:4] = source["pixdim"][:4]
        if not source["qform_code"]:
            header.set_qform(like.affine, code=0)  # some readers take the voxel sizes from there all the same
        return
    header.set_sform(like.affine, code=code or 1)
    header.set_qform(like.affine, code=code or 1)
