"""Folds of a network, a graph each, that run in turn: their mean, as one graph of all would answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.backends.device_buffers import Buffers, DeviceRun, FoldsRun
from spineps_rt.errors import EngineError
from spineps_rt.models.manifest import Model, TensorSpec
from spineps_rt.models.resolve import M, select_variant


def each_fold(model: M) -> list[M]:
    """Split a model into its folds, each a model of one graph that is named after its place.

    Args:
        model: Any variant of it.

    Returns:
        The folds in that variant; the model alone where it has one graph.
    """
    if len(model.folds) == 1:
        return [model]
    split = []
    for i, name in enumerate(model.folds):
        variants = {key: replace(v, graphs=v.graphs[i : i + 1]) for key, v in model.variants.items()}
        split.append(replace(model, name=f"{model.name}-fold{i}", folds=(name,), variants=variants))
    return split


class FoldsEngine(Engine):
    """An engine for every fold; their answers meet where they are run, on the host or on a GPU."""

    def __init__(self, model: Model, open_one: Callable[[Model], Engine]) -> None:
        """Open the engines of the folds: all or none.

        Args:
            model: A model with several folds.
            open_one: Opens an engine for one of them.

        Raises:
            ModelError, EngineError: As the engine of the fold that cannot be opened says.
        """
        with ExitStack() as stack:
            self._engines = [stack.enter_context(open_one(one)) for one in each_fold(model)]
            ran = " and ".join(dict.fromkeys(engine.provider for engine in self._engines))
            chosen = select_variant(model, self._engines[0].model.variant)
            super().__init__(chosen, provider=f"{ran}, {len(self._engines)} folds in turn")
            self._opened = stack.pop_all()
        self._device: FoldsRun | None = None

    def _signature(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        return self._engines[0]._signature()

    def _run(self, batch: np.ndarray) -> np.ndarray:
        total = np.zeros(self.model.output.shape, np.float32)
        for engine in self._engines:
            total += engine.borrow(batch)
            engine.release_buffers()  # what one fold works in at a time
        total /= len(self._engines)
        return total.astype(self.model.output.dtype, copy=False)

    def device_buffers(self, shared: Buffers | None = None) -> FoldsRun | None:
        """Return all folds between one pair of buffers of a GPU; None where one of them cannot lie there."""
        if self._device is None:
            runs: list[DeviceRun] = []
            for engine in self._engines:
                run = engine.device_buffers(runs[0].buffers if runs else shared)
                if run is None:
                    return None
                runs.append(run)
            with self.explained():
                self._device = FoldsRun(runs, (self.model.input, self.model.output))
        return self._device

    def switch_variant(self, model: Model) -> bool:
        """Let every fold run another variant."""
        self._device = None
        for n, (engine, one) in enumerate(zip(self._engines, each_fold(model))):
            if not engine.switch_variant(one):
                if n == 0:
                    return False
                raise EngineError(
                    f"Fold {n} of model {model.name!r} lacks the variant {model.variant!r} that the folds "
                    "before it have; build or export all folds again."
                )
        self._adopt(select_variant(model, self._engines[0].model.variant))
        return True

    def release_buffers(self) -> None:
        """Release what all folds work in."""
        self._device = None
        for engine in self._engines:
            engine.release_buffers()

    def close(self) -> None:
        """Release the engines of the folds."""
        super().close()
        self._device = None
        self._opened.close()
