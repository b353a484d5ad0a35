"""Relabelling against a dictionary look-up voxel by voxel."""

import numpy as np
import pytest

import reference
from spineps_rt.errors import ContractError
from spineps_rt.kernels import relabel

MAPS = reference.label_maps()


@pytest.mark.parametrize("keep_others", [True, False])
@pytest.mark.parametrize("mapping", [{}, {1: 2, 2: 1}, {0: 3, 255: 1}, {7: 0, 90: 4}])
@pytest.mark.parametrize("name", MAPS)
def test_map_labels_equals_a_dictionary(name, mapping, keep_others):
    found = relabel.map_labels(MAPS[name], mapping, keep_others=keep_others)
    np.testing.assert_array_equal(found, reference.map_labels(MAPS[name], mapping, keep_others))


def test_type_is_kept_and_grows_only_when_it_must():
    labels = MAPS["uint8"]
    assert relabel.map_labels(labels, {1: 255}).dtype == np.uint8
    assert relabel.map_labels(labels, {1: 256}).dtype == np.uint16
    assert relabel.map_labels(MAPS["int32"], {1: 256}).dtype == np.int32


def test_bad_labels_are_named():
    with pytest.raises(ContractError, match="negative"):
        relabel.map_labels(MAPS["uint8"], {1: -1})
    with pytest.raises(ContractError, match="holds 7; the table ends at 2"):
        relabel.look_up(MAPS["all full"], np.zeros(3, np.uint8))
