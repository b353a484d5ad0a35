"""Tiles and weights are those of nnU-Net as SPINEPS runs it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from spineps_rt.errors import ContractError
from spineps_rt.inference.tiling import importance_map, plan_tiles


def test_starts_are_spread_evenly():
    # nnU-Net's own example: size 110, patch 64, step 0.5 gives 0, 23, 46.
    assert plan_tiles((64, 110, 64), (64, 64, 64), 0.5).starts == ((0,), (0, 23, 46), (0,))


def test_halves_round_to_even():
    # 5 / 2 = 2.5 becomes 2 and 7 / 2 = 3.5 becomes 4, as np.round does.
    assert plan_tiles((9, 11, 4), (4, 4, 4), 0.9).starts == ((0, 2, 5), (0, 4, 7), (0,))


def test_odd_padding_goes_behind():
    plan = plan_tiles((5, 40, 16), (8, 16, 16), 0.5)
    assert plan.padding == ((1, 2), (0, 0), (0, 0))
    assert plan.padded == (8, 40, 16)


@pytest.mark.parametrize("shape", [(3, 7, 5), (8, 16, 16), (9, 17, 33), (31, 100, 41)])
@pytest.mark.parametrize("step", [0.3, 0.5, 1.0])
def test_tiles_cover_the_volume_exactly(shape, step):
    patch = (8, 16, 16)
    plan = plan_tiles(shape, patch, step)
    hits = np.zeros(plan.padded, int)
    for tile in plan.tiles:
        box = tuple(slice(s, s + p) for s, p in zip(tile, patch))
        assert hits[box].shape == patch
        hits[box] += 1
    assert hits.min() >= 1
    for axis in range(3):
        gaps = np.diff(plan.starts[axis])
        assert (gaps <= np.ceil(step * patch[axis])).all()


def test_tiles_advance_along_the_longer_of_the_first_two_axes():
    across = plan_tiles((20, 60, 90), (8, 16, 16), 0.5)
    along = plan_tiles((60, 20, 90), (8, 16, 16), 0.5)
    assert (across.long_axis, along.long_axis) == (1, 0)
    for plan in (across, along):
        rows = [tile[plan.long_axis] for tile in plan.tiles]
        assert rows == sorted(rows)
        assert len(set(plan.tiles)) == len(plan.tiles) == np.prod([len(s) for s in plan.starts])


@pytest.mark.parametrize("patch", [(1, 2, 3), (8, 16, 15), (16, 96, 80), (7, 33, 64)])
def test_weights_equal_the_peers(patch):
    impulse = np.zeros(patch)
    impulse[tuple(n // 2 for n in patch)] = 1
    half = gaussian_filter(impulse, [n / 8 for n in patch], mode="constant", cval=0).astype(np.float16)
    half = half / half.max() * np.float16(1000)
    half[half == 0] = half[half != 0].min()
    weights = importance_map(patch)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, half.astype(np.float32))
    assert weights.min() > 0 and weights.max() == 1000


@pytest.mark.parametrize(
    ("shape", "patch", "step"),
    [
        ((0, 4, 4), (2, 2, 2), 0.5),
        ((4, 4), (2, 2, 2), 0.5),
        ((4, 4, 4), (2, 2, 2), 0),
        ((4, 4, 4), (2, 2, 2), 1.1),
    ],
)
def test_nonsense_is_refused(shape, patch, step):
    with pytest.raises(ContractError, match="came; expected"):
        plan_tiles(shape, patch, step)
