"""The instance network of an engine over windows of a semantic mask."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from time import perf_counter

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.errors import ContractError
from spineps_rt.inference.device_cutouts import DeviceCutouts
from spineps_rt.inference.out_of_memory import device_buffers, within_memory
from spineps_rt.inference.predictors import RunStats
from spineps_rt.kernels.boxes import cut_windows
from spineps_rt.models.manifest import InstanceModel

CLASSES = 4
"""None, above, centre, below: what SPINEPS's instance network answers."""


class InstanceNetwork:
    """An engine as an :class:`~spineps_rt.inference.predictors.InstancePredictor`.

    Where the engine's network runs between buffers of a GPU, windows are cut there, else on the host.
    """

    def __init__(self, engine: Engine) -> None:
        """Take an engine, which stays its opener's to close.

        Args:
            engine: Of an instance model.

        Raises:
            ContractError: The model is another.
        """
        if not isinstance(engine.model, InstanceModel):
            raise ContractError(f"Model {engine.model.name!r} is no instance model.")
        self._engine = engine

    @property
    def model(self) -> InstanceModel:
        """The model in the variant that runs."""
        return self._engine.model  # type: ignore[return-value]

    @property
    def provider(self) -> str:
        """What runs it."""
        return self._engine.provider

    def classify_windows(
        self, labels: np.ndarray, table: np.ndarray, starts: np.ndarray
    ) -> Generator[np.ndarray, None, RunStats]:
        """Answer windows of a semantic mask, as many at a time as the graph takes.

        Args:
            labels: uint8 (P, I, R), the semantic mask.
            table: uint8 (256,): semantic label -> the network's label.
            starts: int64 (N, 3): the windows' first voxels; may be negative. Beyond the mask there are zeros.

        Yields:
            uint8 (P, I, R), C-contiguous, a window at a time: 0 none, 1 above, 2 centre, 3 below.

        Returns:
            What was run.

        Raises:
            ContractError: An argument is not as described, or the network answered another class.
            OutOfMemoryError: Memory does not suffice for one window at a time.
            EngineError: The engine failed.
        """
        _check(labels, table, starts)
        engine, order = self._engine, list(self.model.axis_order)
        turned, places = labels.transpose(order), starts[:, order]
        begun = perf_counter()
        cutter = DeviceCutouts if device_buffers(engine) is not None else HostCutouts
        cutouts, done, seconds = cutter(engine, turned, table), 0, perf_counter() - begun
        while done < len(places):
            begun = perf_counter()
            some = within_memory(engine, partial(cutouts.classes, places[done:]), buffers=labels.nbytes)
            seconds += perf_counter() - begun
            done += len(some)
            for answer in some:
                self._check_classes(answer)
                yield np.ascontiguousarray(answer.transpose(np.argsort(order)))
        engine.release_buffers()
        return RunStats(self.provider, done, done, seconds)

    def _check_classes(self, answer: np.ndarray) -> None:
        if answer.max() >= CLASSES:
            raise ContractError(
                f"Model {self.model.name!r} answered class {answer.max()}; an instance network answers "
                f"0 to {CLASSES - 1}. Export the model again."
            )


class HostCutouts:
    """A label map in the host's memory, where windows are cut, renamed and answered."""

    def __init__(self, engine: Engine, labels: np.ndarray, table: np.ndarray) -> None:
        """Take a map.

        Args:
            engine: Of an instance model.
            labels: uint8 (n0, n1, n2) in the network's axis order.
            table: uint8 (256,): label -> what the network takes.
        """
        self._engine, self._labels, self._table = engine, labels, table

    def classes(self, starts: np.ndarray) -> np.ndarray:
        """Answer a batch of windows, from the first on.

        Args:
            starts: int64 (N, 3), the windows' first voxels, in the network's axis order; N at least 1.

        Returns:
            uint8 (n, *the network's shape), n at most the model's batch; to be read before the next call.
        """
        model = self._engine.model
        some = cut_windows(self._labels, self._table, starts[: model.batch], model.input.shape[2:])
        return self._engine.borrow(some[:, None])


def _check(labels: np.ndarray, table: np.ndarray, starts: np.ndarray) -> None:
    if labels.ndim != 3 or labels.dtype != np.uint8:
        raise ContractError(
            f"A mask of {labels.dtype} and shape {labels.shape} came; expected uint8 (P, I, R)."
        )
    if table.shape != (256,) or table.dtype != np.uint8:
        raise ContractError(f"A table of {table.dtype} and shape {table.shape} came; expected uint8 (256,).")
    if starts.ndim != 2 or starts.shape[1] != 3 or starts.dtype.kind != "i":
        raise ContractError(
            f"Window starts of {starts.dtype} and shape {starts.shape} came; expected integers (N, 3)."
        )
