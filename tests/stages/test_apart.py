"""What lies apart from the column goes and is told; what belongs to it stays."""

from __future__ import annotations

import numpy as np
import pytest

from plain_spine import PITCH, SPACING, N, spine
from spineps_rt import labels as L
from spineps_rt.options import AS_SPINEPS, ReconcileOptions
from spineps_rt.stages.reconcile.apart import remove_apart
from spineps_rt.stages.reconcile.reconcile import reconcile


def test_a_whole_spine_is_left_as_it_is():
    semantic, instances = spine()
    answer = remove_apart(semantic, instances, spacing=SPACING)
    assert answer[0] is semantic and answer[1] is instances and answer[2] == ()


def test_a_vertebra_in_front_of_the_column_goes_with_its_disc():
    semantic, instances = spine()
    expected = semantic.copy(), instances.copy()
    semantic[5:27, 40:60, 2:10], instances[5:27, 40:60, 2:10] = L.CORPUS, 9
    semantic[5:27, 60:66, 2:10] = L.DISC
    *masks, removed = remove_apart(semantic, instances, spacing=SPACING)
    np.testing.assert_array_equal(masks[0], expected[0])
    np.testing.assert_array_equal(masks[1], expected[1])
    told = {one.structure: one for one in removed}
    assert set(told) == {L.CORPUS, L.DISC}
    assert told[L.CORPUS].ml == pytest.approx(22 * 20 * 8 * 2 / 1000)
    assert told[L.CORPUS].side == "in front of"
    assert str(told[L.CORPUS]).startswith("7.04 ml of vertebral body 4")


def test_a_piece_of_a_body_near_the_canal_does_not_cost_the_body():
    semantic, instances = spine()
    instances[66:72, 34:52, 2:10] = 9
    assert remove_apart(semantic, instances, spacing=SPACING)[2] == ()


def test_of_two_bodies_at_one_height_the_larger_stays_where_there_is_no_canal():
    semantic, instances = spine()
    semantic[semantic == L.CANAL] = 0
    semantic[5:27, 40:60, 2:10], instances[5:27, 40:60, 2:10] = L.CORPUS, 9
    assert not (remove_apart(semantic, instances, spacing=SPACING)[1] == 2).any()
    semantic[5:15, 40:60, 2:10], instances[5:15, 40:60, 2:10] = 0, 0
    assert not (remove_apart(semantic, instances, spacing=SPACING)[1] == 9).any()


@pytest.mark.parametrize("structure", [L.SACRUM, L.DISC, L.ENDPLATE, L.CORD, L.CANAL])
def test_crumbs_far_from_the_column_go_and_near_ones_stay(structure):
    semantic, instances = spine()
    semantic[10:14, 130:140, 2:8] = structure
    semantic[40:44, 70:75, 4:8] = L.ENDPLATE
    *masks, removed = remove_apart(semantic, instances, spacing=SPACING)
    assert not masks[0][10:14, 130:140, 2:8].any()
    assert (masks[0][40:44, 70:75, 4:8] == L.ENDPLATE).all()
    assert [one.structure for one in removed] == [structure]


def test_a_body_far_below_the_column_goes_with_the_crumbs_around_it():
    semantic, instances = (np.pad(mask, ((0, 0), (0, 100), (0, 0))) for mask in spine())
    expected = semantic.copy()
    semantic[60:70, 230:242, 2:10], instances[60:70, 230:242, 2:10] = L.CORPUS, 9
    semantic[60:70, 244:250, 2:10] = L.DISC
    *masks, removed = remove_apart(semantic, instances, spacing=SPACING)
    np.testing.assert_array_equal(masks[0], expected)
    assert {one.structure for one in removed} == {L.CORPUS, L.DISC}


def test_a_crumb_of_sacrum_in_the_neck_goes_and_a_large_sacrum_stays():
    semantic, instances = spine()
    semantic[72:74, 20:24, 4:8] = L.SACRUM
    masks = remove_apart(semantic, instances, spacing=SPACING)
    assert not (masks[0][:, :60] == L.SACRUM).any()
    assert (masks[0] == L.SACRUM).sum() == 22 * 20 * 8


def test_a_piece_that_a_crumb_links_to_the_column_stays():
    semantic, instances = spine()
    semantic[39:43, 60:64, 4:8] = L.DISC
    semantic[28:32, 60:64, 4:8] = L.DISC
    assert remove_apart(semantic, instances, spacing=SPACING)[2] == ()


def test_spineps_keeps_what_lies_apart():
    semantic, instances = spine()
    semantic[5:27, 40:60, 2:10], instances[5:27, 40:60, 2:10] = L.CORPUS, 9
    found = [
        reconcile(semantic, instances, spacing=SPACING, orientation=("P", "I", "R"), options=options)
        for options in (ReconcileOptions(), AS_SPINEPS.reconcile)
    ]
    counts = [sum(v in L.VERTEBRAE and v != L.SACRUM_INSTANCE for v in np.unique(f.instances)) for f in found]
    assert counts == [N, N + 1]
    assert found[0].removed and not found[1].removed


def test_crumbs_of_canal_beside_false_bodies_do_not_make_them_true():
    """What a belly looks like to a network: bodies with a canal of their own, pieces of true vertebrae."""
    semantic, instances = spine()
    expected = semantic.copy(), instances.copy()
    for k in (1, 2, 3):
        top = 10 + PITCH * k
        semantic[2:18, top : top + 18, 2:10], instances[2:18, top : top + 18, 2:10] = L.CORPUS, k + 1
        semantic[20:24, top : top + 18, 4:8] = L.CANAL
    *masks, removed = remove_apart(semantic, instances, spacing=SPACING)
    np.testing.assert_array_equal(masks[0], expected[0])
    np.testing.assert_array_equal(masks[1], expected[1])
    assert {one.structure for one in removed} == {L.CORPUS, L.CANAL}


def test_a_body_far_from_the_canal_goes_even_if_it_stands_alone_at_its_height():
    semantic, instances = spine()
    semantic[50:72, 10:28, 2:10], instances[:, 10:28] = 0, 0
    semantic[0:20, 10:28, 2:10], instances[0:20, 10:28, 2:10] = L.CORPUS, 1
    assert not (remove_apart(semantic, instances, spacing=SPACING)[0][:30] == L.CORPUS).any()


def test_fat_behind_the_spine_that_looks_like_a_canal_does_not_cost_bodies():
    semantic, instances = spine()
    semantic[88:94][semantic[88:94] == L.ARCUS] = L.CORPUS
    semantic[100:106, 40:120, 4:8] = L.CANAL
    masks = remove_apart(semantic, instances, spacing=SPACING)
    for k in range(N):
        assert (masks[0][50:72, 10 + PITCH * k : 28 + PITCH * k, 2:10] == L.CORPUS).all()
