"""Logits averaged over mirrored copies of a tile."""

from __future__ import annotations

import itertools

import numpy as np

from spineps_rt.backends.base import Engine


def turns(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every combination of axes in nnU-Net's order: none, then every axis alone, every pair, all three."""
    return [some for count in range(len(axes) + 1) for some in itertools.combinations(axes, count)]


def mirrored_logits(engine: Engine, tiles: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Run tiles along every combination of mirrored axes and average what comes back, mirrored back.

    As nnU-Net does (``_internal_maybe_mirror_and_predict``), in the order of :func:`turns`.

    Args:
        engine: Of a semantic model.
        tiles: (N, 1, p0, p1, p2) of the model's input dtype; N at most the batch of its variant.
        axes: Which of the three axes may be mirrored, from 0; empty runs the tiles as they are.

    Returns:
        float32 (N, classes, p0, p1, p2); without axes it may lie in the engine's own memory.

    Raises:
        ContractError, NotFiniteError, EngineError: As :meth:`~spineps_rt.backends.Engine.borrow`.
    """
    total = engine.borrow(tiles).astype(np.float32, copy=bool(axes))
    for some in turns(axes)[1:]:
        turned = tuple(axis + 2 for axis in some)
        total += np.flip(engine.borrow(np.flip(tiles, turned)), turned)
    if axes:
        total /= 2 ** len(axes)
    return total
