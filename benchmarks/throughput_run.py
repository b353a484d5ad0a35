"""Several scans in one process: ``python -m benchmarks.throughput_run MODE FOLDER SCAN...``; prints JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.figures import cost, digest
from spineps_rt.inference.networks import open_predictors
from spineps_rt.inference.predictors import Predictors, RunStats
from spineps_rt.io.naming import output_paths
from spineps_rt.models import resolve_models
from spineps_rt.options import DEVICES, EngineOptions, Options, SemanticOptions
from spineps_rt.overlap import ThreeStages
from spineps_rt.pipeline import Pipeline
from spineps_rt.report.write import write_outputs
from spineps_rt.results import Predicted, Prepared

MODES = ("after", "beside")
"""One scan after the other; their parts side by side."""


class Replayed:
    """Both networks of a pipeline; once replaying, they answer what they said at first, after a pause.

    As beside a GPU, the CPU is free in the pause.
    """

    def __init__(self, networks: Predictors, pause: float) -> None:
        """Take the networks for as long as nothing is recorded; ``pause`` in seconds a scan."""
        self._networks, self._pause = networks, pause
        self._recorded: list[Any] = []
        self._replayed: Iterator[Any] | None = None

    def begin(self) -> None:
        """Replay from now on."""
        self._replayed = iter(self._recorded)

    def classify(
        self, image: np.ndarray, options: SemanticOptions, **more: Any
    ) -> tuple[np.ndarray, RunStats]:
        """As the semantic network."""
        if self._replayed is None:
            self._recorded.append(self._networks.semantic.classify(image, options, **more))
            return self._recorded[-1]
        time.sleep(self._pause)
        return next(self._replayed)

    def classify_windows(
        self, labels: np.ndarray, table: np.ndarray, starts: np.ndarray
    ) -> Generator[np.ndarray, None, RunStats]:
        """As the instance network."""
        if self._replayed is None:
            answers = self._networks.instance.classify_windows(labels, table, starts)
            self._recorded.append([answer.copy() for answer in answers])
        yield from self._recorded[-1] if self._replayed is None else next(self._replayed)
        return RunStats("replay", len(starts), len(starts), 0.0)


@dataclass(frozen=True)
class One:
    """One of the networks, with its model."""

    model: Any
    provider: str
    classify: Callable[..., Any] | None = None
    classify_windows: Callable[..., Any] | None = None


def _replaying(networks: Predictors, replayed: Replayed) -> Predictors:
    semantic, instance = networks.semantic, networks.instance
    return Predictors(
        One(semantic.model, semantic.provider, classify=replayed.classify),  # type: ignore[arg-type]
        One(instance.model, instance.provider, classify_windows=replayed.classify_windows),  # type: ignore[arg-type]
    )


def _take(pipeline: Pipeline, scans: tuple[Path, ...], folder: Path, mode: str) -> None:
    def prepare(scan: Path) -> tuple[Path, Prepared]:
        return scan, pipeline.prepare(scan)

    def predict(prepared: tuple[Path, Prepared]) -> tuple[Path, Predicted]:
        return prepared[0], pipeline.predict(prepared[1])

    def finish(predicted: tuple[Path, Predicted]) -> None:
        write_outputs(pipeline.finish(predicted[1]), output_paths(predicted[0], folder), overwrite=True)

    stages = ThreeStages(prepare, predict, finish)
    for done in (stages.one_by_one if mode == "after" else stages.overlap)(scans):
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
    with open_predictors(resolve_models(), options.engine) as networks:
        replayed = Replayed(networks, pause or 0.0)
        chosen = networks if pause is None else _replaying(networks, replayed)
        pipeline = Pipeline(options=options, predictors=chosen)
        _take(pipeline, scans[:1] if pause is None else scans, folder, "after")
        replayed.begin()
        start = time.perf_counter()
        _take(pipeline, scans, folder, mode)
        seconds = time.perf_counter() - start
        line = {"seconds": round(seconds, 3), "peak_mb": cost()["peak_mb"], "provider": pipeline.provider}
    masks = digest(*(output_paths(scan, folder) for scan in scans))
    click.echo(json.dumps({**line, "masks": masks}))


if __name__ == "__main__":
    main()
