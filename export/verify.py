"""One tile through every engine of this machine. Needs no PyTorch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from spineps_rt.export.agreement import Agreement, compare
from spineps_rt.export.tiles import phantom_tile

from spineps_rt.engine import load_model, open_engine
from spineps_rt.engine.base import Engine
from spineps_rt.engine.manifest import Model
from spineps_rt.errors import EngineError

DEVICES = ("onnx", "openvino", "cuda", "onnx-tensorrt", "tensorrt", "tensorrt-rtx")
"""The first, ONNX Runtime on the CPU, is the reference."""


@dataclass(frozen=True)
class Verified:
    """One engine's answer."""

    provider: str
    agreement: Agreement
    seconds: float
    """For one tile, the second run of two."""


def engines_here(model: Model, devices: Iterable[str]) -> Iterator[Engine]:
    """Open one engine after the other, each closed before the next; what this machine lacks is passed over.

    Args:
        model: What they run.
        devices: Names as :func:`~spineps_rt.engine.open_engine` takes them; the first must be there.

    Yields:
        Open engines.

    Raises:
        EngineError: The first device cannot be had.
    """
    for place, device in enumerate(devices):
        try:
            engine = open_engine(model, device=device)
        except EngineError:
            if place == 0:
                raise
            continue
        with engine:
            yield engine


def verify(name_or_folder: str | Path) -> Iterator[Verified]:
    """Compare the engines that are there with ONNX Runtime on the CPU.

    Args:
        name_or_folder: A model folder, or the name of an embedded model.

    Yields:
        One engine after the other, the reference first.

    Raises:
        ModelError: The model is damaged.
        EngineError, NotFiniteError: An engine that is there fails.
    """
    model = load_model(name_or_folder)
    tile = phantom_tile(model)
    reference: np.ndarray | None = None
    for engine in engines_here(model, DEVICES):
        answer, seconds = _timed(engine, tile)
        reference = answer if reference is None else reference
        yield Verified(engine.provider, compare(answer, reference), seconds)


def _timed(engine: Engine, tile: np.ndarray) -> tuple[np.ndarray, float]:
    engine.infer(tile)
    start = time.perf_counter()
    answer = engine.infer(tile)
    return answer, time.perf_counter() - start
