import itertools

import numpy as np
import pytest

from spineps_rt.stages.instance.coupling import couples, dice
from spineps_rt.stages.instance.cutouts import Prediction, collect, place_window
from spineps_rt.stages.instance.merge import merge

SHAPE = (14, 40, 12)


def prediction(mask):
    index = np.argwhere(mask)
    box = tuple(slice(a, b + 1) for a, b in zip(index.min(axis=0), index.max(axis=0)))
    return Prediction(box, mask[box], len(index))


def block(rows, *, value=True):
    mask = np.zeros(SHAPE, bool)
    mask[3:11, rows[0] : rows[1], 2:10] = value
    return mask


def full(found, member):
    mask = np.zeros(SHAPE, bool)
    mask[found[member].box] = found[member].mask
    return mask


def random_predictions(seed):
    """Neighbouring centres see the same blocks, moved, frayed, swapped or not at all."""
    rng = np.random.default_rng(seed)
    found = {}
    for centre, value in itertools.product(range(6), range(3)):
        top = 5 * (centre + value) + int(rng.integers(-2, 3))
        mask = block((max(top, 0), max(top, 0) + 7)) & (rng.random(SHAPE) < 0.95)
        if rng.random() < 0.85 and mask.any():
            found[centre, int(rng.permutation(3)[0]) if rng.random() < 0.2 else value] = prediction(mask)
    return found


def slow_dice(found, a, b):
    first, second = full(found, a), full(found, b)
    return 2.0 * int((first & second).sum()) / int(first.sum() + second.sum())


def slow_couples(found):
    """The peer's rule, word by word, on whole volumes."""
    votes = {}
    for anchor in sorted(found):
        near = [m for m in sorted(found) if m[0] != anchor[0] and abs(m[0] - anchor[0]) <= 2]
        scores = sorted(((slow_dice(found, anchor, m), m) for m in near), key=lambda s: -s[0])[:2]
        scores = [s for s in scores if s[0] > 0.3]
        if len(scores) == 2 and slow_dice(found, scores[0][1], scores[1][1]) < 0.3:
            scores = scores[:1]
        members = tuple(sorted([m for _, m in scores] + [anchor], key=lambda m: m[0]))
        votes.setdefault(members, []).append(sum(s for s, _ in scores) / max(len(scores), 1))
    means = {members: sum(v) / len(v) for members, v in votes.items()}
    return sorted(means.items(), key=lambda item: -(len(item[0]) + 1) * item[1])


def slow_merge(found, ranked):
    result, count = np.zeros(SHAPE, np.uint16), 0
    for members, agreement in ranked:
        votes = sum(full(found, m).astype(int) for m in members)
        needed = 1 if len(members) <= 2 or agreement < 0.45 else 2
        chosen = votes >= needed
        if (chosen & (result > 0)).sum() / chosen.sum() > 0.6:
            continue
        count += 1
        result[chosen & (result == 0)] = count
    return result


@pytest.mark.parametrize("seed", range(8))
def test_couples_and_their_merging_equal_the_slow_twin(seed):
    found = random_predictions(seed)
    ranked = couples(found)
    slow = slow_couples(found)
    assert list(ranked.items()) == slow
    assert {len(members) for members in ranked} >= {1, 3} or seed > 0
    result = merge(found, ranked, SHAPE)[0]
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, slow_merge(found, slow))


def test_dice_of_masks_apart_and_alike():
    one, other = prediction(block((2, 6))), prediction(block((6, 10)))
    assert dice(one, other) == 0.0
    assert dice(one, one) == 1.0
    assert dice(one, prediction(block((4, 8)))) == 0.5


def test_partners_that_do_not_know_each_other_are_not_one_vertebra():
    wide, upper, lower = block((0, 20)), block((0, 9)), block((10, 20))
    found = {(0, 2): prediction(upper), (1, 1): prediction(wide), (2, 0): prediction(lower)}
    assert set(couples(found)) == {((1, 1), (2, 0)), ((0, 2), (1, 1))}


def test_centres_three_apart_are_not_compared():
    same = prediction(block((5, 10)))
    assert couples({(0, 1): same, (3, 1): same}) == {((0, 1),): 0.0, ((3, 1),): 0.0}


def test_two_of_three_votes_decide_and_one_of_two():
    a, b, c = block((4, 12)), block((5, 13)), block((6, 14))
    three = {(0, 2): prediction(a), (1, 1): prediction(b), (2, 0): prediction(c)}
    np.testing.assert_array_equal(merge(three, couples(three), SHAPE)[0], block((5, 13)).astype(np.uint16))
    two = {key: three[key] for key in ((0, 2), (1, 1))}
    np.testing.assert_array_equal(merge(two, couples(two), SHAPE)[0], block((4, 13)).astype(np.uint16))


def test_what_is_taken_stays_taken():
    sure, late = block((5, 15)), block((9, 19))
    found = {(0, 1): prediction(sure), (4, 1): prediction(late)}
    result, _ = merge(found, {((0, 1),): 0.0, ((4, 1),): 0.0}, SHAPE)
    np.testing.assert_array_equal(result, block((5, 15)) * np.uint16(1) + block((15, 19)) * np.uint16(2))
    mostly_taken = {(0, 1): prediction(sure), (4, 1): prediction(block((8, 16)))}
    assert merge(mostly_taken, {((0, 1),): 0.0, ((4, 1),): 0.0}, SHAPE)[0].max() == 1


def test_a_window_at_the_border_is_padded():
    labels = np.ones(SHAPE, np.uint8)
    window, met = place_window(labels, np.array([1.9, 38.2, 6.0]), (8, 10, 30))
    assert met
    assert window.centre == (1, 38, 6)
    assert window.inside == (slice(0, 5), slice(33, 40), slice(0, 12))
    assert window.place == (slice(3, 8), slice(0, 7), slice(9, 21))


def test_a_centre_beside_the_spine_moves_down_until_it_meets_it():
    labels = np.zeros(SHAPE, np.uint8)
    labels[5, 22:, 5] = 1
    assert place_window(labels, np.array([5.0, 10.5, 5.0]), (4, 4, 4))[0].centre == (5, 25, 5)
    window, met = place_window(labels, np.array([6.0, 10.5, 5.0]), (4, 4, 4))
    assert window.centre == (6, 10, 5)
    assert not met


def test_predictions_lie_where_the_window_was():
    labels = block((10, 30)).astype(np.uint8)
    windows = [place_window(labels, np.array(c), (8, 10, 6))[0] for c in ([4, 12, 3], [9, 27, 8])]
    answer = np.zeros((8, 10, 6), np.uint8)
    answer[4, 5, 3] = 2
    answer[4, 6:8, 3] = 3
    found, blank = collect(windows, [answer, answer], size=(8, 10, 6), largest=0)
    assert blank == []
    assert sorted(found) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [np.argwhere(full(found, m)).tolist() for m in ((0, 1), (1, 2))] == [
        [[4, 12, 3]],
        [[9, 28, 8], [9, 29, 8]],
    ]
