"""Every variant of a model through every engine of this machine. Needs no PyTorch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spineps_rt.backends import open_engine
from spineps_rt.backends.base import Engine
from spineps_rt.backends.folds import each_fold
from spineps_rt.errors import EngineError
from spineps_rt.export.checks.agreement import Agreement, compare
from spineps_rt.export.checks.tiles import tiles_of
from spineps_rt.export.checks.trial import DEVICES
from spineps_rt.export.graphs.flops import count_flops
from spineps_rt.export.graphs.graph import load_graph
from spineps_rt.models import load_model, select_variant
from spineps_rt.models.graphs import ENGINES
from spineps_rt.models.manifest import Model
from spineps_rt.models.resolve import read_graph


@dataclass(frozen=True)
class Verified:
    """One engine's answer to one variant."""

    variant: str
    """Empty for ``model.onnx``."""
    provider: str
    agreement: Agreement
    seconds: float
    """For one sample: of a full batch, run twice, the second time divided by its samples."""
    gflops: float
    """Floating-point operations that one sample asks for, in 10^9."""


def engines_here(model: Model, devices: Iterable[str]) -> Iterator[Engine]:
    """Open one engine after the other, each closed before the next; what this machine lacks is passed over.

    Args:
        model: What they run.
        devices: Names as :func:`~spineps_rt.backends.open_engine` takes them; the first must be there.

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


def verify(name_or_folder: str | Path, scans: Sequence[Path] = ()) -> Iterator[Verified]:
    """Compare every variant on every engine that is there with ``model.onnx`` on ONNX Runtime's CPU provider.

    Args:
        name_or_folder: A model folder, or the name of an embedded model.
        scans: NIfTI files to try beside a phantom.

    Yields:
        One engine after the other, the reference first.

    Raises:
        ModelError: The model is damaged.
        EngineError, NotFiniteError: An engine that is there fails.
        SpinepsError: A scan cannot be used.
    """
    model = load_model(name_or_folder)
    tiles = np.concatenate(tiles_of(model, scans))
    references: np.ndarray | None = None
    for name in ("", *model.variants):
        variant = _everywhere(select_variant(model, name))
        flops = sum(count_flops(load_graph(read_graph(fold))) for fold in each_fold(variant))
        gflops = flops / variant.batch / 1e9
        for engine in engines_here(variant, DEVICES):
            answers = engine.infer(tiles)
            references = answers if references is None else references
            agreement = compare(answers, references)
            yield Verified(name, engine.provider, agreement, _seconds(engine, tiles), gflops)


def _everywhere(model: Model) -> Model:
    """The model, to be tried on every engine, vouched for or not."""
    return replace(model, variants={name: replace(v, engines=ENGINES) for name, v in model.variants.items()})


def _seconds(engine: Engine, tiles: np.ndarray) -> float:
    batch = np.resize(tiles, engine.model.input.shape)
    engine.infer(batch)
    start = time.perf_counter()
    engine.infer(batch)
    return (time.perf_counter() - start) / len(batch)
