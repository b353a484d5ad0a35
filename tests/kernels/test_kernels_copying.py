"""Copies between memory orders, against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from spineps_rt.kernels.copying import contiguous, copy_into


@pytest.mark.parametrize("shape", [(5, 33, 3), (2, 70, 4), (1, 1, 1), (3, 0, 2)])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("step", [1, -1])
def test_copy_into(shape, axes, step):
    source = np.arange(np.prod(shape), dtype=np.int16).reshape(shape).transpose(axes)[:, ::step]
    target = np.full(np.array(source.shape) + 2, -1, np.float32)
    inner = target[1:-1, 1:-1, 1:-1]
    copy_into(inner, source)
    np.testing.assert_array_equal(inner, source)
    assert (target == -1).sum() == target.size - source.size


def test_contiguous_copies_only_what_is_not():
    array = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    assert contiguous(array) is array
    answer = contiguous(array.T)
    assert answer.flags.c_contiguous
    assert answer.dtype == array.dtype
    np.testing.assert_array_equal(answer, array.T)
