"""Contests of what surrounds the networks: stitching their tiles, comparing the answers for two cutouts."""

from __future__ import annotations

from itertools import combinations
from typing import cast

import numpy as np
from TPTBox.core import np_utils as tptbox

from benchmarks.kernel_contests import Contest, dilation_within_a_mask
from spineps_rt.backends.base import Engine
from spineps_rt.inference.host_window import HostAccumulator
from spineps_rt.inference.tiling import importance_map, plan_tiles
from spineps_rt.inference.window import sliding_window
from spineps_rt.kernels.statistics import region_statistics
from spineps_rt.models import resolve_models
from spineps_rt.models.manifest import SemanticModel
from spineps_rt.stages.instance.coupling import REACH, dice
from spineps_rt.stages.instance.cutouts import Prediction

TIES = 1e-5
"""Fraction of voxels whose two best classes may change places by rounding."""
LAST_VERTEBRA = 28


class _Echo:
    """An engine whose network answers every tile alike and at once."""

    def __init__(self, model: SemanticModel) -> None:
        self.model = model
        self.logits = np.random.default_rng(2).normal(size=model.output.shape).astype(np.float32)

    def borrow(self, _: np.ndarray) -> np.ndarray:
        return self.logits


def stitching(labels: np.ndarray) -> Contest:
    """Tiles of the embedded semantic model over a volume of the map's shape, P I R."""
    model = resolve_models(None).semantic
    engine, image = _Echo(model), np.zeros(labels.shape[::-1], np.float32)
    plan = plan_tiles(image.shape, model.patch, model.step)
    return Contest(
        f"stitching of tiles, {model.output.shape[1]} classes",
        lambda: sliding_window(HostAccumulator(cast(Engine, engine), image, plan), plan),
        {"numpy as nnU-Net": lambda: _stitch_with_numpy(engine, image)},
        lambda a, b: float(np.mean(a != b)) < TIES,
    )


def _stitch_with_numpy(engine: _Echo, image: np.ndarray) -> np.ndarray:
    """Weight, add, divide by the sum of weights, take the best class: nnU-Net's sliding window in numpy."""
    model = engine.model
    plan, weights = plan_tiles(image.shape, model.patch, model.step), importance_map(model.patch)
    padded = np.pad(image, plan.padding)
    total = np.zeros((model.output.shape[1], *plan.padded), np.float32)
    sums = np.zeros(plan.padded, np.float32)
    for tile in plan.tiles:
        where = tuple(slice(start, start + size) for start, size in zip(tile, plan.patch))
        total[(slice(None), *where)] += engine.borrow(padded[where])[0] * weights
        sums[where] += weights
    total /= sums
    inside = tuple(slice(low, low + size) for size, (low, _) in zip(plan.shape, plan.padding))
    return total.argmax(axis=0)[inside].astype(np.uint8)


def overlaps(instances: np.ndarray) -> Contest:
    """Dice of what the cutouts of neighbouring vertebrae show; each vertebra is in three cutouts."""
    answers = _cutout_answers(instances)
    pairs = [(a, b) for a, b in combinations(answers, 2) if 0 < abs(a[0] - b[0]) <= REACH]

    def with_tptbox() -> list[float]:
        found = []
        for a, b in pairs:
            first, second = (_in_hull(answers[one], answers[a], answers[b]) for one in (a, b))
            found.append(float(tptbox.np_dice(first, second)))
        return found

    def counted(one: tuple[int, int]) -> Prediction:
        return answers[one]._replace(size=int(np.count_nonzero(answers[one].mask)))

    return Contest(
        f"Dice of {len(pairs)} pairs of predictions",
        lambda: [dice(answers[a], answers[b]) for a, b in pairs],
        {
            "TPTBox": with_tptbox,
            "numpy as SPINEPS 2.1.3": lambda: [dice(counted(a), counted(b)) for a, b in pairs],
        },
        lambda a, b: bool(np.allclose(a, b)),
    )


def _cutout_answers(instances: np.ndarray) -> dict[tuple[int, int], Prediction]:
    """(centre, class) -> the vertebra above, at and below it; what lies beyond a cutout is missing."""
    regions = region_statistics(instances)
    vertebrae = [label for label in regions.present if label <= LAST_VERTEBRA]
    answers = {}
    for centre in range(len(vertebrae)):
        for place, shown in enumerate(range(centre - 1, centre + 2)):
            if 0 <= shown < len(vertebrae):
                p, i, r = regions.box(vertebrae[shown])
                cut = (p, slice(i.start + 3 * (place == 0), i.stop - 3 * (place == 2)), r)
                mask = instances[cut] == vertebrae[shown]
                answers[centre, place] = Prediction(cut, mask, int(np.count_nonzero(mask)))
    return answers


def _in_hull(one: Prediction, a: Prediction, b: Prediction) -> np.ndarray:
    """Mask of a prediction in the smallest box around two."""
    low = [min(x.start, y.start) for x, y in zip(a.box, b.box)]
    mask = np.zeros([max(x.stop, y.stop) - start for x, y, start in zip(a.box, b.box, low)], np.uint8)
    mask[tuple(slice(s.start - start, s.stop - start) for s, start in zip(one.box, low))] = one.mask
    return mask


CONTESTS = {
    "lumbar spine, structures": [dilation_within_a_mask, stitching],
    "whole spine, instances": [overlaps],
}
"""Map -> what makes the contests held on it alone."""
