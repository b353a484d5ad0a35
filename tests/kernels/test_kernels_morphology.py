"""Dilation, erosion and hole filling against scipy, label by label."""

import numpy as np
import pytest

import reference
from spineps_rt.errors import ContractError
from spineps_rt.kernels import holes, morphology

MAPS = reference.label_maps()


@pytest.mark.parametrize("iterations", [0, 1, 2])
@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("name", MAPS)
def test_dilate_equals_label_by_label(name, connectivity, iterations):
    labels = MAPS[name]
    before = labels.copy()
    found = morphology.dilate(labels, iterations=iterations, connectivity=connectivity)
    assert found.dtype == labels.dtype
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, reference.dilate(labels, iterations, connectivity))
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("name", MAPS)
def test_dilate_within_a_mask(name, connectivity, iterations):
    mask = np.random.default_rng(5).random(MAPS[name].shape) < 0.6
    found = morphology.dilate(MAPS[name], iterations=iterations, connectivity=connectivity, mask=mask)
    np.testing.assert_array_equal(found, reference.dilate(MAPS[name], iterations, connectivity, mask))


def test_the_lowest_label_wins_and_seeds_from_outside_the_mask():
    labels, mask = np.zeros((1, 1, 7), np.uint8), np.ones((1, 1, 7), np.uint8)
    labels[0, 0, 0], labels[0, 0, 2], labels[0, 0, 6], mask[0, 0, 0], mask[0, 0, 6] = 2, 9, 9, 0, 0
    found = morphology.dilate(labels, mask=mask)
    np.testing.assert_array_equal(found[0, 0], [0, 2, 9, 9, 0, 0, 0])


@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("name", MAPS)
def test_erode_equals_label_by_label(name, connectivity, iterations):
    labels = MAPS[name]
    before = labels.copy()
    found = morphology.erode(labels, iterations=iterations, connectivity=connectivity)
    assert found.dtype == labels.dtype
    np.testing.assert_array_equal(found, reference.erode(labels, iterations, connectivity))
    np.testing.assert_array_equal(labels, before)


def test_erode_keeps_the_heart_of_a_cube():
    cube = np.zeros((7, 7, 7), np.uint16)
    cube[1:6, 1:6, 1:6] = 300
    found = morphology.erode(cube, iterations=2, connectivity=26)
    assert found[3, 3, 3] == 300
    assert np.count_nonzero(found) == 1


def hollow():
    """A shell of 4 with a 9 in its hollow, inside a bigger shell of 2 that is open at the volume's edge."""
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[1:8, 1:8, 1:8], labels[2:7, 2:7, 2:7] = 2, 0
    labels[2:5, 2:5, 2:5], labels[3, 3, 3] = 4, 0
    labels[8, :, :], labels[8, 4, 4] = 7, 0
    return labels


@pytest.mark.parametrize("ids", [None, [2], [4, 2], [2, 4], [5, 200], []])
def test_fill_holes_in_order(ids):
    labels = hollow()
    labels[5, 5, 5] = 9
    found = holes.fill_holes(labels, ids)
    np.testing.assert_array_equal(found, reference.fill_holes(labels, ids))
    if ids is None:
        assert (found[3, 3, 3], found[5, 5, 5], found[6, 6, 6], found[8, 4, 4]) == (2, 9, 2, 0)


@pytest.mark.parametrize("name", MAPS)
def test_fill_holes_equals_scipy(name):
    labels = MAPS[name]
    found = holes.fill_holes(labels)
    assert found.dtype == labels.dtype
    np.testing.assert_array_equal(found, reference.fill_holes(labels))


@pytest.mark.parametrize("full", [0.3, 0.6, 0.8])
def test_fill_holes_of_noise(full):
    mask = np.random.default_rng(8).random((9, 10, 11)) < full
    np.testing.assert_array_equal(holes.fill_holes(mask), reference.fill_holes(mask))


def test_mask_of_another_shape_is_refused():
    with pytest.raises(ContractError, match="same voxels"):
        morphology.dilate(MAPS["uint8"], mask=MAPS["all full"])
