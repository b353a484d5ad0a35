"""Names from the sacrum: shifts, refusals, every orientation."""

from __future__ import annotations

import numpy as np
import pytest

from spineps_rt.options import LabelingOptions
from spineps_rt.stages.labeling import Levels, name_levels
from spineps_rt.volume import Volume, reorient

PIR = np.array([[0, 0, 2.0, 0], [-2.0, 0, 0, 0], [0, -2.0, 0, 0], [0, 0, 0, 1]])


def column(n: int, *, first: int = 2, sacrum: int = 8) -> np.ndarray:
    """N vertebrae from the top, each with its endplate and disc, then ``sacrum`` rows of sacrum."""
    mask = np.zeros((12, 14 * n + sacrum + 20, 12), np.uint16)
    for k in range(n):
        top, v = 4 + 14 * k, first + k
        mask[2:10, top : top + 10, 2:10] = v
        mask[2:10, top + 10, 2:10] = 200 + v
        mask[2:10, top + 11 : top + 13, 2:10] = 100 + v
    mask[2:10, 4 + 14 * n : 4 + 14 * n + sacrum, 2:10] = 26
    return mask


def structures(instances: np.ndarray) -> np.ndarray:
    """A semantic mask for an instance mask: sacrum, discs, endplates, and bodies for all else."""
    parts = [instances == 0, instances == 26, instances >= 200, instances >= 100]
    return np.select(parts, [0, 26, 53, 100], 49).astype(np.uint8)


def named(mask: np.ndarray, count_from: str = "sacrum", *, affine: np.ndarray = PIR) -> Levels:
    semantic = structures(mask)
    levels = name_levels(semantic, mask, affine=affine, options=LabelingOptions(count_from))
    # what keeps an instance keeps its structure; what loses it loses both
    assert np.array_equal(levels.semantic, np.where(levels.instances > 0, semantic, 0))
    return levels


@pytest.mark.parametrize("codes", ["PIR", "LAS", "RPS", "IAL"])
def test_lowest_vertebra_above_the_sacrum_is_l5(codes):
    volume = reorient(Volume(column(5), PIR), codes)
    levels = named(volume.array, affine=volume.affine)
    assert levels.anatomical
    assert levels.warnings == ()
    expected = reorient(Volume(column(5, first=20), PIR), codes).array
    assert np.array_equal(levels.instances, expected)


def test_labels_of_the_sacrum_stay():
    mask = column(2)
    mask[0, 0] = 126
    mask[1, 0] = 226
    found = named(mask).instances
    assert np.array_equal(found == 126, mask == 126)
    assert np.array_equal(found == 226, mask == 226)


@pytest.mark.parametrize("case", ["none", "tiny", "above", "far"])
def test_without_a_sacrum_beside_it_the_numbers_stay_and_a_warning_says_so(case):
    mask = column(4, sacrum=0 if case == "none" else 8)
    if case == "tiny":
        mask[:, 61:][mask[:, 61:] == 26] = 0
    if case == "above":
        mask = np.ascontiguousarray(mask[:, ::-1])
    if case == "far":
        gap = np.zeros((12, 60, 12), np.uint16)
        mask = np.concatenate([mask[:, :60], gap, mask[:, 60:]], axis=1)
    levels = named(mask)
    assert not levels.anatomical
    assert "counted from the top" in levels.warnings[0]
    assert np.array_equal(levels.instances, mask)


def test_more_vertebrae_than_names_are_counted_from_the_top():
    mask = column(24)  # one more than C2 to L5, still nameable as C1 to L5
    assert named(mask).instances.max() == 224
    more = column(25, first=1)
    levels = named(more)
    assert not levels.anatomical
    assert "too many" in levels.warnings[0]
    assert np.array_equal(levels.instances, more)


def test_counting_from_the_top_changes_nothing():
    mask = column(3)
    levels = named(mask, "top")
    assert levels.instances is mask
    assert not levels.anatomical
    assert levels.warnings == ()


def test_bodies_below_the_sacrum_are_deleted():
    mask = column(3, sacrum=40)
    mask[2:10, -9:-4, 2:10] = 5  # numbered after the true ones
    mask[2:10, -4:-2, 2:10] = 105
    levels = named(mask)
    assert levels.anatomical
    assert "1 false vertebrae at or below the sacrum" in levels.warnings[0]
    assert set(np.unique(levels.instances)) == {0, 22, 23, 24, 26, 122, 123, 124, 222, 223, 224}
    assert not levels.semantic[np.isin(mask, (5, 105))].any()
    assert np.array_equal(levels.instances == 24, mask == 4)


def test_a_vertebra_right_below_the_column_speaks_against_the_sacrum():
    mask = column(3, sacrum=0)
    mask[0:2, 20:40] = 26  # its centre lies above the lowest vertebra
    levels = named(mask)
    assert not levels.anatomical
    assert np.array_equal(levels.semantic, structures(mask))


def test_a_fragment_of_the_sacrum_is_no_l5():
    mask = column(4, sacrum=12)
    mask[2:10, 60:61, 2:10] = 6  # a slice of the sacrum
    levels = named(mask)
    assert levels.anatomical
    assert np.array_equal(levels.instances == 24, mask == 5)
    assert (levels.instances[mask == 6] == 0).all()


@pytest.mark.parametrize("shift", [0, -3])
def test_ids_beyond_25_count_on(shift):
    mask = column(7)
    numbers = np.array([0, 0, 20, 21, 22, 23, 24, 25, 34])  # as if the topmost had been 20
    renumbered = mask.copy()
    for offset in (0, 100, 200):
        for old in range(2, 9):
            renumbered[mask == offset + old] = offset + numbers[old]
    if shift:  # the numbers of two vertebrae are free, between the second and the third
        for offset in (0, 100, 200):
            renumbered[np.isin(renumbered, (offset + 20, offset + 21))] -= np.uint16(-shift)
    levels = named(renumbered)
    assert levels.anatomical
    found = [int(levels.instances[6, 4 + 14 * k, 6]) for k in range(7)]
    assert found == [18 + shift, 19 + shift, 20, 21, 22, 23, 24]
    assert [int(levels.instances[6, 15 + 14 * k, 6]) for k in range(7)] == [100 + v for v in found]
