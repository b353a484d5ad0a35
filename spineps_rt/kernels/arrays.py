"""What every kernel accepts: checked and converted once, at the entrance."""

from __future__ import annotations

import numpy as np

from spineps_rt.errors import ContractError

MAXIMAL_DISTANCE = {6: 1, 18: 2, 26: 3}
"""Connectivity -> city-block distance up to which two voxels are neighbours (TPTBox counts it 1, 2, 3)."""


def label_array(array: np.ndarray, *, name: str = "labels") -> np.ndarray:
    """View or convert a label map into the three types that kernels are compiled for.

    uint8, uint16 and uint32 pass as they are, bool is viewed as uint8, other integers are converted to
    the smallest of the three that holds them.

    Args:
        array: Label map, 3-D, any memory order.
        name: How an error calls the array.

    Returns:
        A C-contiguous array of the same shape; it shares the input's memory where that is possible.

    Raises:
        ContractError: If the array is not 3-D, not of integers, or holds negative or huge numbers.
    """
    array = np.asarray(array)
    if array.ndim != 3:
        raise ContractError(
            f"{name} has {array.ndim} dimensions; a kernel takes 3-D arrays. Pass one volume."
        )
    if array.dtype == np.bool_:
        return np.ascontiguousarray(array).view(np.uint8)
    if array.dtype in (np.uint8, np.uint16, np.uint32):
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.integer):
        raise ContractError(
            f"{name} is of {array.dtype}; labels are integers. Convert it, for instance to uint16."
        )
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 or high > np.iinfo(np.uint32).max:
        raise ContractError(f"{name} holds {low} to {high}; labels run from 0 to 4294967295. Renumber them.")
    return np.ascontiguousarray(
        array, dtype=np.uint8 if high < 256 else np.uint16 if high < 65536 else np.uint32
    )


def same_shape(first: np.ndarray, second: np.ndarray) -> None:
    """Refuse two arrays of different shapes.

    Raises:
        ContractError: If the shapes differ.
    """
    if first.shape != second.shape:
        raise ContractError(
            f"Got arrays of shapes {first.shape} and {second.shape}; both must cover the same voxels."
        )


def number_type(highest: int) -> type[np.unsignedinteger]:
    """Choose the type that holds numbers up to a highest: uint16 or uint32."""
    return np.uint16 if highest < 1 << 16 else np.uint32


def check_connectivity(connectivity: int) -> None:
    """Refuse neighbourhoods that do not exist.

    Raises:
        ContractError: If the connectivity is none of 6, 18 and 26.
    """
    if connectivity not in MAXIMAL_DISTANCE:
        raise ContractError(f"Got connectivity {connectivity}; it must be 6, 18 or 26.")


def row_reaches(connectivity: int) -> np.ndarray:
    """Tell how far a voxel's neighbourhood reaches along axis 2 in each of the 3 x 3 rows around it.

    Args:
        connectivity: 6 (faces), 18 (and edges) or 26 (and corners).

    Returns:
        int64 (3, 3), indexed by the row's offsets plus one: -1 no neighbour in that row, 0 the voxel
        straight across, 1 also the two beside it.

    Raises:
        ContractError: If the connectivity is none of the three.
    """
    check_connectivity(connectivity)
    distance = np.abs(np.arange(-1, 2))[:, None] + np.abs(np.arange(-1, 2))[None, :]
    return np.clip(MAXIMAL_DISTANCE[connectivity] - distance, -1, 1).astype(np.int64)
