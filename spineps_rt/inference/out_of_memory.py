"""Too little memory for a network: a smaller batch, then an error that says so."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.backends.gpu import cuda_devices, lacks_memory
from spineps_rt.errors import OutOfMemoryError
from spineps_rt.models.manifest import Model
from spineps_rt.models.resolve import select_variant

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


def within_memory(engine: Engine, work: Callable[[], T], *, buffers: int = 0) -> T:
    """Do what runs a network; where memory does not suffice, do it again with a batch of one.

    Args:
        engine: What the work runs on. It keeps the smaller graph afterwards.
        work: Runs the network, from its beginning each time.
        buffers: Bytes that the work takes beside what the network's ends take, for the message.

    Returns:
        What the work returns.

    Raises:
        OutOfMemoryError: Memory does not suffice, and there is no graph of a smaller batch.
        Exception: Whatever else the work raises.
    """
    while True:
        try:
            return work()
        except Exception as error:
            if not out_of_memory(error):
                raise
            lacking = _without_frames(error)
        # Only out here has the interpreter let go of the error's frames and of the arrays in them.
        gc.collect()
        engine.release_buffers()
        _make_room(engine, lacking, buffers)


def device_buffers(engine: Engine) -> Any:
    """The engine's network between buffers of a GPU, or None where it runs on the host's arrays."""
    return within_memory(engine, engine.device_buffers)


def out_of_memory(error: BaseException | None) -> bool:
    """Tell by an error, or what caused it, whether memory was lacking."""
    if error is None:
        return False
    return isinstance(error, MemoryError) or lacks_memory(str(error)) or out_of_memory(error.__cause__)


def _without_frames(error: Exception) -> Exception:
    """Cut the frames off an error and off what it came from, because they hold the arrays they worked on."""
    chain: list[BaseException] = [error]
    while chain:
        one = chain.pop()
        one.__traceback__ = None
        causes = (one.__cause__, one.__context__)
        chain += [cause for cause in causes if cause is not None and cause.__traceback__ is not None]
    return error


def _make_room(engine: Engine, error: Exception, buffers: int) -> None:
    """Change the engine to a batch of one, or give up."""
    before, smaller = engine.model, _single(engine.model)
    if smaller is None or not engine.switch_variant(smaller):
        raise OutOfMemoryError(_explain(engine, error, buffers)) from error
    _LOG.warning(
        "Memory does not suffice for %d samples at once of model %s; going on one by one (%s)",
        before.batch,
        before.name,
        error,
    )


def _single(model: Model) -> Model | None:
    """The variant of the same precision and a batch of one, if that is smaller."""
    name = model.variant.rpartition(".")[0]  # of fp16.b4: fp16; of b4: the model's own graph
    if model.batch == 1 or (name and name not in model.variants):
        return None
    return select_variant(model, name)


def _explain(engine: Engine, error: Exception, buffers: int) -> str:
    model = engine.model
    ends = sum(math.prod(end.shape) * np.dtype(end.dtype).itemsize for end in (model.input, model.output))
    return (
        f"Memory does not suffice for model {model.name!r} on {engine.provider}: a batch of {model.batch} "
        f"takes {_megabytes(ends + buffers)} beside the network itself{_free()} ({error}). Close what else "
        "uses the memory, or take another device, for instance --device cpu, or a model in fp16, about half "
        "as large: spineps-rt export model MODEL -o NEW_FOLDER --precision fp16"
    )


def _free() -> str:
    if not cuda_devices():
        return ""
    from numba import cuda  # noqa: PLC0415 (slow to import)

    free, total = cuda.current_context().get_memory_info()
    return f"; of the GPU's {_megabytes(total)} {_megabytes(free)} are free"


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"
