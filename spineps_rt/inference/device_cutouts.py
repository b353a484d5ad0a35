"""The instance network's cutouts on a GPU: the label map goes up once, the classes come down."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.inference.out_of_memory import within_memory


class DeviceCutouts:
    """A label map in a GPU's memory, where windows are cut, renamed and answered."""

    def __init__(self, engine: Engine, labels: np.ndarray, table: np.ndarray) -> None:
        """Send the map up.

        Args:
            engine: Of an instance model, with a network between device buffers.
            labels: uint8 (n0, n1, n2) in the network's axis order.
            table: uint8 (256,): label -> what the network takes.

        Raises:
            EngineError: Memory does not suffice.
        """
        self._engine = engine
        arrays = np.ascontiguousarray(labels), table
        self._on_gpu = within_memory(engine, partial(self._up, *arrays), buffers=labels.nbytes)

    def classes(self, starts: np.ndarray) -> np.ndarray:
        """Answer a batch of windows from the first on; what lacks to the batch is its last window again.

        Args:
            starts: int64 (N, 3), the windows' first voxels, in the network's axis order; N at least 1.

        Returns:
            uint8 (n, *the network's shape), n at most the model's batch; to be read before the next call.
        """
        from spineps_rt.kernels import cuda as kernels  # noqa: PLC0415 (slow to import)

        engine, (labels, table) = self._engine, self._on_gpu
        chosen = np.minimum(np.arange(engine.model.batch), len(starts) - 1)
        (where,) = self._up(starts[chosen])
        with engine.explained():
            run = engine.device_buffers()
            kernels.gather_cutouts(labels, table, where, run.input, stream=run.stream)
            run.launch()
            return run.fetch()[: len(starts)]

    def _up(self, *arrays: np.ndarray) -> list[Any]:
        from numba import cuda  # noqa: PLC0415 (slow to import)

        with self._engine.explained():
            return [cuda.to_device(array) for array in arrays]
