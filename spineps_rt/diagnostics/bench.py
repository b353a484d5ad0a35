"""How fast this machine is: one scan several times through one engine, and the machine's peak beside it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from spineps_rt.backends.gpu import memory_used
from spineps_rt.errors import SelfTestError
from spineps_rt.models import Model, ModelPair
from spineps_rt.options import Options
from spineps_rt.pipeline import Pipeline
from spineps_rt.results import Result
from spineps_rt.timing import process_seconds

TARGET_SECONDS = 0.3
"""About as long as a matrix product takes."""


@dataclass(frozen=True)
class Bench:
    """What one engine did."""

    device: str
    """What was asked for."""
    cold_seconds: float | None
    """From the start of this process to the first result; None where the system does not tell."""
    first_seconds: float
    """From loading the models to the first result."""
    stages: dict[str, dict[str, float]]
    """Stage, ``total`` among them -> seconds: p50, p95 and p99 of the runs that count."""
    scans_per_minute: float
    """One scan after the other."""
    peak_bytes: int
    """Largest resident memory of the process."""
    gpu_bytes: int | None
    """Most memory that was taken on the first GPU, by all processes; None where no engine used it."""
    matmul_gflops: float
    """10^9 operations a second of a large float32 matrix product of numpy's on the processor."""
    networks: list[dict[str, Any]]
    """Kind, name, provider, samples, seconds of the median run; 10^9 operations and share of
    ``matmul_gflops`` where the manifest tells the operations and the processor runs the network."""


def bench(
    scan: Path,
    model: str | Path | ModelPair | None = None,
    *,
    options: Options | None = None,
    runs: int = 5,
    warmup: int = 1,
) -> Bench:
    """Segment a scan several times.

    Args:
        scan: A NIfTI file; it is read anew each time.
        model: As :class:`~spineps_rt.pipeline.Pipeline` takes it.
        options: What differs from the defaults; the engine among it.
        runs: How many count, 1 or more.
        warmup: Runs before these.

    Returns:
        The figures.

    Raises:
        SelfTestError: Two runs gave different masks: figures of such an engine are worth nothing.
        SpinepsError: As the pipeline raises it.
    """
    options = options or Options()
    start = perf_counter()
    gpu = _GpuMemory()
    with Pipeline(model, options=options) as pipeline:
        first = pipeline.run(scan, progress=gpu)
        first_seconds, cold = perf_counter() - start, process_seconds()
        done, digest = [_figures(first)], _digest(first)
        del first
        for _ in range(warmup + runs - 1):
            result = pipeline.run(scan, progress=gpu)
            if _digest(result) != digest:
                raise SelfTestError(
                    f"Two runs of {scan.name} on {pipeline.provider} gave different masks; nothing was "
                    "measured. Run spineps-rt selftest."
                )
            done.append(_figures(result))
            del result  # the next run shall find its memory free
        counted = done[warmup:]
        peak, models = max(run["peak"] for run in done), pipeline.models
    seconds = {name: [run["seconds"][name] for run in counted] for name in counted[0]["seconds"]}
    matmul = matmul_gflops()
    return Bench(
        device=options.engine.device,
        cold_seconds=cold,
        first_seconds=first_seconds,
        stages={name: percentiles(values) for name, values in seconds.items()},
        scans_per_minute=60 / percentiles(seconds["total"])["p50"],
        peak_bytes=peak,
        gpu_bytes=gpu.most,
        matmul_gflops=matmul,
        networks=[
            _network(one, [run["networks"][n] for run in counted], matmul)
            for n, one in enumerate((models.semantic, models.instance))
        ],
    )


def percentiles(values: list[float]) -> dict[str, float]:
    """Give p50, p95 and p99 of seconds; between two runs they are interpolated."""
    return {f"p{n}": float(np.percentile(values, n)) for n in (50, 95, 99)}


def matmul_gflops() -> float:
    """Measure the peak of this machine: the best of three products of square float32 matrices with numpy.

    They are as large as takes about :data:`TARGET_SECONDS`. How many threads the product takes is the BLAS
    library's affair, which reads it from the environment when numpy loads.

    Returns:
        10^9 operations a second; a multiplication and an addition are two.
    """
    size = 1024
    _product(size)
    size = int(size * (TARGET_SECONDS / _product(size)) ** (1 / 3)) // 64 * 64
    size = min(max(size, 512), 8192)
    return 2 * size**3 / min(_product(size) for _ in range(3)) / 1e9


def _product(size: int) -> float:
    """Seconds of one matrix product."""
    matrix = np.full((size, size), 0.5, np.float32)
    start = perf_counter()
    matrix @ matrix
    return perf_counter() - start


class _GpuMemory:
    """Listens to the progress of runs and looks at the GPU each time."""

    def __init__(self) -> None:
        self.most: int | None = None

    def __call__(self, stage: str, fraction: float) -> None:  # noqa: ARG002
        used = memory_used()
        if used is not None:
            self.most = max(self.most or 0, used)


def _figures(result: Result) -> dict[str, Any]:
    seconds = result.seconds
    return {
        "seconds": {**seconds, "total": sum(seconds.values())},
        "peak": result.peak_bytes,
        "networks": [asdict(network) for network in result.networks],
    }


def _digest(result: Result) -> bytes:
    digest = hashlib.sha256()
    for mask in (result.semantic, result.instances):
        digest.update(mask.array.tobytes())
    return digest.digest()


def _network(model: Model, runs: list[dict[str, Any]], matmul: float) -> dict[str, Any]:
    figures = {key: runs[0][key] for key in ("kind", "name", "provider", "samples")}
    figures["seconds"] = float(np.median([run["seconds"] for run in runs]))
    if model.cost is not None and figures["samples"]:
        figures["gflop"] = model.cost.flops * figures["samples"] / 1e9
        if figures["seconds"]:
            figures["gflops"] = figures["gflop"] / figures["seconds"]
            if "CPU" in figures["provider"]:
                figures["share"] = figures["gflops"] / matmul
    return figures
