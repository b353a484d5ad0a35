"""Connected components of label maps, as cc3d numbers them."""

from __future__ import annotations

import numpy as np

from spineps_rt.kernels import _runs
from spineps_rt.kernels.arrays import check_connectivity, label_array, number_type


def label(labels: np.ndarray, *, connectivity: int = 26, merged: bool = False) -> tuple[np.ndarray, int]:
    """Number the connected components of a label map.

    Two neighbouring voxels belong together if they carry the same nonzero label. Components are numbered in
    the order of their first voxel in C order: this is the order of ``cc3d.connected_components`` for a
    C-ordered array, on which SPINEPS 2.1.3 depends where it breaks ties between components. (cc3d numbers a
    Fortran-ordered array in Fortran order; TPTBox hands it the C-ordered copies of ``get_seg_array``.)
    TPTBox's connectivity 1, 2, 3 is 6, 18, 26 here.

    Args:
        labels: Label map, 3-D, bool or any integers.
        connectivity: 6 (faces), 18 (and edges) or 26 (and corners).
        merged: Take all nonzero labels for one.

    Returns:
        Array of the same shape, 0 where the label is 0, of uint16 or, of more than 65535 components, uint32;
        and the number of components n.

    Raises:
        ContractError: If the array is no 3-D label map or the connectivity is unknown.
    """
    labels = label_array(labels)
    check_connectivity(connectivity)
    runs = _runs.find(labels, merged=merged)
    numbers, total = _runs.join(runs, connectivity)
    return _runs.paint(runs, numbers.astype(number_type(total))), total


def keep_largest(
    labels: np.ndarray, k: int = 1, *, connectivity: int = 26, per_label: bool = True
) -> np.ndarray:
    """Zero everything but the k largest components of each label; of one size the earlier in C order stays.

    Args:
        labels: Label map, 3-D, bool or any integers.
        k: How many components to keep.
        connectivity: 6, 18 or 26.
        per_label: Keep k of each label; else k in all.

    Returns:
        A new array of the same type.

    Raises:
        ContractError: If the array is no 3-D label map or the connectivity is unknown.
    """
    found = _Components(label_array(labels), connectivity)
    return found.select(found.largest(k, per_label=per_label), labels.dtype)


def dust(labels: np.ndarray, minimum: int, *, connectivity: int = 26) -> np.ndarray:
    """Zero the components of fewer voxels than a threshold.

    Equals ``cc3d.dust`` and TPTBox ``np_filter_connected_components(min_volume=...)``.

    Args:
        labels: Label map, 3-D, bool or any integers.
        minimum: Components of fewer voxels than this go.
        connectivity: 6, 18 or 26.

    Returns:
        A new array of the same type.

    Raises:
        ContractError: If the array is no 3-D label map or the connectivity is unknown.
    """
    found = _Components(label_array(labels), connectivity)
    return found.select(found.sizes >= minimum, labels.dtype)


class _Components:
    """The components of a label map as runs, with their sizes and labels."""

    def __init__(self, labels: np.ndarray, connectivity: int) -> None:
        check_connectivity(connectivity)
        self.runs = _runs.find(labels, merged=False)
        table = self.runs.table
        self.numbers, n = _runs.join(self.runs, connectivity)
        self.sizes, self.owners = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.uint32)
        np.add.at(self.sizes, self.numbers, table[:, 1] - table[:, 0])
        self.owners[self.numbers] = table[:, 2]

    def largest(self, k: int, *, per_label: bool) -> np.ndarray:
        """Tell of each component whether it is among the k largest, bool (n + 1)."""
        order = 1 + np.argsort(-self.sizes[1:], kind="stable")
        if per_label:
            order = order[np.argsort(self.owners[order], kind="stable")]
            values = self.owners[order]
            order = order[np.arange(len(order)) - np.searchsorted(values, values) < k]
        else:
            order = order[:k]
        kept = np.zeros(len(self.sizes), np.bool_)
        kept[order] = True
        return kept

    def select(self, kept: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Map of the labels of the components that are kept."""
        return _runs.paint(self.runs, (self.runs.table[:, 2] * kept[self.numbers]).astype(dtype))
