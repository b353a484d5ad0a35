"""What expert labels allow: the sets that the semantic network is trained with."""

from __future__ import annotations

import numpy as np
import pytest

from spineps_rt import labels as L
from training import spider


def allowed(code: int) -> set[int]:
    return {L.SEMANTIC_CLASSES[i] for i in np.flatnonzero(spider.ALLOWED[code])}


def patient() -> np.ndarray:
    """Two bodies, a disc and dark rims between, a canal behind them, an arch behind the canal; (P, I, R)."""
    truth = np.zeros((40, 30, 5), np.uint8)
    truth[5:18, 2:11] = 1
    truth[5:18, 12:16] = 2
    truth[5:18, 17:28] = 1
    truth[20:26] = 3
    truth[28:36, 4:10] = 1
    return truth


def test_sets_of_the_codes():
    assert allowed(spider.IGNORED) == set(L.SEMANTIC_CLASSES)
    assert allowed(spider.BACKGROUND) == {0, 26}
    assert allowed(spider.VERTEBRA) == set(range(41, 50))
    assert allowed(spider.CANAL) == {60, 61}
    assert allowed(spider.DISC + spider.RIM) == {100, 62}
    for index, label in enumerate(L.SEMANTIC_CLASSES):
        assert allowed(spider.EXACT + index) == {label}


def test_in_front_of_the_canal_is_body_and_behind_it_is_arch():
    truth = patient()
    codes = spider.encode(truth) & ~np.uint8(spider.RIM)
    assert (codes[5:18, 2:11] == spider.CORPUS).all()
    assert (codes[28:36, 4:10] == spider.BEHIND).all()
    assert (codes[truth == 3] == spider.CANAL).all()
    assert (codes[truth == 0] == spider.BACKGROUND).all()


def test_endplates_are_allowed_in_the_rim_that_experts_left_and_nowhere_else():
    truth = patient()
    rim = spider.encode(truth) & spider.RIM > 0
    assert rim[8:15, 11].all()
    assert rim[8:15, 16].all()
    assert not rim[truth > 0].any()
    assert not rim[:, :9].any()
    assert not rim[:, 19:].any()
    assert not rim[20:].any()


def test_no_sacrum_is_allowed_well_above_the_lowest_disc():
    truth = np.zeros((40, 120, 9), np.uint8)
    truth[5:18, 100:106] = 2
    truth[20:26] = 3
    codes = spider.encode(truth)
    assert allowed(spider.NOTHING) == {0}
    first = int(np.flatnonzero((codes == spider.BACKGROUND).any((0, 2)))[0])
    assert first == pytest.approx(102.5 - spider.ABOVE_SACRUM, abs=1)
    assert (codes[:, :first][truth[:, :first] == 0] == spider.NOTHING).all()
    assert not (codes[:, first:] == spider.NOTHING).any()


def test_canal_of_a_phantom_s_sacrum_may_be_nothing():
    truth = np.zeros((6, 40, 3), np.uint8)
    truth[1] = L.CANAL
    truth[4, 10:] = L.SACRUM
    phantoms = pytest.importorskip("training.phantoms", reason="PyTorch comes with [export]")
    codes = phantoms.codes_of(truth)
    sure = spider.EXACT + spider.CLASS[L.CANAL]
    assert allowed(spider.SACRAL_CANAL) == {0, L.CANAL}
    assert (codes[1, :20] == sure).all()
    assert (codes[1, 21:] == spider.SACRAL_CANAL).all()


def test_losses_agree_with_the_plain_ones_where_one_class_is_allowed():
    torch = pytest.importorskip("torch", reason="PyTorch comes with [export]; training needs it")
    from training.losses import partial_loss  # noqa: PLC0415 (needs PyTorch)

    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 15, (1, 4, 8, 8), generator=generator)
    right = torch.nn.functional.one_hot(classes, 15).permute(0, 4, 1, 2, 3) * 40.0
    loss, dice = partial_loss(right, (classes + spider.EXACT).to(torch.uint8))
    assert float(loss) == pytest.approx(0, abs=1e-3)
    assert float(dice) == pytest.approx(1, abs=1e-3)
    free, _ = partial_loss(-right, torch.zeros(1, 4, 8, 8, dtype=torch.uint8))
    assert float(free) == pytest.approx(0, abs=1e-3)  # where nothing is known, nothing is wrong
    wrong, _ = partial_loss(right, ((classes + 1) % 15 + spider.EXACT).to(torch.uint8))
    assert float(wrong) > 30
