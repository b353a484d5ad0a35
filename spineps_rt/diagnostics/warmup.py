"""Rehearse a scan, so that the first patient's waits for nothing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from spineps_rt.backends import open_engine
from spineps_rt.io.naming import output_paths
from spineps_rt.io.nifti import write_nifti
from spineps_rt.models import resolve_models
from spineps_rt.options import EngineOptions, Options, PreprocessOptions
from spineps_rt.phantom import PhantomOptions, make_phantom
from spineps_rt.pipeline import Pipeline
from spineps_rt.report.write import write_outputs

_PHANTOM = PhantomOptions(levels=("L2", "L5"), spacing=(1.2, 1.2, 4.4), fov_mm=(140.0, 0.0, 60.0))
_SEED = 20261


@dataclass(frozen=True)
class WarmupReport:
    """What a rehearsal took and on what the networks will run."""

    kernel_seconds: float
    """Seconds for the rehearsed scan, in which what was not compiled yet was compiled."""
    engine_seconds: float
    """Seconds for opening both models and running each once."""
    providers: tuple[str, ...]
    """What runs each model, semantic first."""


def warm_up(model: str | Path | None = None, *, engine: EngineOptions | None = None) -> WarmupReport:
    """Compile every kernel into the cache on disk and let both engines prepare theirs.

    A small phantom goes the whole way from file to files, which are thrown away. The embedded models segment
    it whatever ``model`` says, because they are known to.

    Args:
        model: As :class:`~spineps_rt.pipeline.Pipeline` takes it; its engines are run once.
        engine: Where the networks shall run.

    Returns:
        Seconds and providers.

    Raises:
        ModelError: A model is missing or damaged.
        EngineError: The device cannot be had.
    """
    engine = engine or EngineOptions()
    start = perf_counter()
    providers = []
    models = resolve_models(model)
    for one in (models.semantic, models.instance):
        with open_engine(one, device=engine.device, threads=engine.threads) as opened:
            opened.infer(np.zeros(one.input.shape, one.input.dtype))
            providers.append(opened.provider)
    between = perf_counter()
    made = make_phantom(_PHANTOM, seed=_SEED)
    options = Options(preprocess=PreprocessOptions(bias_field=True), engine=engine)
    with tempfile.TemporaryDirectory() as folder, Pipeline(options=options) as pipeline:
        scan = Path(folder) / "sub-warmup_T2w.nii.gz"
        write_nifti(scan, made.image.array.astype(np.float32), like=made.image)
        write_outputs(pipeline.run(scan), output_paths(scan))
    return WarmupReport(perf_counter() - between, between - start, tuple(providers))
