"""The two masks agree."""

from __future__ import annotations

import numpy as np
import pytest

from spine_column import PITCH, SHAPE, SPACING, TOP, column, turned
from spineps_rt import labels
from spineps_rt.errors import ContractError, NoSpineError
from spineps_rt.options import ReconcileOptions
from spineps_rt.stages.reconcile.reconcile import Reconciled, reconcile

PIR = ("P", "I", "R")


def run(semantic, instances, **options) -> Reconciled:
    chosen = ReconcileOptions(**options)
    return reconcile(semantic, instances, spacing=SPACING, orientation=PIR, options=chosen)


def test_a_clean_column_is_numbered_from_the_top():
    c = column()
    result = run(c.semantic, c.instances)
    assert result.semantic.dtype == np.uint8 and result.instances.dtype == np.uint16
    middle = (8, slice(None), 6)
    down = [2] * 7 + [202] + [102] * 3 + [202] + [3] * 7 + [203] + [103] * 3 + [203] + [4] * 7
    assert result.instances[middle].tolist() == [0] * TOP + down + [0] * (SHAPE[1] - TOP - len(down))
    # the plate below a body is its inferior one, the plate above the next body that one's superior
    assert result.semantic[middle][TOP + 7] == labels.ENDPLATE_INFERIOR
    assert result.semantic[middle][TOP + 11] == labels.ENDPLATE_SUPERIOR
    unchanged = c.semantic != labels.ENDPLATE
    np.testing.assert_array_equal(result.semantic[unchanged], c.semantic[unchanged])
    assert result.disc_counts == {4: 0}
    assert result.warnings == ()


@pytest.mark.parametrize("codes", [("L", "P", "S"), ("R", "A", "S"), ("A", "S", "L"), ("I", "L", "P")])
def test_axis_order_does_not_matter(codes):
    c = column()
    expected = run(c.semantic, c.instances)
    result = reconcile(
        turned(c.semantic, codes), turned(c.instances, codes), spacing=SPACING, orientation=codes
    )
    np.testing.assert_array_equal(turned(result.semantic, codes, back=True), expected.semantic)
    np.testing.assert_array_equal(turned(result.instances, codes, back=True), expected.instances)


@pytest.mark.parametrize("filled", [False, True])
def test_what_came_is_not_written_to(filled):
    c, same = column(), column()
    for one in (c, same):
        one.instances[0, 3, 0] = 11  # outside the semantic mask
        if filled:  # up to its corners, so that its box is the whole array
            one.semantic[0, 0, 0] = one.semantic[-1, -1, -1] = labels.CANAL
    run(c.semantic, c.instances)
    np.testing.assert_array_equal(c.semantic, same.semantic)
    np.testing.assert_array_equal(c.instances, same.instances)


def test_sacrum_metal_and_dens_get_fixed_ids():
    c = column()
    c.semantic[4:14, 50:56, 2:10] = labels.SACRUM
    c.semantic[5, 8, 5] = labels.METAL
    c.semantic[8:10, TOP - 3 : TOP, 5:7] = labels.DENS
    c.instances[8:10, TOP - 3 : TOP, 5:7] = c.instances[8, TOP, 5]
    result = run(c.semantic, c.instances, first_vertebra=5, remove_apart=False)
    assert set(np.unique(result.instances[c.semantic == labels.SACRUM])) == {labels.SACRUM_INSTANCE}
    assert result.instances[5, 8, 5] == labels.METAL
    assert set(np.unique(result.instances[c.semantic == labels.DENS])) == {labels.C2_INSTANCE}
    assert result.instances[8, TOP, 5] == 5


def test_plates_that_the_model_already_split_get_their_own_vertebra():
    c = column()
    plates = c.semantic == labels.ENDPLATE
    c.semantic[plates] = labels.ENDPLATE_INFERIOR
    c.semantic[:, TOP + PITCH - 1][plates[:, TOP + PITCH - 1]] = labels.ENDPLATE_SUPERIOR
    result = run(c.semantic, c.instances)
    assert result.instances[8, TOP + 7, 6] == 2
    assert result.instances[8, TOP + PITCH - 1, 6] == 3
    np.testing.assert_array_equal(result.semantic, c.semantic)


def test_instances_outside_the_semantic_mask_vanish_unless_left_in():
    c = column()
    c.instances[0, TOP, 5] = 13
    bare = {"assign_missing_components": False, "clean_instances_by_semantics": False}
    beyond = run(c.semantic, c.instances, **bare)
    assert beyond.instances[0, TOP, 5] == 0  # beyond the box of the semantic mask nothing is ever kept
    c.semantic[0, TOP, 2] = labels.CANAL
    assert run(c.semantic, c.instances, **bare).instances[0, TOP, 5] == 2
    assert run(c.semantic, c.instances, assign_missing_components=False).instances[0, TOP, 5] == 0


def test_steps_can_be_left_out():
    c = column()
    c.instances[15:19, TOP + 4 : TOP + 6, 5:7] = 0
    bare = dict.fromkeys(
        ("assign_missing_components", "fix_articular_inconsistency", "fix_posterior_instances"), False
    )
    assert run(c.semantic, c.instances).instances[16, TOP + 5, 6] == 2
    assert run(c.semantic, c.instances, **bare).instances[16, TOP + 5, 6] == 0


@pytest.mark.parametrize("codes", [("P", "I"), ("P", "A", "R"), ("P", "I", "X")])
def test_codes_that_are_no_orientation_are_refused(codes):
    c = column()
    with pytest.raises(ContractError, match="Axis codes"):
        reconcile(c.semantic, c.instances, spacing=SPACING, orientation=codes)


def test_masks_of_two_shapes_are_refused():
    c = column()
    with pytest.raises(ContractError, match="resample both"):
        run(c.semantic, c.instances[1:])


def test_a_mask_without_spine_is_refused():
    c = column()
    with pytest.raises(NoSpineError, match="field of view"):
        run(np.zeros_like(c.semantic), c.instances)
    with pytest.raises(NoSpineError, match="no vertebra"):
        run(c.semantic, np.zeros_like(c.instances))
