"""Run one kernel over slabs of a volume in several threads.

Kernels release the interpreter lock, so plain threads do; numba's own threading layers are not all safe
to enter from several threads at once, which a server does, and cost seconds of compilation a kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

from spineps_rt.machine import cores

MINIMAL_VOXELS = 1 << 18
"""A slab below this many voxels is not worth a thread's wake-up."""


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=cores(), thread_name_prefix="kernel")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has no threads of its parent


def slabs(count: int, voxels: int, *, each_thread: int = 1) -> list[tuple[int, int]]:
    """Cut ``range(count)`` into one piece a thread, or several.

    Args:
        count: Length of the axis to cut.
        voxels: Voxels of the whole volume; few voxels make few pieces.
        each_thread: Pieces a thread, where work is unevenly spread: who is done early takes the next.

    Returns:
        Half-open ranges in order; none when the axis is empty.
    """
    threads = cores()
    wanted = threads * each_thread if threads > 1 else 1
    pieces = max(1, min(wanted, count, voxels // MINIMAL_VOXELS))
    edges = [count * i // pieces for i in range(pieces + 1)]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def each(work: Callable[..., Any], pieces: list[tuple[Any, ...]]) -> list[Any]:
    """Call ``work(*piece)`` for every piece, side by side where there are several.

    Args:
        work: A kernel, or a function that mostly runs kernels.
        pieces: Argument tuples.

    Returns:
        The answers in the order of the pieces.
    """
    helpers = min(len(pieces), cores()) - 1
    if helpers < 1:
        return [work(*piece) for piece in pieces]
    answers: list[Any] = [None] * len(pieces)
    queue = iter(range(len(pieces)))  # its next() is atomic, so every piece is taken once

    def take() -> None:
        for index in queue:
            answers[index] = work(*pieces[index])

    others = [_pool().submit(take) for _ in range(helpers)]
    try:
        take()
    finally:
        for other in others:
            other.result()
    return answers
