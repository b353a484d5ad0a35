"""Cross-entropy and Dice where a voxel allows a set of classes instead of one."""

from __future__ import annotations

import numpy as np
import torch

from training import spider

_ALLOWED = torch.from_numpy(spider.ALLOWED)
_CLASSES = spider.ALLOWED.shape[1]


def _groups(*more: tuple[int, ...]) -> torch.Tensor:
    """float32 (groups, classes): every class by itself, the unions that experts drew, and further ones."""
    labels = (spider.POSTERIOR, (*spider.POSTERIOR, 49), (60, 61), *more)
    unions = [[spider.CLASS[c] for c in union] for union in labels]
    rows = np.concatenate([np.eye(_CLASSES)[1:], [np.isin(np.arange(_CLASSES), u) for u in unions]])
    return torch.from_numpy(rows.astype(np.float32))


_GROUPS = _groups()
_STACK_GROUPS = _groups((43, 44), (45, 46), (47, 48))
"""With the processes whichever side they are on: that is learned before the side is."""
_RARE = {26: 4.0, 41: 3.0, 42: 3.0, **dict.fromkeys(range(43, 49), 8.0), 60: 2.0, 61: 2.0, 62: 3.0, 100: 2.0}
"""How much more a voxel of a small structure counts in :func:`stack_loss`; by label."""
BACKGROUND_SHARE = 0.3
"""Of the voxels that may be background, :func:`stack_loss` looks at so many, each counting for more."""


def _code_weights() -> torch.Tensor:
    """float32 (codes,): weight of a voxel, the least of its allowed classes'."""
    weights = np.ones(_CLASSES, np.float32)
    weights[[spider.CLASS[label] for label in _RARE]] = list(_RARE.values())
    return torch.from_numpy(np.where(spider.ALLOWED, weights, np.inf).min(1))


_CODE_WEIGHTS = _code_weights()


def partial_loss(logits: torch.Tensor, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Marginal cross-entropy plus soft Dice over classes and unions of classes.

    A voxel counts towards a group's Dice only where its allowed set decides membership: wholly inside the
    group, or wholly outside it.

    Args:
        logits: float (N, classes, R, I, P).
        codes: uint8 (N, R, I, P), rows of :data:`training.spider.ALLOWED`.

    Returns:
        ``(loss, dice)``: the scalar to minimise, and the mean soft Dice for the log.
    """
    entropy, scores, known = torch.zeros(()), [], 0
    for answer, index in zip(logits.flatten(2), codes.flatten(1).long(), strict=True):
        certain = index > 0  # between the zeros around a slab nothing is known, and nothing need be computed
        index = index[certain]  # noqa: PLW2901
        logp = torch.log_softmax(answer[:, certain].float(), 0)
        likelihood = torch.logsumexp(logp.masked_fill(~_ALLOWED[index].T, -1e4), 0)
        entropy = entropy - likelihood.sum()
        known += len(index)
        scores.append(_dice(logp.exp(), index))
    found = torch.cat(scores)
    dice = found.mean() if len(found) else torch.ones(())
    return entropy / max(known, 1) + 1 - dice, dice.detach()


def _dice(probability: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Soft Dice of every group that has a voxel for certain; probability (classes, voxels)."""
    table = _ALLOWED.float()
    inside = ((table @ (1 - _GROUPS.T)) == 0).float()  # (codes, groups): the set lies in the group
    outside = ((table @ _GROUPS.T) == 0).float()
    inside[spider.IGNORED] = 0
    outside[spider.IGNORED] = 0
    membership = _GROUPS @ probability  # (groups, voxels)
    target = inside[index].T
    decided = target + outside[index].T
    hit = (membership * target).sum(1)
    total = (membership * decided).sum(1) + target.sum(1)
    present = target.sum(1) > 20
    return ((2 * hit + 1) / (total + 1))[present]


def stack_loss(logits: torch.Tensor, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`partial_loss` for stacks of slices: one Dice a group over the whole stack, from sums per code.

    Args:
        logits: float (slices, classes, rows, columns).
        codes: uint8 (slices, rows, columns), rows of :data:`training.spider.ALLOWED`.

    Returns:
        ``(loss, dice)``: the scalar to minimise, and the soft Dice of each group (NaN where absent).
    """
    allowed, groups, value = (t.to(logits.device) for t in (_ALLOWED, _STACK_GROUPS, _CODE_WEIGHTS))
    index = codes.flatten().long()
    chance = torch.where(allowed[:, 0], BACKGROUND_SHARE, 1.0)
    chance[spider.IGNORED] = 0
    chosen = torch.nonzero(torch.rand(index.shape, device=index.device) < chance[index])[:, 0]
    index = index[chosen]
    weight = 1 / chance[index]
    logp = torch.log_softmax(logits.permute(0, 2, 3, 1).flatten(0, 2)[chosen].float(), 1)
    likelihood = torch.logsumexp(logp.masked_fill(~allowed[index], -1e4), 1)
    entropy = -(weight * value[index] * likelihood).sum() / weight.sum()
    sums = torch.zeros(allowed.shape, device=logits.device)
    sums = sums.index_add(0, index, logp.exp()) / chance.clamp(min=1e-6)[:, None]
    counts = torch.zeros(len(allowed), device=logits.device).index_add(0, index, weight)[:, None]
    inside = ((allowed.float() @ (1 - groups.T)) == 0).float()  # (codes, groups): the set lies in the group
    outside = ((allowed.float() @ groups.T) == 0).float()
    member, target = sums @ groups.T, (inside * counts).sum(0)
    hit = (inside * member).sum(0)
    total = ((inside + outside) * member).sum(0) + target
    dice = torch.where(target > 20, (2 * hit + 1) / (total + 1), torch.nan)
    loss = entropy + 1 - dice.nanmean() if (target > 20).any() else entropy
    return loss, dice.detach()
