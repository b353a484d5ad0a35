"""Several scans in one process: ``python -m benchmarks.throughput_run MODE FOLDER SCAN...``; prints JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.figures import cost, digest
from spineps_rt.io.naming import output_paths
from spineps_rt.options import DEVICES, EngineOptions, Options
from spineps_rt.overlap import Steps, complete, overlap
from spineps_rt.pipeline import Pipeline
from spineps_rt.report.write import write_outputs
from spineps_rt.timing import Clock
from spineps_rt.volume import Box, Volume

MODES = ("after", "beside")
"""One scan after the other; their parts side by side."""


class PausingPipeline(Pipeline):
    """Answers what its networks said at first, after a pause: as beside a GPU, the CPU is free in it."""

    def __init__(self, pause: float, **options: Any) -> None:
        """Take the networks for as long as nothing is recorded; ``pause`` in seconds a scan."""
        super().__init__(**options)
        self.pause = pause
        self.recorded: list[np.ndarray] = []
        self.replayed: Iterator[np.ndarray] | None = None

    def _label(self, prepared: Volume, box: Box, clock: Clock) -> np.ndarray:
        if self.replayed is None:
            self.recorded.append(super()._label(prepared, box, clock))
            return self.recorded[-1]
        time.sleep(self.pause)
        return next(self.replayed)

    def _classify(self, cutouts: np.ndarray) -> np.ndarray:
        if self.replayed is None:
            self.recorded.append(super()._classify(cutouts))
            return self.recorded[-1]
        return next(self.replayed)


def _written(pipeline: Pipeline, scan: Path, folder: Path) -> Steps[None]:
    result = yield from pipeline.steps(scan)
    write_outputs(result, output_paths(scan, folder))


def _take(pipeline: Pipeline, scans: tuple[Path, ...], folder: Path, mode: str) -> None:
    runs = (_written(pipeline, scan, folder) for scan in scans)
    if mode == "after":
        for run in runs:
            complete(run)
    else:
        for done in overlap(runs):
            done.result()


@click.command()
@click.argument("mode", type=click.Choice(MODES))
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("scans", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--pause", type=float, help="Replay the networks' answers after so many seconds.")
def main(mode: str, folder: Path, scans: tuple[Path, ...], device: str, pause: float | None) -> None:
    """Segment SCANS into FOLDER; the clock starts when models, kernels and libraries are loaded."""
    options = Options(engine=EngineOptions(device))
    opened = Pipeline(options=options) if pause is None else PausingPipeline(pause, options=options)
    with opened as pipeline:
        if isinstance(pipeline, PausingPipeline):
            _take(pipeline, scans, folder, "after")
            pipeline.replayed = iter(pipeline.recorded)
        else:
            _take(pipeline, scans[:1], folder, "after")
        start = time.perf_counter()
        _take(pipeline, scans, folder, mode)
        seconds = time.perf_counter() - start
        line = {"seconds": round(seconds, 3), "peak_mb": cost()["peak_mb"], "provider": pipeline.provider}
    masks = digest(*(output_paths(scan, folder) for scan in scans))
    click.echo(json.dumps({**line, "masks": masks}))


if __name__ == "__main__":
    main()
