"""An engine runs one model: checked once against the manifest, then fed batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from spineps_rt.errors import ContractError, EngineError, ModelError, NotFiniteError, SpinepsError
from spineps_rt.models.manifest import Model, TensorSpec


class UnavailableError(EngineError):
    """What the engine needs is absent from this machine or installation; another engine may do."""


class Engine(ABC):
    """Base of all engines; a context manager.

    A back end builds its session, calls this constructor, and answers :meth:`_signature` and :meth:`_run`.
    """

    def __init__(self, model: Model, *, provider: str) -> None:
        """Check the session's inputs and outputs against the manifest.

        Args:
            model: The model that the session was built from.
            provider: What really runs, for the run record.

        Raises:
            ModelError: The graph is not what its manifest says.
        """
        self.provider = provider
        self._open = True
        self._adopt(model)

    def _adopt(self, model: Model) -> None:
        """Take a model after checking the session's inputs and outputs against it."""
        inputs, outputs = self._signature()
        for what, found, expected in (("input", inputs, model.input), ("output", outputs, model.output)):
            if found != [expected]:
                raise ModelError(
                    f"The graph of model {model.name!r} ({model.folder}) has the {what} "
                    f"{', '.join(map(_describe, found)) or 'none'}; its manifest says {_describe(expected)}. "
                    "Export the model again."
                )
        self.model = model

    @abstractmethod
    def _signature(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Inputs and outputs as the session reports them."""

    @abstractmethod
    def _run(self, batch: np.ndarray) -> np.ndarray:
        """Run one batch of the graph's own static shape; the answer belongs to the caller."""

    def _run_borrowed(self, batch: np.ndarray) -> np.ndarray:
        """As :meth:`_run`, but the answer may lie in the engine's own memory."""
        return self._run(batch)

    def infer(self, batch: np.ndarray) -> np.ndarray:
        """Run the network.

        Args:
            batch: (N, ...) of the manifest's input dtype, N at least 1. Graphs are static: the samples run as
                many at a time as the model's variant takes, and the last are repeated to fill its batch.

        Returns:
            (N, ...) of the manifest's output dtype, C-contiguous, owned by the caller.

        Raises:
            ContractError: The batch is not what the manifest says.
            NotFiniteError: The network answered NaN or infinity.
            EngineError: The engine is closed or failed while running.
        """
        self._check(batch)
        size = self.model.batch
        first = self._infer_some(batch[:size], self._run)
        if len(batch) <= size:
            return first
        answer = np.empty((len(batch), *first.shape[1:]), first.dtype)
        answer[:size] = first
        for i in range(size, len(batch), size):
            answer[i : i + size] = self._infer_some(batch[i : i + size], self._run)
        return answer

    def device_buffers(self, shared: Any = None) -> Any:  # noqa: ARG002 (a back end with a GPU takes them)
        """Return the network between buffers of a GPU, a ``backends.device_buffers.DeviceRun``, or None.

        Args:
            shared: ``backends.device_buffers.Buffers`` to lie between, when none were taken yet.
        """
        return None

    def switch_variant(self, model: Model) -> bool:  # noqa: ARG002 (a back end that can says how)
        """Run another variant of the model from now on, in place of the present one.

        Args:
            model: The model in that variant.

        Returns:
            Whether it does; a back end that cannot, or lacks what it needs for it, goes on as before.

        Raises:
            ModelError, EngineError: As when an engine is opened.
        """
        return False

    def release_buffers(self) -> None:  # noqa: B027 (a back end that keeps nothing between runs has nothing to give)
        """Give back what only a running network needs; the next run takes it again by itself."""

    def borrow(self, batch: np.ndarray) -> np.ndarray:
        """Run the network once; as :meth:`infer`, but the answer may lie in the engine's own memory.

        Args:
            batch: (N, ...) of the manifest's input dtype; N at most the batch of the model's variant.

        Returns:
            (N, ...) of the manifest's output dtype, to be read before the next call of any method.

        Raises:
            ContractError, NotFiniteError, EngineError: As :meth:`infer`.
        """
        self._check(batch)
        if len(batch) > self.model.batch:
            raise ContractError(
                f"{len(batch)} samples came; this graph of model {self.model.name!r} takes "
                f"{self.model.batch} at once."
            )
        return self._infer_some(batch, self._run_borrowed)

    def close(self) -> None:
        """Give the session's memory back; a closed engine runs nothing more."""
        self._open = False

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what a library raises while it runs the network into an EngineError that names it."""
        try:
            yield
        except SpinepsError:
            raise
        except Exception as error:
            raise EngineError(f"{self.provider} failed on model {self.model.name!r}: {error}") from error

    def _check(self, batch: np.ndarray) -> None:
        spec = self.model.input
        if not self._open:
            raise EngineError(f"The engine of model {self.model.name!r} is closed; open it again.")
        if batch.ndim != len(spec.shape) or batch.shape[1:] != spec.shape[1:] or len(batch) == 0:
            shape = ", ".join(map(str, ("N", *spec.shape[1:])))
            raise ContractError(
                f"A batch of shape {batch.shape} came; model {self.model.name!r} takes ({shape})."
            )
        if batch.dtype != spec.dtype:
            raise ContractError(
                f"A batch of {batch.dtype} came; model {self.model.name!r} takes {spec.dtype}."
            )

    def _infer_some(self, batch: np.ndarray, run: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        lacking = self.model.batch - len(batch)
        full = np.concatenate([batch, np.repeat(batch[-1:], lacking, 0)]) if lacking else batch
        with self.explained():
            answer = run(np.ascontiguousarray(full))
        spec = self.model.output
        if answer.shape != spec.shape or answer.dtype != spec.dtype:
            came = _describe(TensorSpec(spec.name, str(answer.dtype), answer.shape))
            raise ContractError(f"{self.provider} answered {came}; the manifest says {_describe(spec)}.")
        # Two reductions need no temporary array, and both carry NaN.
        if answer.dtype.kind == "f" and not (np.isfinite(answer.min()) and np.isfinite(answer.max())):
            raise NotFiniteError(
                f"Model {self.model.name!r} answered NaN or infinity on {self.provider}: the result would be "
                "meaningless. Check the image's intensities, or run with another device."
            )
        return answer[: len(batch)]


def _describe(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} {list(spec.shape)}"
