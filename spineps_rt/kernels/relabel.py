"""Replace labels by way of a lookup table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.kernels.arrays import label_array
from spineps_rt.kernels.jit import njit
from spineps_rt.kernels.threads import each, slabs


@njit
def _look_up(labels: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    for k in range(labels.size):
        out[k] = table[labels[k]]


def map_labels(labels: np.ndarray, mapping: Mapping[int, int], *, keep_others: bool = True) -> np.ndarray:
    """Replace labels.

    Equals TPTBox ``np_map_labels``; all replacements happen at once, so labels can be swapped.

    Args:
        labels: Label map, 3-D, bool or any integers.
        mapping: Old label -> new label, 0 included.
        keep_others: Leave labels that the mapping lacks; else they become 0.

    Returns:
        A new array of the same shape and type, or of a wider type where the new labels need it.

    Raises:
        ContractError: If the array is no 3-D label map or a label is negative.
    """
    clean = label_array(labels)
    if any(number < 0 for pair in mapping.items() for number in pair):
        raise ContractError(f"The mapping {dict(mapping)} holds a negative label; labels are 0 or more.")
    dtype = clean.dtype if labels.dtype == np.bool_ else labels.dtype
    if max(mapping.values(), default=0) > np.iinfo(dtype).max:
        dtype = np.result_type(dtype, np.min_scalar_type(max(mapping.values())))
    return look_up(
        clean, table_of(mapping, highest=int(clean.max(initial=0)), dtype=dtype, keep_others=keep_others)
    )


def table_of(mapping: Mapping[int, int], *, highest: int, dtype: np.dtype, keep_others: bool) -> np.ndarray:
    """Make the lookup table of a mapping.

    Args:
        mapping: Old label -> new label.
        highest: Highest label that will be looked up.
        dtype: Type of the new labels.
        keep_others: Leave labels that the mapping lacks; else they become 0.

    Returns:
        Array of highest + 1 entries.
    """
    table = np.arange(highest + 1).astype(dtype) if keep_others else np.zeros(highest + 1, dtype)
    for old, new in mapping.items():
        if old <= highest:
            table[old] = new
    return table


def look_up(labels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Gather ``table[labels]``.

    Args:
        labels: Label map, 3-D, bool or any integers.
        table: New value of each label.

    Returns:
        A new array of the labels' shape and the table's type.

    Raises:
        ContractError: If the array is no 3-D label map or holds a label beyond the table.
    """
    labels = label_array(labels)
    if labels.size and int(labels.max()) >= table.size:
        raise ContractError(f"The label map holds {int(labels.max())}; the table ends at {table.size - 1}.")
    out = np.empty(labels.shape, table.dtype)
    spans = slabs(labels.shape[0], labels.size)
    each(_look_up, [(labels[a:b].reshape(-1), table, out[a:b].reshape(-1)) for a, b in spans])
    return out
