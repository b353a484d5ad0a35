"""Steps of ``benchmarks.gpu_acceptance`` with whole scans; PyTorch runs the networks between our buffers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.gpu_acceptance import require
from benchmarks.gpu_networks import MODELS, embedded, with_torch

LEAST_DICE = 0.999


def pipeline() -> dict[str, Any]:
    """Segment the stored phantom and two made ones; compare with the stored answer and with the host."""
    with_torch()
    require("nibabel", "PIL")
    from spineps_rt.diagnostics.selftest import compare, stored_phantom  # noqa: PLC0415
    from spineps_rt.models import resolve_models  # noqa: PLC0415
    from spineps_rt.options import Options, SemanticOptions  # noqa: PLC0415
    from spineps_rt.phantom import PhantomOptions, make_phantom  # noqa: PLC0415

    scan, answer = stored_phantom(resolve_models(None))
    if answer is None:
        raise RuntimeError("no answer of the embedded models is stored: python -m training.selftest")
    figures: dict[str, Any] = {}
    plain = Options(any_plane=True)
    whole = replace(plain, semantic=SemanticOptions(localize=False))
    for name, options in (("stored", plain), ("stored, every tile", whole)):
        with _pipeline(options) as gpu:
            masks = [_masks(gpu.run(scan)) for _ in range(2)]
        dice, faults = compare(masks[0], answer)
        figures[name] = dice
        if faults or not all(np.array_equal(a, b) for a, b in zip(*masks)):
            raise RuntimeError(f"{name}: {'; '.join(faults) or 'two runs gave different masks'}")
    for seed in (7, 8):
        made = make_phantom(PhantomOptions(levels=("T12", "L5")), seed=seed).image
        with _pipeline(plain) as gpu, _pipeline(plain, on_gpu=False) as host:
            dice, _ = compare(_masks(gpu.run(made)), _masks(host.run(made)))
        figures[f"phantom {seed}"] = dice
        if min(dice.values()) < LEAST_DICE:
            raise RuntimeError(f"phantom {seed} against the processor: {dice}")
    return figures


def latency() -> dict[str, Any]:
    """Segment the stored phantom 20 times; seconds of the stages, the networks' share, scans a minute."""
    with_torch()
    require("nibabel", "PIL")
    from spineps_rt.diagnostics.bench import percentiles  # noqa: PLC0415
    from spineps_rt.diagnostics.selftest import stored_phantom  # noqa: PLC0415
    from spineps_rt.models import resolve_models  # noqa: PLC0415
    from spineps_rt.options import Options  # noqa: PLC0415

    scan, _ = stored_phantom(resolve_models(None))
    with _pipeline(Options(any_plane=True)) as gpu:
        gpu.run(scan)
        results = [gpu.run(scan) for _ in range(20)]
        start = time.perf_counter()
        for done in gpu.run_many([scan] * 20):
            done.result()
        several = time.perf_counter() - start
    totals = [sum(result.seconds.values()) for result in results]
    networks = [sum(network.seconds for network in result.networks) for result in results]
    stages = {name: percentiles([r.seconds[name] for r in results]) for name in results[0].seconds}
    return {
        "stages": {**stages, "total": percentiles(totals)},
        "host_share": 1 - sum(networks) / sum(totals),
        "scans_per_minute": 60 / float(np.median(totals)),
        "scans_per_minute_side_by_side": 60 * 20 / several,
    }


@contextmanager
def _pipeline(options: Any, *, on_gpu: bool = True) -> Iterator[Any]:
    """A pipeline whose networks PyTorch runs."""
    from benchmarks.torch_network import TorchEngine  # noqa: PLC0415
    from spineps_rt.inference.instance import InstanceNetwork  # noqa: PLC0415
    from spineps_rt.inference.predictors import Predictors  # noqa: PLC0415
    from spineps_rt.inference.semantic import SemanticNetwork  # noqa: PLC0415
    from spineps_rt.pipeline import Pipeline  # noqa: PLC0415

    with ExitStack() as stack:
        engines = [stack.enter_context(TorchEngine(embedded(name), on_gpu=on_gpu)) for name in MODELS]
        networks = Predictors(SemanticNetwork(engines[0]), InstanceNetwork(engines[1]))
        yield stack.enter_context(Pipeline(options=options, predictors=networks))


def _masks(result: Any) -> tuple[np.ndarray, np.ndarray]:
    return result.semantic.array, result.instances.array
