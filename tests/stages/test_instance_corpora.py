import numpy as np
import pytest
from scipy import ndimage

from spineps_rt.errors import NoSpineError
from spineps_rt.stages.instance import split_bodies
from spineps_rt.stages.instance.body_centres import corpus_centres
from stacked_bodies import BODY, EVERYTHING, PITCH, SPACING, stack, weld


def centres(labels, *, split=True, minimum=100):
    return corpus_centres(labels, spacing=SPACING, minimum=minimum, split_merged=split)


def expected(n):
    return [[10.5, 4 + PITCH * k + (BODY - 1) / 2, 10.5] for k in reversed(range(n))]


@pytest.mark.parametrize("split", [True, False])
def test_centres_run_from_the_lowest_body_upwards(split):
    np.testing.assert_allclose(centres(stack(5), split=split), expected(5))


def test_small_bodies_are_artefacts():
    labels = stack(4)
    labels[4:9, -6:-1, 4:9] = 49  # erodes to 1 voxel
    np.testing.assert_allclose(centres(labels), expected(4))
    assert len(centres(labels, minimum=0)) == 5
    with pytest.raises(NoSpineError, match="thick enough"):
        centres(labels, minimum=10**6)


def test_welded_bodies_are_split():
    labels = weld(stack(8), 3)
    assert len(centres(labels, split=False)) == 7
    found = centres(labels)
    assert len(found) == 8
    np.testing.assert_allclose(found, expected(8), atol=0.5)


def test_few_bodies_tell_no_usual_volume():
    assert len(centres(weld(stack(4), 1))) == 3


def test_without_discs_nothing_is_split():
    labels = weld(stack(8), 3)
    labels[labels == 100] = 0
    assert len(centres(labels)) == 7


def test_only_a_broken_alternation_makes_suspicious():
    labels = weld(stack(8), 3)
    waist = labels[:, 4 + 3 * PITCH + BODY : 4 + 4 * PITCH]
    waist[waist == 100] = 0
    assert len(centres(labels)) == 7
    without_a_body = labels.copy()
    without_a_body[:, 4 + 6 * PITCH : 4 + 6 * PITCH + BODY] = 0
    assert len(centres(without_a_body)) == 7


def test_a_disc_in_two_halves_is_no_reason_to_split():
    labels = weld(stack(8), 3)
    waist = labels[:, 4 + 3 * PITCH + BODY : 4 + 4 * PITCH]
    waist[waist == 100] = 0
    labels[:, 4 + PITCH + BODY : 4 + 2 * PITCH, 9:13] = 0
    assert ndimage.label(labels == 100, EVERYTHING)[1] == 7
    assert len(centres(labels)) == 7


def test_endplates_count_as_discs():
    labels = weld(stack(8), 3)
    labels[labels == 100] = 62
    assert len(centres(labels)) == 8


@pytest.mark.parametrize("split", [True, False])
def test_a_dense_model_needs_no_erosion_and_its_dens_comes_first(split):
    labels = stack(3)
    body = labels == 49
    labels[ndimage.binary_erosion(body, iterations=2)] = 50
    labels[10:12, 0:2, 10:12] = 51
    found = centres(labels, split=split)
    np.testing.assert_allclose(found, [[10.5, 0.5, 10.5], *expected(3)])


def dumbbell(axis):
    """Two boxes of different size joined by a bar along an axis, near the array's border."""
    mask = np.zeros((34, 34, 34), np.uint32)
    mask[1:13, 2:14, 3:15] = 7
    mask[20:32, 19:31, 21:33] = 0
    second = [slice(2, 13), slice(3, 14), slice(4, 15)]
    second[axis] = slice(21, 33)
    bar = [slice(5, 9)] * 3
    bar[axis] = slice(8, 28)
    mask[tuple(second)], mask[tuple(bar)] = 7, 7
    return mask


def box_of(mask):
    return ndimage.find_objects((mask != 0).astype(np.uint8))[0]


def test_the_part_below_the_waist():
    mask = dumbbell(1)
    below = split_bodies.part_below(mask, 7, box=box_of(mask))
    assert below.dtype == bool
    assert below[:, 21:][mask[:, 21:] != 0].all()
    assert not below[:, :14].any()
    assert not below[mask != 7].any()
    border = np.flatnonzero(below.any(axis=(0, 2))).min()
    assert 15 <= border <= 20


def barbell(gap):
    """The upper, flat box comes first in memory; the lower, slender one is larger without the bar."""
    mask = np.zeros((19, 60, 19), np.uint32)
    mask[2:17, 2:11, 2:17] = 7
    mask[5:14, 11 + gap : 41 + gap, 5:14] = 7
    mask[8:11, 8 : 14 + gap, 8:11] = 7
    return mask


@pytest.mark.parametrize(
    ("gap", "row"), [(6, 15), (7, 15), (8, 16), (9, 16), (10, 17), (11, 17), (12, 18), (13, 18)]
)
def test_the_part_that_comes_first_grows_first(gap, row):
    """Rows as SPINEPS 2.1.3 answers them for these bodies."""
    mask = barbell(gap)
    below = split_bodies.part_below(mask, 7, box=box_of(mask))
    np.testing.assert_array_equal(below[:, row:], mask[:, row:] == 7)
    assert not below[:, :row].any()


def test_an_upright_plane_leaves_only_itself():
    """As in the peer, whose filling runs along the spine: columns that the plane misses lie below it."""
    mask = dumbbell(0)
    above = (mask != 0) & ~split_bodies.part_below(mask, 7, box=box_of(mask))
    rows = np.flatnonzero(above.any(axis=(1, 2)))
    assert above.any()
    assert 13 < rows.min() <= rows.max() < 21


def test_a_solid_body_has_no_waist():
    mask = np.zeros((20, 30, 20), np.uint32)
    mask[2:18, 2:28, 2:18] = 7
    assert split_bodies.part_below(mask, 7, box=box_of(mask)) is None
    huge = np.ones((26, 26, 26), np.uint32)
    assert split_bodies.part_below(huge, 1, box=box_of(huge)) is None


def test_of_many_pieces_the_two_largest_count():
    mask = dumbbell(1)
    crumb = mask.copy()
    crumb[5:9, 28:34, 8:27] = 7
    crumb[4:10, 28:34, 25:31] = 7
    alone = split_bodies.part_below(mask, 7, box=box_of(mask))
    np.testing.assert_array_equal(
        split_bodies.part_below(crumb, 7, box=box_of(crumb))[mask != 0], alone[mask != 0]
    )
