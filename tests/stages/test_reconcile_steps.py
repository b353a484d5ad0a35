"""Each step of the reconciliation against a slow twin or a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from spine_column import PITCH, SPACING, TOP, column, column_with_split_top
from spineps_rt import labels
from spineps_rt.stages.reconcile import articular, endplates, numbering, posterior, split_top, unassigned_bone

EDGES = ndimage.generate_binary_structure(3, 2)
FACES = ndimage.generate_binary_structure(3, 1)
CORNERS = ndimage.generate_binary_structure(3, 3)


def slow_missing(semantic, instances):
    """SPINEPS's rule, component by component, on whole volumes."""
    semantic, instances = semantic.copy(), instances.copy()
    bone = np.isin(semantic, unassigned_bone.BONE)
    ids = [i for i in np.unique(instances) if i]
    for _ in range(unassigned_bone.GROWTH):
        for i in ids:
            grown = ndimage.binary_dilation(instances == i, FACES)
            instances[grown & (instances == 0)] = i
            instances[~bone] = 0
    components, n = ndimage.label(bone & (instances == 0), EDGES)
    for c in range(1, n + 1):
        around = instances[ndimage.binary_dilation(components == c, EDGES)]
        votes = np.bincount(around[around > 0], minlength=1)
        instances[components == c] = votes.argmax()
        semantic[(components == c) & (votes.sum() == 0)] = 0
    return semantic, instances


def slow_split(semantic, instances):
    """SPINEPS's rounds, every vertebra dilated in the whole volume."""
    plate = semantic == labels.ENDPLATE
    out = np.zeros(semantic.shape, np.int64)
    ids = [int(i) for i in np.unique(instances) if 0 < i < 40]
    grown = {i: instances == i for i in ids}
    before, old = 1, -1
    for _ in range(endplates.ROUNDS):
        new = int(np.isin(out, (52, 53)).sum())
        if (new == old and old) or new == plate.sum():
            break
        old = new
        for i in ids:
            grown[i] = ndimage.binary_dilation(grown[i], CORNERS)
            reached = plate & grown[i] & ~np.isin(out, (52, 53))
            value = np.where(instances == 200 + before, 52, np.where(instances == 200 + i, 53, instances))
            out[reached] += value[reached]
            before = i
    untouched = plate & (out == 0)
    result = np.where(plate, np.where(np.isin(out, (52, 53)), out, 0), semantic)
    return np.where(untouched, labels.ENDPLATE, result)


@pytest.mark.parametrize("seed", range(6))
def test_missing_bone_equals_its_slow_twin(seed):
    rng = np.random.default_rng(seed)
    semantic = rng.choice([0, 0, 0, 0, 0, 0, 41, 49, 51, 60, 100], (14, 15, 16)).astype(np.uint8)
    instances = (rng.integers(1, 5, semantic.shape) * (rng.random(semantic.shape) < 0.015)).astype(np.uint16)
    expected = slow_missing(semantic, instances)
    fixed, grown, deleted = unassigned_bone.assign(semantic, instances)
    np.testing.assert_array_equal(fixed, expected[0])
    np.testing.assert_array_equal(grown, expected[1])
    assert deleted == np.count_nonzero(fixed != semantic) > 0


def test_covered_bone_is_left_and_instances_end_with_it():
    c = column()
    c.instances[4:14, TOP + 7, 2:10] = 11
    semantic, instances, deleted = unassigned_bone.assign(c.semantic, c.instances)
    np.testing.assert_array_equal(instances, column().instances)
    np.testing.assert_array_equal(semantic, c.semantic)
    assert deleted == 0


@pytest.mark.parametrize("seed", range(8))
def test_endplates_equal_their_slow_twin(seed):
    rng = np.random.default_rng(seed)
    instances = rng.choice([0, 2, 3, 5, 26, 80, 102], (20, 30, 21), p=[0.994] + [0.001] * 6).astype(np.uint16)
    semantic = np.where(rng.random(instances.shape) < 0.02, labels.ENDPLATE, 60).astype(np.uint8)
    if seed == 7:
        instances[np.isin(instances, (2, 5, 26))] = 3  # a single vertebra is its own predecessor
    plates = semantic == labels.ENDPLATE
    instances[plates] = rng.choice([201, 202, 203, 205, 226], np.count_nonzero(plates))
    expected = slow_split(semantic, instances)
    result, deleted = endplates.split(semantic, instances, keep_contested=False)
    np.testing.assert_array_equal(result, expected)
    assert deleted == np.count_nonzero(expected == 0) > 0


def test_plates_out_of_reach_stay_endplate():
    semantic, instances = np.zeros((40, 4, 4), np.uint8), np.zeros((40, 4, 4), np.uint16)
    instances[0], instances[39] = 2, 3
    semantic[[14, 16]], instances[[14, 16]] = labels.ENDPLATE, 202
    result, _ = endplates.split(semantic, instances)
    assert result[:, 0, 0].tolist() == [*[0] * 14, labels.ENDPLATE_INFERIOR, 0, labels.ENDPLATE, *[0] * 23]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([4, 4, 4, 3, 3], [4, 4, 4, 3, 3]),  # 2 of 5 is not less than half of 3
        ([4, 4, 4, 3, 0], [4, 4, 4, 4, 4]),
        ([0, 0, 0, 3, 0], [0, 0, 0, 0, 0]),  # background counts as an instance
        ([4, 4, 3, 3, 3], [4, 4, 3, 3, 3]),
        ([4, 4, 3, 2, 1], [4, 4, 3, 2, 1]),  # exactly half is not less
        ([5, 5, 5, 5, 5], [5, 5, 5, 5, 5]),
    ],
)
def test_an_articular_process_follows_its_dominant_instance(cells, expected):
    semantic = np.zeros((3, 7, 3), np.uint8)
    semantic[1, 1:6, 1] = labels.SUPERIOR_ARTICULAR_LEFT
    instances = np.zeros((3, 7, 3), np.uint16)
    instances[1, 1:6, 1] = cells
    assert articular.unify(semantic, instances)[1, 1:6, 1].tolist() == expected


def test_two_articular_processes_are_two_even_where_they_touch():
    semantic = np.full((1, 6, 1), labels.SUPERIOR_ARTICULAR_LEFT, np.uint8)
    semantic[0, 3:] = labels.INFERIOR_ARTICULAR_LEFT
    instances = np.array([4, 4, 4, 3, 3, 3], np.uint16).reshape(1, 6, 1)
    np.testing.assert_array_equal(articular.unify(semantic, instances), instances)


def joined(c, *, axis: int = 1, sign: int = 1) -> bool:
    result, told = split_top.join_split_top(c.semantic, c.instances, spacing=SPACING, axis=axis, sign=sign)
    changed = c.instances == 21
    np.testing.assert_array_equal(result[~changed], c.instances[~changed])
    assert set(np.unique(result[changed])) == {13 if told else 21}
    return told


def test_a_split_top_vertebra_is_joined():
    assert joined(column_with_split_top())


@pytest.mark.parametrize(
    "case", [{"disc": True}, {"cut": 3}, {"gap": 1}], ids=["disc between", "not smaller", "not touching"]
)
def test_two_vertebrae_on_top_are_not_joined(case):
    assert not joined(column_with_split_top(**case))


def test_the_height_axis_is_the_callers():
    # SPINEPS takes the input's axis 1: sorted from below, the top is the bottom, and nothing is joined there
    assert not joined(column_with_split_top(), sign=-1)


def loose_piece(semantic_id: int = labels.ARCUS, *, owner: int = 13):
    """A piece of the top vertebra beside the second one's spinous process."""
    c = column()
    at = (slice(26, 28), slice(TOP + PITCH + 2, TOP + PITCH + 4), slice(5, 7))
    c.semantic[at], c.instances[at] = semantic_id, owner
    return c, at


def test_a_loose_posterior_piece_moves_to_its_neighbour():
    c, at = loose_piece()
    result = posterior.move_loose_pieces(c.semantic, c.instances)
    assert set(np.unique(result[at])) == {12}
    result[at] = 13
    np.testing.assert_array_equal(result, c.instances)


@pytest.mark.parametrize("case", ["corpus", "far", "two neighbours", "beyond 25", "fourth piece"])
def test_other_pieces_stay(case):
    owner = 30 if case == "beyond 25" else 13
    c, _ = loose_piece(labels.CORPUS if case == "corpus" else labels.ARCUS, owner=owner)
    c.instances[c.instances == 13] = owner
    if case == "far":
        c.instances[c.instances == 12] = 0
    if case == "two neighbours":
        c.semantic[28, TOP + PITCH + 2, 5], c.instances[28, TOP + PITCH + 2, 5] = labels.CORPUS, 11
    if case == "fourth piece":
        for start in (0, 4):
            c.instances[0:3, start : start + 3, 0:3] = owner
    result = posterior.move_loose_pieces(c.semantic, c.instances)
    np.testing.assert_array_equal(result, c.instances)


def test_the_largest_piece_stays_whatever_it_is():
    c, at = loose_piece()
    c.instances[c.instances == 13] = 0
    c.instances[at] = 13
    np.testing.assert_array_equal(posterior.move_loose_pieces(c.semantic, c.instances), c.instances)


def test_instances_are_numbered_by_height_not_by_id():
    instances = np.zeros((2, 9, 2), np.uint16)
    instances[:, 6], instances[:, 1], instances[:, 3:5] = 1, 40, 7
    assert numbering.from_top(instances) == [40, 7, 1]
    numbered = numbering.number(instances, {40: 0, 7: 1, 1: 2}, [2, 3, 4])
    assert numbered[0, :, 0].tolist() == [0, 2, 0, 3, 3, 0, 4, 0, 0]
