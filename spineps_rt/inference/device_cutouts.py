"""The instance network's cutouts on a GPU: the label map goes up once, the classes come down."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.inference.out_of_memory import within_memory


def classes_on_device(
    engine: Engine, labels: np.ndarray, table: np.ndarray, starts: np.ndarray
) -> Iterator[np.ndarray]:
    """Run the network on windows of a label map, as many at a time as the graph takes.

    Args:
        engine: Of an instance model, with a network between device buffers.
        labels: uint8 (n0, n1, n2), C-contiguous, in the network's axis order.
        table: uint8 (256,): label -> what the network takes.
        starts: int64 (N, 3): the windows' first voxels; may be negative. Beyond the map there are zeros.

    Yields:
        uint8, of the network's shape, a window at a time: what it answers; to be read before the next.

    Raises:
        EngineError: The engine failed, or memory does not suffice for one window at a time.
    """
    on_gpu = within_memory(engine, partial(_up, engine, labels, table), buffers=labels.nbytes)
    done = 0
    while done < len(starts):
        some = within_memory(engine, partial(_classes, engine, on_gpu, starts[done:]), buffers=labels.nbytes)
        engine.count(len(some))
        done += len(some)
        yield from some


def _up(engine: Engine, *arrays: np.ndarray) -> list[Any]:
    from numba import cuda  # noqa: PLC0415 (slow to import)

    with engine.explained():
        return [cuda.to_device(array) for array in arrays]


def _classes(engine: Engine, on_gpu: list[Any], starts: np.ndarray) -> np.ndarray:
    """Run one batch of windows from the first on; what lacks to it is its last window again."""
    from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415 (slow to import)

    chosen = np.minimum(np.arange(engine.model.batch), len(starts) - 1)
    labels, table = on_gpu
    (where,) = _up(engine, starts[chosen])
    with engine.explained():
        run = engine.on_device()
        kernels.gather_cutouts(labels, table, where, run.input, stream=run.stream)
        run.launch()
        return run.fetch()[: len(starts)]
