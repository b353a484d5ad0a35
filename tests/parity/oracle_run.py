"""One recorded scan, networks that cost nothing: ``python -m tests.parity.oracle_run ANSWERS SCAN``.

The whole pipeline from the file to the files, but both networks answer from a record of SPINEPS's run (see
:func:`record`); so what is timed is everything that a fast GPU would leave over.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.figures import cost
from spineps_rt.inference.predictors import Predictors, RunStats
from spineps_rt.io.naming import output_paths
from spineps_rt.models import InstanceModel, SemanticModel, resolve_models
from spineps_rt.options import AS_SPINEPS
from spineps_rt.pipeline import Pipeline
from spineps_rt.report.write import write_outputs
from spineps_rt.results import Result
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


class Record:
    """Both networks' answers to one scan; what unpacking them takes is counted apart, as in SPINEPS's run."""

    def __init__(self, path: Path) -> None:
        self._file = np.load(path)
        self.seconds = 0.0

    def __getitem__(self, name: str) -> np.ndarray:
        start = time.perf_counter()
        answer = self._file[name]
        self.seconds += time.perf_counter() - start
        return answer


@dataclass(frozen=True)
class RecordedSemantic:
    """A semantic predictor that answers from a record."""

    record: Record
    model: SemanticModel
    provider: str = "record"

    def classify(self, image: np.ndarray, options: Any, **_: Any) -> tuple[np.ndarray, RunStats]:
        """Answer what was recorded, whatever the image is."""
        return self.record["semantic"], RunStats(self.provider, 1, 1, 0.0)


@dataclass(frozen=True)
class RecordedInstance:
    """An instance predictor that answers from a record."""

    record: Record
    model: InstanceModel
    provider: str = "record"

    def classify_windows(
        self,
        labels: np.ndarray,
        table: np.ndarray,
        starts: np.ndarray,
    ) -> Generator[np.ndarray, None, RunStats]:
        """Answer what was recorded, window after window."""
        for place in range(len(starts)):
            yield self.record[f"answer{place}"]
        return RunStats(self.provider, len(starts), len(starts), 0.0)


def recorded_networks(path: Path) -> tuple[Predictors, Record]:
    """Open a record as networks with the embedded models' contracts at SPINEPS's spacing and cutout."""
    record, models = Record(path), resolve_models()
    semantic = replace(models.semantic, spacing=SPACING)
    instance = replace(models.instance, spacing=SPACING, cutout=CUTOUT)
    return Predictors(RecordedSemantic(record, semantic), RecordedInstance(record, instance)), record


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
    networks, record = recorded_networks(answers)
    pipeline = Pipeline(options=AS_SPINEPS, predictors=networks)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repeats):
            record.seconds, start = 0.0, time.perf_counter()
            result = pipeline.run(scan)
            ran = time.perf_counter()
            write_outputs(result, output_paths(scan, Path(folder) / str(number)))
            done = time.perf_counter()
            stages = {stage.stage: round(stage.seconds, 4) for stage in result.stages}
            peak = cost()["peak_mb"]
            if against and number == repeats - 1:
                check_masks(result, against)
            line = {
                "seconds": round(done - start - record.seconds, 4),
                "network": round(record.seconds, 4),
                "stages": {**stages, "write": round(done - ran, 4)},
            }
            click.echo(json.dumps({**line, "peak_mb": round(peak, 1)}))
            del result


if __name__ == "__main__":
    main()
