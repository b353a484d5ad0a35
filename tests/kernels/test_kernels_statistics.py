"""Sizes, boxes, centroids, co-occurrence and contacts against counting voxel by voxel."""

import numpy as np
import pytest

import reference
from spineps_rt.errors import ContractError
from spineps_rt.kernels import contacts, statistics, threads

MAPS = reference.label_maps()


@pytest.fixture(params=[False, True], ids=["one slab", "a slab a slice"])
def slabs(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(threads, "MINIMAL_VOXELS", 1)
        monkeypatch.setattr(threads, "cores", lambda: 4)


@pytest.mark.parametrize("name", [name for name in MAPS if name != "label 65535"])
def test_region_statistics_equal_counting(name, slabs):
    n = int(MAPS[name].max(initial=0)) + 2
    found = statistics.region_statistics(MAPS[name], n)
    sizes, boxes, centroids = reference.sizes_boxes_centroids(MAPS[name], n)
    np.testing.assert_array_equal(found.sizes, sizes)
    np.testing.assert_array_equal(found.boxes, boxes)
    np.testing.assert_array_equal(found.centroids, centroids)
    assert (found.sizes.dtype, found.boxes.dtype, found.centroids.dtype) == (np.int64, np.int32, np.float64)
    assert found.present == reference.present(MAPS[name])


def test_region_statistics_take_the_highest_label_for_n():
    assert len(statistics.region_statistics(MAPS["label 65535"]).sizes) == 65536


def test_region_statistics_refuse_a_label_above_n():
    with pytest.raises(ContractError, match="label 255, above n = 9"):
        statistics.region_statistics(MAPS["label 255"], 9)
    with pytest.raises(ContractError, match="huge table"):
        statistics.region_statistics(np.full((1, 1, 1), 2**32 - 1, np.uint32))


def test_box_with_margin_stays_in_the_volume():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[0:2, 2, 5] = 3
    found = statistics.region_statistics(labels)
    assert labels[found.box(3)].shape == (2, 1, 1)
    assert labels[found.box(3, margin=1)].shape == (3, 3, 2)


@pytest.mark.parametrize("margin", [0, 2])
@pytest.mark.parametrize("name", MAPS)
def test_nonzero_box(name, margin, slabs):
    labels, box = MAPS[name], statistics.nonzero_box(MAPS[name], margin=margin)
    voxels = np.argwhere(labels)
    if not len(voxels):
        assert box is None
        return
    low, high = (
        np.maximum(voxels.min(axis=0) - margin, 0),
        np.minimum(voxels.max(axis=0) + 1 + margin, labels.shape),
    )
    assert [(s.start, s.stop) for s in box] == list(zip(low.tolist(), high.tolist()))


@pytest.mark.parametrize("name", MAPS)
def test_joint_counts_equal_counting(name, slabs):
    other = np.roll(MAPS[name], 1, axis=1).astype(np.uint16) % 5
    found = statistics.joint_counts(MAPS[name], other)
    np.testing.assert_array_equal(found, reference.joint_counts(MAPS[name], other))


def test_joint_counts_refuse_other_shapes_and_huge_tables():
    with pytest.raises(ContractError, match="same voxels"):
        statistics.joint_counts(MAPS["uint8"], MAPS["all full"])
    with pytest.raises(ContractError, match="65535 and 65535"):
        statistics.joint_counts(MAPS["label 65535"], MAPS["label 65535"])


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("name", MAPS)
def test_contacts_equal_counting(name, connectivity, slabs):
    assert contacts.contacts(MAPS[name], connectivity=connectivity) == reference.contacts(
        MAPS[name], connectivity
    )


def test_contacts_refuse_labels_too_many_or_too_high(monkeypatch):
    monkeypatch.setattr(contacts, "MANY", 2)
    with pytest.raises(ContractError, match="3 labels"):
        contacts.contacts(MAPS["uint8"])
    with pytest.raises(ContractError, match="Renumber"):
        contacts.contacts(np.full((1, 1, 1), 2**32 - 1, np.uint32))
