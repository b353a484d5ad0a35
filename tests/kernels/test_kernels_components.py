"""Connected components against scipy, and against cc3d's own numbering on a case worked by hand."""

import numpy as np
import pytest

import reference
from spineps_rt.errors import ContractError
from spineps_rt.kernels import components, threads

MAPS = reference.label_maps()


@pytest.fixture(params=[False, True], ids=["one slab", "a slab a slice"])
def slabs(request, monkeypatch):
    """Small arrays are never cut; with this they are, so that seams are joined too."""
    if request.param:
        monkeypatch.setattr(threads, "MINIMAL_VOXELS", 1)
        monkeypatch.setattr(threads, "cores", lambda: 4)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("name", MAPS)
def test_label_equals_scipy(name, connectivity, merged, slabs):
    ids, n = components.label(MAPS[name], connectivity=connectivity, merged=merged)
    expected, expected_n = reference.label(MAPS[name], connectivity, merged)
    assert n == expected_n
    assert ids.dtype == np.uint16
    np.testing.assert_array_equal(ids, expected)


def test_runs_that_touch_at_equal_stops_are_joined_diagonally():
    rows = np.array([[1, 1, 1, 2, 2, 0], [0, 1, 1, 2, 2, 2], [2, 2, 2, 1, 1, 1]], np.uint8)
    ids, n = components.label(rows[None], connectivity=18)
    assert n == 2
    np.testing.assert_array_equal(ids[0], rows)


def test_components_are_numbered_by_first_voxel_in_c_order():
    labels = np.zeros((2, 2, 3), np.uint8)
    labels[0, 1, 2], labels[1, 0, 0], labels[0, 0, 2] = 1, 1, 5
    ids, n = components.label(labels, connectivity=6)
    assert (n, ids[0, 0, 2], ids[0, 1, 2], ids[1, 0, 0]) == (3, 1, 2, 3)


def test_many_components_get_wider_numbers():
    board = (np.indices((1, 256, 514)).sum(axis=0) % 2).astype(np.uint8)
    ids, n = components.label(board, connectivity=6)
    assert (n, ids.dtype) == (65792, np.uint32)
    np.testing.assert_array_equal(ids[board != 0], np.arange(1, n + 1))


@pytest.mark.parametrize("per_label", [False, True])
@pytest.mark.parametrize("k", [0, 1, 2, 100])
@pytest.mark.parametrize("name", MAPS)
def test_keep_largest_keeps_labels_and_type(name, k, per_label):
    found = components.keep_largest(MAPS[name], k, connectivity=18, per_label=per_label)
    assert found.dtype == MAPS[name].dtype
    np.testing.assert_array_equal(found, MAPS[name] * reference.kept(MAPS[name], 18, k, 0, per_label))


@pytest.mark.parametrize(
    ("labels", "connectivity", "complaint"),
    [
        (np.zeros((4, 4), np.uint8), 26, "2 dimensions"),
        (np.zeros((2, 2, 2), np.float32), 26, "float32"),
        (np.full((2, 2, 2), -1), 26, "-1"),
        (np.full((2, 2, 2), 2**40), 26, str(2**40)),
        (np.zeros((2, 2, 2), np.uint8), 3, "connectivity 3"),
    ],
)
def test_bad_input_is_named(labels, connectivity, complaint):
    with pytest.raises(ContractError, match=complaint):
        components.label(labels, connectivity=connectivity)


@pytest.mark.parametrize("minimum", [0, 2, 4, 1000])
@pytest.mark.parametrize("name", MAPS)
def test_dust_removes_small_components(name, minimum):
    found = components.dust(MAPS[name], minimum, connectivity=18)
    assert found.dtype == MAPS[name].dtype
    np.testing.assert_array_equal(found, MAPS[name] * reference.kept(MAPS[name], 18, minimum=minimum))


@pytest.mark.parametrize("labels", [1, 2, 6])
@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_noise(labels, connectivity, slabs):
    rng = np.random.default_rng(labels)
    noise = (rng.integers(1, labels + 1, (9, 8, 11)) * (rng.random((9, 8, 11)) < 0.6)).astype(np.uint8)
    ids, n = components.label(noise, connectivity=connectivity)
    expected, expected_n = reference.label(noise, connectivity)
    assert n == expected_n
    np.testing.assert_array_equal(ids, expected)
