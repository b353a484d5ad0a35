"""One recorded scan, networks that cost nothing: ``python -m tests.parity.oracle_run ANSWERS SCAN``.

The whole pipeline from the file to the files, but both networks answer from a record of SPINEPS's run (see
:func:`record`); so what is timed is everything that a fast GPU would leave over.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.figures import cost
from spineps_rt import pipeline as runtime
from spineps_rt.io.naming import output_paths
from spineps_rt.models import ModelPair, resolve_models
from spineps_rt.options import AS_SPINEPS
from spineps_rt.report.write import write_outputs
from spineps_rt.results import Result
from spineps_rt.timing import Clock
from spineps_rt.volume import Box, Volume
from tests.parity.golden import read

SPACING = (0.75, 0.75, 1.65)
CUTOUT = (248, 304, 64)
"""Of SPINEPS's published instance model."""


def record(folder: Path, path: Path) -> None:
    """Keep what the networks answered, each answer compressed by itself, so that it costs memory only in use.

    Args:
        folder: A recorded run (tests/parity/golden.py).
        path: ``.npz`` to write.
    """
    golden = read(folder)
    answers = {f"answer{i}": answer for i, answer in enumerate(golden.answers)}
    np.savez_compressed(path, semantic=golden.oracle.array, **answers)


class OraclePipeline(runtime.Pipeline):
    """A pipeline whose networks answer from a record; SPINEPS's rules, bias correction included."""

    def __init__(self, path: Path) -> None:
        """Take the embedded models' contracts at SPINEPS's spacing and cutout; no engine is opened."""
        self._file = np.load(path)
        self._next = 0
        self.network_seconds = 0.0
        models = resolve_models()
        pair = ModelPair(
            replace(models.semantic, spacing=SPACING),
            replace(models.instance, spacing=SPACING, cutout=CUTOUT),
        )
        with _no_engines():
            super().__init__(pair, options=AS_SPINEPS)

    def _label(self, prepared: Volume, box: Box, clock: Clock) -> np.ndarray:
        self._next, self.network_seconds = 0, 0.0
        with self._network():
            return self._file["semantic"]

    def _classify(self, cutouts: np.ndarray) -> np.ndarray:
        first, self._next = self._next, self._next + len(cutouts)
        with self._network():
            return np.stack([self._file[f"answer{i}"] for i in range(first, self._next)])

    @contextmanager
    def _network(self) -> Iterator[None]:
        """Count apart what unpacking an answer takes, as SPINEPS's run does."""
        start = time.perf_counter()
        yield
        self.network_seconds += time.perf_counter() - start


class _NoEngine:
    """Stands where an engine would, and holds no memory."""

    provider = "record"
    samples = planned = 0
    seconds = 0.0

    def __init__(self, model: Any, **_: Any) -> None:
        self.model = model

    def __enter__(self) -> _NoEngine:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def on_device(self) -> None:
        return None

    def rest(self) -> None:
        pass


@contextmanager
def _no_engines() -> Iterator[None]:
    kept, runtime.open_engine = runtime.open_engine, _NoEngine  # type: ignore[assignment]
    try:
        yield
    finally:
        runtime.open_engine = kept


def check_masks(result: Result, folder: Path) -> None:
    """Refuse final masks that are not SPINEPS's.

    Args:
        result: Of spineps-rt.
        folder: SPINEPS's recorded run (tests/parity/golden.py).

    Raises:
        ClickException: A voxel differs.
    """
    golden = read(folder)
    for ours, theirs in ((result.semantic, golden.semantic), (result.instances, golden.instances)):
        differ = int(np.count_nonzero(ours.array != theirs.array))
        if differ:
            raise click.ClickException(f"{differ} of {theirs.array.size} voxels differ from SPINEPS's mask")


@click.command()
@click.argument("answers", type=click.Path(exists=True, path_type=Path))
@click.argument("scan", type=click.Path(exists=True, path_type=Path))
@click.option("--repeats", default=4, show_default=True, help="Scans in this process, one after the other.")
@click.option(
    "--against", type=click.Path(exists=True, path_type=Path), help="SPINEPS's run: equal masks or none."
)
def main(answers: Path, scan: Path, repeats: int, against: Path | None) -> None:
    """Run SCAN with ANSWERS and print seconds and memory as JSON, a line a scan."""
    with OraclePipeline(answers) as pipeline, tempfile.TemporaryDirectory() as folder:
        for number in range(repeats):
            start = time.perf_counter()
            result = pipeline.run(scan)
            ran = time.perf_counter()
            write_outputs(result, output_paths(scan, Path(folder) / str(number)))
            done = time.perf_counter()
            stages = {stage.stage: round(stage.seconds, 4) for stage in result.stages}
            peak = cost()["peak_mb"]
            if against and number == repeats - 1:
                check_masks(result, against)
            line = {
                "seconds": round(done - start - pipeline.network_seconds, 4),
                "network": round(pipeline.network_seconds, 4),
                "stages": {**stages, "write": round(done - ran, 4)},
            }
            click.echo(json.dumps({**line, "peak_mb": round(peak, 1)}))
            del result


if __name__ == "__main__":
    main()
