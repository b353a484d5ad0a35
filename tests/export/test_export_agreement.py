"""What counts as the same answer. Needs no PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from spineps_rt.errors import ModelError
from spineps_rt.export.checks.agreement import compare


def classes(count):
    answer = np.zeros((1, 100, 100, 10), np.uint8)
    answer.reshape(-1)[:count] = 1
    return answer


def test_equal_answers_agree():
    agreement = compare(classes(2000), classes(2000))
    agreement.require("It")
    assert (agreement.same_class, agreement.worst_dice, agreement.largest_difference) == (1, 1, 0)


def test_a_class_that_loses_voxels_is_refused_though_most_voxels_agree():
    agreement = compare(classes(2000), classes(2010))
    assert agreement.same_class == pytest.approx(1 - 10 / 100_000)
    assert agreement.worst_dice == pytest.approx(4000 / 4010)
    with pytest.raises(
        ModelError, match=r"smallest Dice 0\.99751.*expected the same class in 99\.9% and a Dice of 0\.999"
    ):
        agreement.require("It")


def test_a_class_of_a_few_voxels_has_no_dice_of_its_own():
    compare(classes(20), classes(21)).require("It")


def test_every_sample_needs_its_classes_and_dice_is_of_all_together():
    """One tile may not hide behind others; a small structure has its Dice where it is large enough."""
    same = np.concatenate([classes(2000)] * 9)
    hidden = compare(np.concatenate([same, classes(2000)]), np.concatenate([same, classes(2110)]))
    assert hidden.same_class == pytest.approx(1 - 110 / 100_000)
    assert hidden.worst_dice == pytest.approx(2 * 20_000 / (2 * 20_000 + 110))  # classes 0 and 1: 1 is worse
    with pytest.raises(ModelError, match=r"same class 99\.8900%"):
        hidden.require("It", dice=0.99)


def test_logits_are_compared_by_their_largest_and_must_be_finite():
    logits = np.zeros((1, 2, 4, 4, 4), np.float32)
    logits[:, 1] = 1
    other = logits + np.float32(0.25)
    assert compare(other, logits).largest_difference == 0.25
    assert compare(other, logits).same_class == 1
    other[0, 0, 0, 0, 0] = np.nan
    with pytest.raises(ModelError):
        compare(other, logits).require("It")
