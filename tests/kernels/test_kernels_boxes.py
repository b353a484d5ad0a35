"""Boxes against the voxels that they hold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spineps_rt.kernels.boxes import hull, meet, overlap, within

SHAPE = (5, 6)
BOXES = [np.s_[0:2, 1:4], np.s_[1:5, 3:6], np.s_[2:3, 0:1], np.s_[0:5, 0:6]]


def voxels(box):
    mask = np.zeros(SHAPE, bool)
    mask[box] = True
    return mask


@pytest.mark.parametrize(("a", "b"), list(itertools.product(BOXES, BOXES)))
def test_meeting_and_hull_of_two_boxes(a, b):
    both, common = voxels(a) & voxels(b), meet(a, b)
    assert (common is None) == (not both.any())
    if common is not None:
        np.testing.assert_array_equal(voxels(common), both)
    rows, columns = np.nonzero(voxels(a) | voxels(b))
    around = hull([a, b])
    assert around == np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    np.testing.assert_array_equal(voxels(around)[around][within(around, a)], voxels(a)[a])


@pytest.mark.parametrize("size", [(2, 3), (9, 9)])
@pytest.mark.parametrize("first", [(0, 0), (-1, 4), (3, -2)])
def test_a_window_that_hangs_over_shares_what_padding_would_show(first, size):
    array, window = np.arange(1, 31).reshape(SHAPE), np.zeros(size, int)
    inside, place = overlap(first, size, SHAPE)
    window[place] = array[inside]
    low = tuple(a + 9 for a in first)
    expected = np.pad(array, 9)[low[0] : low[0] + size[0], low[1] : low[1] + size[1]]
    np.testing.assert_array_equal(window, expected)
