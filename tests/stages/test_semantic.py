import numpy as np
import pytest

from reference import label
from spineps_rt.errors import ContractError, NoSpineError
from spineps_rt.options import SemanticOptions
from spineps_rt.stages.semantic_cleaning import CLEANED, clean

SPACING = (0.75, 0.75, 1.65)
NOTHING = SemanticOptions(clean_small_components=False, clean_beyond_largest_box=False, fill_holes=False)


def spine():
    labels = np.zeros((40, 90, 20), np.uint8)
    labels[10:20, 20:70, 5:15] = 49
    labels[10:20, 40:44, 5:15] = 100
    return labels


def run(labels, *, spacing=SPACING, **steps):
    options = SemanticOptions(**{**vars(NOTHING), **steps})
    return clean(labels, spacing=spacing, options=options)


def test_a_clean_mask_stays_and_is_not_written_to():
    labels = spine()
    before = labels.copy()
    result = clean(labels, spacing=SPACING)
    np.testing.assert_array_equal(result, before)
    np.testing.assert_array_equal(labels, before)
    assert result is not labels
    assert result.dtype == np.uint8


def test_components_below_thirty_voxels_go_unless_they_are_thin_by_nature():
    labels = spine()
    labels[20:22, 30:32, 5:12] = 41  # 28 voxels
    labels[20:22, 50:53, 5:10] = 41  # 30 voxels
    labels[20, 60, 5:10] = 62
    labels[20, 63, 5:10] = 60
    labels[20, 66, 5:10] = 26
    expected = labels.copy()
    expected[20:22, 30:32] = 0
    np.testing.assert_array_equal(run(labels, clean_small_components=True), expected)


def test_small_components_join_over_faces_only():
    labels = spine()
    labels[22:25, 30:33, 5:8] = 42
    labels[25:28, 33:36, 5:8] = 42  # 27 voxels each, joined by an edge
    np.testing.assert_array_equal(run(labels, clean_small_components=True), spine())


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_smallest_size_is_a_volume(scale):
    labels = spine()
    labels[22:26, 30:34, 5:11] = 42  # 96 voxels
    kept = run(labels, spacing=[s * scale for s in SPACING], clean_small_components=True)
    np.testing.assert_array_equal(kept, spine() if scale < 1 else labels)


def test_a_full_mask_is_not_cleaned():
    labels = np.full((4, 4, 4), 49, np.uint8)
    labels[0, 0, 0] = 41
    np.testing.assert_array_equal(run(labels, clean_small_components=True), labels)


def test_small_components_equal_the_slow_twin():
    rng = np.random.default_rng(5)
    labels = rng.choice(
        np.array([0, 41, 49, 60, 61, 100], np.uint8), (12, 14, 10), p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.05]
    )
    ids, n = label(labels, 6)
    expected = labels.copy()
    for k in range(1, n + 1):
        if (ids == k).sum() < 30 and labels[ids == k][0] in CLEANED:
            expected[ids == k] = 0
    assert (expected != labels).any()
    np.testing.assert_array_equal(run(labels, clean_small_components=True), expected)


def far(labels, box, value=49):
    added = labels.copy()
    added[box] = value
    return added


@pytest.mark.parametrize(
    ("box", "joins"),
    [
        (np.s_[10:20, 82:86, 5:15], True),  # 12 rows below: two margins of 4 and a gap of 4
        (np.s_[10:20, 83:87, 5:15], False),
        (np.s_[10:20, 4:8, 5:15], True),  # 12 rows above
        (np.s_[10:20, 3:7, 5:15], False),
        (np.s_[28:32, 30:40, 5:15], True),  # 8 behind: two margins of 4
        (np.s_[29:33, 30:40, 5:15], False),
    ],
)
def test_a_component_joins_when_the_boxes_touch(box, joins):
    labels = far(spine(), box)
    result = run(labels, clean_beyond_largest_box=True)
    np.testing.assert_array_equal(result, labels if joins else spine())


def test_components_join_in_a_chain_whatever_their_order():
    labels = far(far(spine(), np.s_[34:38, 30:40, 5:15]), np.s_[26:30, 30:40, 5:15])
    np.testing.assert_array_equal(run(labels, clean_beyond_largest_box=True), labels)
    alone = far(spine(), np.s_[34:38, 30:40, 5:15])
    np.testing.assert_array_equal(run(alone, clean_beyond_largest_box=True), spine())


def test_only_the_sacrum_may_lie_far_from_the_canal():
    labels = np.zeros((10, 300, 10), np.uint8)
    labels[:, 20:280] = 49
    labels[3:6, 120:161, 4] = 61
    labels[3:6, 100:141, 5] = 60
    labels[2:4, 270:290, 4] = 26
    result = run(labels, spacing=(1.0, 1.0, 1.0), remove_inferior_beyond_canal=True)
    expected = labels.copy()
    expected[:, :36][expected[:, :36] != 26] = 0
    expected[:, 225:][expected[:, 225:] != 26] = 0
    np.testing.assert_array_equal(result, expected)
    bare = np.where(np.isin(labels, (60, 61)), 49, labels).astype(np.uint8)
    np.testing.assert_array_equal(run(bare, remove_inferior_beyond_canal=True), bare)


def test_holes_of_four_structures_are_filled():
    labels = spine()
    labels[13:16, 25:30, 8:11] = 0
    labels[12, 41:43, 7] = 0
    labels[25:32, 20:70, 5:15] = 41
    labels[27:30, 30:40, 8:10] = 0
    expected = labels.copy()
    expected[13:16, 25:30, 8:11] = 49
    expected[12, 41:43, 7] = 100
    np.testing.assert_array_equal(run(labels, fill_holes=True), expected)


def test_nothing_of_a_spine_is_an_error():
    with pytest.raises(NoSpineError, match="found no spine"):
        run(np.zeros((5, 5, 5), np.uint8))
    crumbs = np.zeros((20, 20, 20), np.uint8)
    crumbs[::5, ::5, ::5] = 49
    with pytest.raises(NoSpineError, match="nothing but fragments"):
        clean(crumbs, spacing=SPACING)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, -1.0, 1.0), (1.0, np.nan, 1.0)])
def test_spacing_is_verified(spacing):
    with pytest.raises(ContractError, match="three positive lengths in mm"):
        clean(spine(), spacing=spacing)


def test_the_mask_is_verified():
    with pytest.raises(ContractError, match="3-dimensional uint8"):
        clean(spine().astype(np.uint16), spacing=SPACING)
    with pytest.raises(ContractError, match="3-dimensional uint8"):
        clean(spine()[0], spacing=SPACING)
