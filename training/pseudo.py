"""Class probabilities of a slice as pseudo-labels: what a network may be believed, whether counts agree."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from spineps_rt import labels as L
from training import spider

MM = 0.9375
"""Spacing of slices, rows and columns."""
SURE = 0.6
"""Least probability of a pseudo-label."""
BODY_MM2, DISC_MM2 = 250.0, 60.0
"""Smaller pieces count as no vertebra and no disc."""
REACH_MM = 55.0
"""How far before the canal's front wall the column reaches at most."""
PIECE_MM = 12.0
"""Shorter pieces of canal continue nothing."""
_CLASS = spider.CLASS
_COLUMN = [_CLASS[c] for c in (L.CORPUS, L.DISC, L.ENDPLATE, *spider.POSTERIOR)]


def pieces(mask: np.ndarray, least_mm2: float) -> tuple[np.ndarray, list[int]]:
    """Connected pieces of a mask (I, P): their map and the ids of those that are large enough."""
    found, count = ndimage.label(mask)
    sizes = np.bincount(found.ravel(), minlength=count + 1) * MM * MM
    return found, [k for k in range(1, count + 1) if sizes[k] >= least_mm2]


def pseudo(probability: np.ndarray, *, sacrum: bool = False) -> np.ndarray:
    """Turn class probabilities of a slice, float (classes, I, P), into codes, uint8 (I, P).

    Args:
        probability: The teacher's, or the student's.
        sacrum: Whether it knows what a sacrum is.
    """
    best, sure = probability.argmax(0), probability.max(0) >= SURE
    canal = np.isin(best, [_CLASS[L.CORD], _CLASS[L.CANAL]])
    spine = one_canal(canal)
    codes = (spider.EXACT + best).astype(np.uint8)
    sided = np.isin(best, [_CLASS[c] for c in range(43, 49)])
    codes[sided] = spider.BEHIND
    codes[canal] = spider.CANAL
    codes[canal & ~spine] = spider.IGNORED
    codes[~sure] = spider.IGNORED
    bone = best == _CLASS[L.SACRUM]
    codes[bone & ~(one_sacrum(bone, best == _CLASS[L.DISC]) if sacrum else False)] = spider.IGNORED
    rows = np.flatnonzero(spine.any(1))
    front = np.interp(np.arange(len(best)), rows, spine[rows].argmax(1)) if len(rows) else np.zeros(len(best))
    within = (np.arange(len(best)) >= rows.min(initial=9999)) & (np.arange(len(best)) <= rows.max(initial=-1))
    column = np.isin(best, _COLUMN)
    far = np.arange(best.shape[1]) < (front - REACH_MM / MM)[:, None]
    codes[column & far] = spider.BACKGROUND
    codes[column & ~far & ~within[:, None]] = spider.IGNORED
    high = np.arange(len(best)) < highest_sacrum(best == _CLASS[L.DISC])
    body, large = pieces(best == _CLASS[L.CORPUS], BODY_MM2)
    low = disc_rows(best == _CLASS[L.DISC])[:1]
    for k in large:  # a body below the lowest disc may be S1
        if low and np.flatnonzero((body == k).any(1)).mean() > low[0]:
            codes[body == k] = spider.IGNORED
    background = codes == spider.EXACT
    codes[background] = spider.BACKGROUND
    codes[(codes == spider.BACKGROUND) & high[:, None]] = spider.NOTHING
    return without_low_cord(divided(codes, probability)[None], codes[None])[0]


def one_canal(canal: np.ndarray) -> np.ndarray:
    """Keep the tallest piece of a mask (I, P), and tall ones that continue it above or below."""
    found, _ = ndimage.label(ndimage.binary_closing(canal, iterations=2))
    boxes = ndimage.find_objects(found)
    if not boxes:
        return canal
    heights = [box[0].stop - box[0].start for box in boxes]
    main = int(np.argmax(heights))
    kept = found == 1 + main
    rows = np.flatnonzero(kept.any(1))
    for k, box in enumerate(boxes):
        apart = box[0].start >= rows[-1] or box[0].stop <= rows[0]
        end = rows[-1] if box[0].start >= rows[-1] else rows[0]
        shift = abs((box[1].start + box[1].stop) / 2 - np.flatnonzero(kept[end]).mean())
        if apart and heights[k] * MM >= PIECE_MM and shift * MM < REACH_MM:
            kept |= found == 1 + k
    return kept


def divided(codes: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Divide the canal into cord and canal where the teacher is sure."""
    cord, canal = probability[_CLASS[L.CORD]], probability[_CLASS[L.CANAL]]
    inside = codes == spider.CANAL
    share = cord / (cord + canal + 1e-6)
    answer = codes.copy()
    answer[inside & (share > 0.9)] = spider.EXACT + _CLASS[L.CORD]
    answer[inside & (share < 0.1)] = spider.EXACT + _CLASS[L.CANAL]
    return answer


def disc_rows(disc: np.ndarray) -> list[float]:
    """Rows of the discs in a mask (I, P), the lowest first."""
    found, large = pieces(disc, DISC_MM2)
    return sorted((c[0] for c in ndimage.center_of_mass(disc, found, large)), reverse=True)


def highest_sacrum(disc: np.ndarray) -> float:
    """First row that may show sacrum."""
    rows = disc_rows(disc)
    return rows[0] - spider.ABOVE_SACRUM if rows else 0.0


def one_sacrum(bone: np.ndarray, disc: np.ndarray) -> np.ndarray:
    """Keep the largest piece of a mask (I, P) where a sacrum may lie, if it is as large as a body."""
    found, large = pieces(bone & possible_sacrum(disc), BODY_MM2)
    sizes = [int((found == k).sum()) for k in large]
    return found == large[int(np.argmax(sizes))] if large else np.zeros(bone.shape, bool)


def possible_sacrum(disc: np.ndarray) -> np.ndarray:
    """Where a sacrum may lie: from the lowest disc down and backwards.

    Args:
        disc: bool (I, P), the discs of a middle slice.

    Returns:
        bool (I, P); nowhere if there is no disc.
    """
    found, large = pieces(disc, DISC_MM2)
    answer = np.zeros(disc.shape, bool)
    if large:
        lowest = max(large, key=lambda k: np.flatnonzero((found == k).any(1)).mean())
        rows, columns = (np.flatnonzero((found == lowest).any(axis)) for axis in (1, 0))
        answer[rows[0] :, max(0, columns[0] - round(8 / MM)) : columns[-1] + round(90 / MM)] = True
    return answer


def without_low_cord(answer: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Take back what says cord or canal where the teacher cannot know.

    The cord ends at L1 or L2. Below the fourth disc from below (L2/L3) all of the canal is canal; between it
    and the sixth (T12/L1), what was a set of both becomes one again unless it says canal or cord with the
    teacher's full word, which the callers have asked for.

    Args:
        answer: uint8 (R, I, P) codes.
        before: uint8 (R, I, P): where it holds ``CANAL``, experts or teacher know no more.

    Returns:
        A new array.
    """
    disc = np.isin(answer, (spider.DISC, spider.EXACT + _CLASS[L.DISC]))
    rows = disc_rows(disc[len(disc) // 2])
    result = answer.copy()
    if len(rows) > 3:
        low = np.arange(answer.shape[1]) > rows[3]
        result[(before == spider.CANAL) & low[:, None]] = spider.EXACT + _CLASS[L.CANAL]
    return result


def agrees(codes: np.ndarray, *, vertebrae: int, discs: int) -> bool:
    """Whether the pseudo-labels show as many bodies and discs as experts counted, each in one piece.

    A vertebra at the border may or may not have been counted, so that one more or less at the top is allowed
    where discs and bodies agree with each other.
    """
    body = codes == spider.EXACT + _CLASS[L.CORPUS]
    found, large = pieces(body, BODY_MM2)
    found_discs = len(disc_rows(codes == spider.EXACT + _CLASS[L.DISC]))
    if abs(len(large) - vertebrae) > 1 or abs(found_discs - discs) > 1:
        return False
    if abs(len(large) - found_discs) > 1 or not large:
        return False
    heights = [s[0].stop - s[0].start for s in ndimage.find_objects(found)]
    sizes = [heights[k - 1] for k in large]
    return max(sizes) < 1.7 * float(np.median(sizes))
