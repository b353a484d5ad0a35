"""Every rule that differs from SPINEPS's, with its option on and off (docs/parity.md)."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import ndimage

from spine_column import PITCH, SPACING, TOP, column, column_with_split_top, turned
from spineps_rt import labels
from spineps_rt.errors import NoSpineError
from spineps_rt.options import AS_SPINEPS, LabelingOptions, ReconcileOptions
from spineps_rt.stages.labeling import name_levels
from spineps_rt.stages.reconcile import endplates, missing_bodies, numbering, unassigned_bone
from spineps_rt.stages.reconcile.reconcile import Reconciled, reconcile

PIR = ("P", "I", "R")
AFFINE = np.array([[0, 0, 2.0, 0], [-1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])


def run(c, *, codes=PIR, **rules) -> Reconciled:
    """Reconcile as SPINEPS does but for the rules given."""
    options = replace(AS_SPINEPS.reconcile, **rules)
    arrays = turned(c.semantic, codes), turned(c.instances, codes)
    result = reconcile(*arrays, spacing=SPACING, orientation=codes, options=options)
    semantic, instances = (turned(a, codes, back=True) for a in (result.semantic, result.instances))
    return replace(result, semantic=semantic, instances=instances)


def test_spineps_s_way_differs_from_the_defaults_in_the_rules_alone():
    differ = {
        f.name
        for f in fields(ReconcileOptions)
        if getattr(AS_SPINEPS.reconcile, f.name) != getattr(ReconcileOptions(), f.name)
    }
    assert differ == {
        "split_top_by_height",
        "gap_for_missing_body",
        "spare_sacrum_id",
        "discs_above_first_body",
        "keep_contested_endplates",
        "remove_apart",
    }


@pytest.mark.parametrize(
    ("codes", "by_height", "joined"),
    [(PIR, False, True), (("P", "S", "R"), False, False), (PIR, True, True), (("P", "S", "R"), True, True)],
)
def test_a_split_top_is_looked_for_at_the_top(codes, by_height, joined):
    result = run(column_with_split_top(), codes=codes, split_top_by_height=by_height)
    assert any("joined" in warning for warning in result.warnings) == joined
    assert sorted(set(result.instances.ravel().tolist()) & set(range(1, 26))) == [2, 3, 4, 5][: 4 - joined]


@pytest.mark.parametrize(
    ("sacrum", "rule", "disc", "plate"),
    [
        (False, False, 101, 202),
        (True, False, 126, 226),
        (False, True, 101, 201),
        (True, True, 101, 201),
    ],
)
def test_disc_and_plate_above_all_bodies(sacrum, rule, disc, plate):
    c = column()
    c.semantic[4:14, 2:4, 2:10] = labels.DISC
    c.semantic[4:14, TOP - 1, 2:10] = labels.ENDPLATE
    if sacrum:
        c.semantic[4:14, 50:56, 2:10] = labels.SACRUM
    result = run(c, discs_above_first_body=rule)
    assert result.instances[8, 3, 6] == disc
    assert result.instances[8, TOP - 1, 6] == plate
    if rule:
        assert set(np.unique(result.semantic[4:14, TOP - 1, 2:10])) == {labels.ENDPLATE_SUPERIOR}


def test_where_no_vertebra_has_a_body_discs_still_get_an_id():
    c = column()
    c.semantic[c.semantic == labels.CORPUS] = labels.ARCUS
    result = run(c, discs_above_first_body=True)
    assert set(np.unique(result.instances[c.semantic == labels.DISC])) <= {102, 103, 104}


@pytest.mark.parametrize("kept", [False, True])
def test_a_plate_that_a_third_vertebra_reaches_first(kept):
    # a plate above all bodies counts as the first vertebra's; a piece of the third lies below it
    c = column()
    c.semantic[20:24, 1:3, 2:10] = labels.ENDPLATE
    c.semantic[20:24, 3:5, 2:10] = labels.SPINOUS
    c.instances[20:24, 3:5, 2:10] = c.instances[8, TOP + 2 * PITCH, 6]
    result = run(c, fix_posterior_instances=False, keep_contested_endplates=kept)
    assert result.instances[21, 2, 6] == 202
    assert result.semantic[21, 2, 6] == (labels.ENDPLATE_INFERIOR if kept else 0)
    assert any("64 endplate voxels" in warning for warning in result.warnings) != kept


@pytest.mark.parametrize("seed", range(6))
def test_plates_between_two_vertebrae_equal_their_slow_twin(seed):
    rng = np.random.default_rng(seed)
    ids = [0, 2, 3, 25, 34, 26, 80, 102]
    instances = rng.choice(ids, (20, 30, 21), p=[0.9965] + [0.0005] * 7).astype(np.uint16)
    semantic = np.where(rng.random(instances.shape) < 0.03, labels.ENDPLATE, 60).astype(np.uint8)
    plates = semantic == labels.ENDPLATE
    instances[plates] = rng.choice([0, 201, 202, 203, 225, 234, 226], np.count_nonzero(plates))
    expected = semantic.copy()
    below = {1: 2, 2: 3, 3: 25, 25: 34, 34: 26, 26: 0}
    for above, after in below.items():
        ways = []
        for vertebra in (above, after):
            there = (instances == vertebra) & (vertebra > 0)
            way = (
                ndimage.distance_transform_cdt(~there, "chessboard")
                if there.any()
                else np.full(there.shape, 99)
            )
            ways.append(np.where(way <= endplates.ROUNDS, way, 99))
        own = plates & (instances == 200 + above)
        expected[own & (ways[0] <= ways[1]) & (ways[0] < 99)] = labels.ENDPLATE_INFERIOR
        expected[own & (ways[1] < ways[0])] = labels.ENDPLATE_SUPERIOR
    result, deleted = endplates.split(semantic, instances)
    np.testing.assert_array_equal(result, expected)
    assert deleted == 0
    assert len({52, 53, 62} & set(np.unique(result))) == 3


def test_the_lowest_instance_grows_from_outside_bone_in_the_first_round():
    semantic, instances = np.zeros((1, 8, 1), np.uint8), np.zeros((1, 8, 1), np.uint16)
    semantic[0, :, 0] = [100, 49, 49, 49, 49, 49, 49, 49]
    instances[0, :, 0] = [3, 0, 0, 0, 0, 0, 0, 7]  # 3 lies on a disc
    _, grown, _ = unassigned_bone.assign(semantic, instances)
    assert grown[0, :, 0].tolist() == [0, 3, 3, 3, 3, 7, 7, 7]


def tall_column(n: int, *, without: tuple[int, ...] = ()):
    """N bodies with discs and endplates between them; those of ``without``, counted from 0, are missing."""
    c = column(0)
    c.semantic, c.instances = (
        np.zeros((12, 10 * n + 8, 8), np.uint8),
        np.zeros((12, 10 * n + 8, 8), np.uint16),
    )
    for k in range(n):
        rows = slice(4 + 10 * k, 9 + 10 * k)
        if k not in without:
            c.semantic[2:10, rows, 1:7], c.instances[2:10, rows, 1:7] = labels.CORPUS, n - k
        if k < n - 1:
            c.semantic[2:10, rows.stop : rows.stop + 5, 1:7] = labels.ENDPLATE
            c.semantic[2:10, rows.stop + 1 : rows.stop + 4, 1:7] = labels.DISC
    return c


@pytest.mark.parametrize("gap", [False, True])
def test_a_missing_body_leaves_its_number_free(gap):
    c = tall_column(6, without=(2,))
    result = run(c, gap_for_missing_body=gap, keep_contested_endplates=True)
    down = result.instances[6, :, 4]
    numbers = [2, 3, 5, 6, 7] if gap else [2, 3, 4, 5, 6]
    assert [down[6 + 10 * k] for k in (0, 1, 3, 4, 5)] == numbers
    assert [down[11 + 10 * k] for k in (1, 2)] == ([103, 104] if gap else [103, 103])
    assert [down[9 + 10 * k] for k in (1, 2)] == ([203, 204] if gap else [203, 203])
    assert result.semantic[6, 33, 4] == labels.ENDPLATE_SUPERIOR
    assert any("number is left free" in warning for warning in result.warnings) == gap


def test_two_missing_bodies_leave_two_numbers_free():
    result = run(tall_column(8, without=(3, 4)), gap_for_missing_body=True)
    assert [result.instances[6, 6 + 10 * k, 4] for k in (0, 1, 2, 5, 6, 7)] == [2, 3, 4, 7, 8, 9]


@pytest.mark.parametrize("case", ["fragment", "close", "one disc", "few", "sacrum", "arch"])
def test_other_pairs_of_discs_are_no_gap(case):
    c = tall_column(3 if case == "few" else 6, without=(1,) if case == "few" else (2,))
    discs = c.semantic == labels.DISC
    if case == "fragment":
        c.semantic[2:9, 30:33][discs[2:9, 30:33]] = 0
    if case == "close":  # the way from body to body is the usual one
        c = tall_column(6)
        c.semantic[2:10, 21, 1:7] = 0
        c.semantic[2:10, 19, 1:7] = c.semantic[2:10, 23, 1:7] = labels.DISC
    if case == "one disc":
        c.semantic[:, 30:34][discs[:, 30:34]] = 0
    if case == "sacrum":
        c.semantic[0, 30, 0] = labels.SACRUM
    if case == "arch":  # of the vertebra whose body is missing
        c.semantic[10:12, 24:29, 3:5], c.instances[10:12, 24:29, 3:5] = labels.ARCUS, 9
    assert missing_bodies.missing_bodies(c.semantic, c.instances, numbering.from_top(c.instances)) == {}


def test_more_vertebrae_than_names_never_become_a_sacrum():
    c = tall_column(27)
    peer, ours = run(c), run(c, spare_sacrum_id=True)
    row = [6 + 10 * k for k in range(27)]
    assert peer.instances[6, row, 4].tolist() == list(range(2, 29))
    assert ours.instances[6, row, 4].tolist() == [*range(2, 26), 34, 35, 36]
    assert ours.instances[6, 6 + 10 * 25 + 5, 4] == 135
    assert ours.semantic[6, 6 + 10 * 24 - 3, 4] == labels.ENDPLATE_SUPERIOR
    assert any("the lowest 3 got ids from 34 on" in warning for warning in ours.warnings)
    with pytest.raises(NoSpineError, match="31 vertebrae were found"):
        run(tall_column(31), spare_sacrum_id=True)


def test_a_false_25th_vertebra_below_the_sacrum_is_deleted_by_labeling():
    c = tall_column(25)
    c.semantic[:, 244:] = 0  # the 25th
    c.instances[:, 244:] = 0
    grown = np.zeros((12, 120, 8), np.uint8)
    c.semantic = np.concatenate([c.semantic, grown], axis=1)
    c.instances = np.concatenate([c.instances, grown.astype(np.uint16)], axis=1)
    c.semantic[0:12, 246:330] = labels.SACRUM
    c.semantic[2:10, 340:345, 1:7], c.instances[2:10, 340:345, 1:7] = labels.CORPUS, 77
    result = run(c, spare_sacrum_id=True)
    assert result.instances[6, 342, 4] == 34
    levels = name_levels(result.semantic, result.instances, affine=AFFINE, options=LabelingOptions())
    assert levels.anatomical
    assert levels.instances[6, 6, 4] == 1
    assert levels.instances[6, 236, 4] == 24
    assert levels.instances[6, 342, 4] == levels.semantic[6, 342, 4] == 0
    assert not np.isin(levels.instances, labels.SPARE_INSTANCES).any()
