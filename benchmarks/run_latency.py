"""Seconds and memory of ``spineps-rt run``: ``python -m benchmarks.run_latency SCAN...``.

Every run is a process of its own, as a user starts it: its wall time holds the imports and the loading of the
models. The first run of a scan is told apart, because it compiles the kernels; then the scans take turns, so
that a machine that grows slower grows slower for all. With ``--after-warmup`` each scan is also run once on a
machine where nothing was done but ``spineps-rt warmup``. The masks of all runs of a scan are compared, and
where they differ nothing is written: a runtime that answers differently each time has no speed worth
reporting.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import click
import nibabel as nib
import numpy as np

from spineps_rt.io.naming import OutputPaths, output_paths
from spineps_rt.kernels.threads import cores
from spineps_rt.options import DEVICES

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Run:
    """One process."""

    wall_seconds: float
    """From its start to its end."""
    peak_mb: float
    """Its largest resident memory, as the kernel counted it."""
    stages: dict[str, float]
    """Stage -> seconds, from the run record."""


@click.command()
@click.argument(
    "scans", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--model", metavar="NAME|FOLDER", help="As for spineps-rt run.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=0), default=0, show_default=True, help="0: every core.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each scan."
)
@click.option("--after-warmup", is_flag=True, help="Run each scan once after nothing but a warmup, too.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=RESULTS / "run_latency.json", show_default=True
)
def main(  # noqa: PLR0913 (a command's options)
    *,
    scans: tuple[Path, ...],
    model: str | None,
    device: str,
    threads: int,
    repeats: int,
    after_warmup: bool,
    output: Path,
) -> None:
    """Time ``spineps-rt run`` on SCANS and write the figures as JSON."""
    arguments = ["--device", device, "--threads", str(threads), *(["--model", model] if model else [])]
    load = os.getloadavg()[0]
    help_seconds = median(_command(["run", "--help"], Path(os.devnull))[0] for _ in range(7))
    runs: dict[Path, list[Run]] = {scan: [] for scan in scans}
    masks: dict[Path, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        places = {scan: output_paths(scan, Path(folder) / str(i)) for i, scan in enumerate(scans)}
        for number in range(repeats + 1):
            for scan, paths in places.items():
                run = _run(scan, paths, arguments)
                _compare(masks, scan, paths)
                runs[scan].append(run)
                click.echo(f"{scan.name} {number}/{repeats}: {run.wall_seconds:.1f} s, {run.peak_mb:.0f} MB")
        warmed = {
            scan: _after_warmup(scan, paths, arguments) for scan, paths in places.items() if after_warmup
        }
        records = {scan: _record(paths) for scan, paths in places.items()}
    document = {
        **_circumstances(records[scans[0]], load),
        "help_seconds": help_seconds,
        "scans": [_describe(scan, records[scan], runs[scan], warmed.get(scan)) for scan in scans],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    click.echo(f"wrote {output}; now: python -m benchmarks.report")


def _run(scan: Path, paths: OutputPaths, arguments: list[str], cache: str = "kernels") -> Run:
    """Run the command once, in a process of its own, with a kernel cache of the scan's own."""
    folder = paths.record.parent
    words = ["run", scan, "-o", folder, "--overwrite", "--quiet", *arguments]
    wall, peak = _command(words, folder.with_name(f"{folder.name}-{cache}"))
    return Run(wall, peak, _record(paths)["seconds"])


def _after_warmup(scan: Path, paths: OutputPaths, arguments: list[str]) -> Run:
    folder = paths.record.parent
    _command(["warmup", *arguments], folder.with_name(f"{folder.name}-warm"))
    return _run(scan, paths, arguments, "warm")


def _command(words: list[str | Path], cache: Path) -> tuple[float, float]:
    """Run spineps-rt with a kernel cache; wall seconds and peak memory in MB."""
    command = Path(sys.executable).with_name("spineps-rt")
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    start = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(command, [str(w) for w in (command, *words)], settings, file_actions=silent)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - start
    if code := os.waitstatus_to_exitcode(status):
        raise click.ClickException(f"spineps-rt {words[0]} ended with exit code {code}; nothing was written.")
    peak = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # bytes there, KiB here
    return round(wall, 3), round(peak, 1)


def _record(paths: OutputPaths) -> dict[str, Any]:
    return json.loads(paths.record.read_text(encoding="utf-8"))


def _compare(masks: dict[Path, str], scan: Path, paths: OutputPaths) -> None:
    """Demand the same masks from every run of a scan."""
    digest = hashlib.sha256()
    for path in (paths.semantic, paths.instances):
        digest.update(np.asanyarray(nib.load(path).dataobj).tobytes())  # type: ignore[attr-defined]
    if masks.setdefault(scan, digest.hexdigest()) != digest.hexdigest():
        raise click.ClickException(f"two runs of {scan.name} gave different masks; nothing was written.")


def _circumstances(record: dict[str, Any], load: float) -> dict[str, Any]:
    """Machine, versions, models and date, from a run record."""
    platform = record["platform"]
    return {
        "benchmark": "run_latency",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": {
            "cpu": platform["cpu"],
            "cores": cores(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": platform["system"],
            "load_before": round(load, 2),
        },
        "versions": {
            "spineps_rt": record["spineps_rt"],
            "python": platform["python"],
            **platform["packages"],
        },
        "models": record["models"],
        "engine_options": record["options"]["engine"],
    }


def _describe(scan: Path, record: dict[str, Any], runs: list[Run], warmed: Run | None) -> dict[str, Any]:
    return {
        "file": scan.name,
        **{key: record["input"][key] for key in ("shape", "spacing_mm", "orientation")},
        "vertebrae": record["found"]["vertebrae"],
        "first_run": asdict(runs[0]),
        "runs": [asdict(run) for run in runs[1:]],
        **({"after_warmup": asdict(warmed)} if warmed else {}),
    }


if __name__ == "__main__":
    main()
