"""Seconds and memory of ``spineps-rt run``: ``python -m benchmarks.run_latency SCAN...``.

Every run is a process of its own, as a user starts it: its wall time holds the imports and the loading of the
models; stages and memory are those of its run record. The first run of a scan is told apart, because it
compiles the kernels; then the scans take turns, so that a machine that grows slower grows slower for all.
With ``--after-warmup`` each scan is also run once on a machine where nothing was done but ``spineps-rt
warmup``. The masks of all runs of a scan are compared, and where they differ nothing is written: a runtime
that answers differently each time has no speed worth reporting.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import click

from benchmarks.figures import circumstances, digest, output, save
from spineps_rt.io.naming import OutputPaths, output_paths
from spineps_rt.options import DEVICES


@click.command()
@click.argument(
    "scans", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--model", metavar="NAME|FOLDER", help="As for spineps-rt run.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=0), default=0, show_default=True, help="0: every core.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of a scan.")
@click.option("--after-warmup", is_flag=True, help="Run each scan once after nothing but a warmup, too.")
@output("run_latency")
def main(scans: tuple[Path, ...], output: Path, repeats: int, after_warmup: bool, **engine: Any) -> None:
    """Time ``spineps-rt run`` on SCANS and write the figures as JSON."""
    words = [word for name, value in engine.items() if value is not None for word in (f"--{name}", value)]
    document = circumstances("run_latency")
    document["help_seconds"] = median(_timed(["run", "--help"], Path(os.devnull)) for _ in range(7))
    runs: dict[Path, list[dict[str, Any]]] = {scan: [] for scan in scans}
    with tempfile.TemporaryDirectory() as folder:
        places = {scan: output_paths(scan, Path(folder) / str(i)) for i, scan in enumerate(scans)}
        masks: dict[Path, str] = {}
        for number in range(repeats + 1):
            for scan, paths in places.items():
                runs[scan].append(_run(scan, paths, words))
                _compare(masks, scan, paths)
                click.echo(f"{scan.name} {number}/{repeats}: {runs[scan][-1]['wall_seconds']:.1f} s")
        warmed = {s: _after_warmup(s, paths, words) for s, paths in places.items() if after_warmup}
        records = {scan: _record(paths) for scan, paths in places.items()}
    first = records[scans[0]]
    document |= {"models": first["models"], "engine_options": first["options"]["engine"]}
    document["scans"] = [_describe(scan, records[scan], runs[scan], warmed.get(scan)) for scan in scans]
    save(document, output)


def _run(scan: Path, paths: OutputPaths, words: Sequence[Any], cache: str = "kernels") -> dict[str, Any]:
    """Run the command once, in a process of its own, with a kernel cache of the scan's own."""
    folder = paths.record.parent
    command = ["run", scan, "-o", folder, "--overwrite", "--quiet", *words]
    wall = _timed(command, folder.with_name(f"{folder.name}-{cache}"))
    record = _record(paths)
    return {"wall_seconds": wall, "peak_mb": record["peak_memory_mb"], "stages": record["seconds"]}


def _after_warmup(scan: Path, paths: OutputPaths, words: Sequence[Any]) -> dict[str, Any]:
    folder = paths.record.parent
    _timed(["warmup", *words], folder.with_name(f"{folder.name}-warm"))
    return _run(scan, paths, words, "warm")


def _timed(words: Sequence[Any], cache: Path) -> float:
    """Run spineps-rt with a kernel cache; seconds from its start to its end."""
    command = [str(word) for word in (Path(sys.executable).with_name("spineps-rt"), *words)]
    start = perf_counter()
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, check=False, env={**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    )
    wall = perf_counter() - start
    if done.returncode:
        raise click.ClickException(
            f"spineps-rt {words[0]} ended with exit code {done.returncode}; nothing was written."
        )
    return round(wall, 3)


def _record(paths: OutputPaths) -> dict[str, Any]:
    return json.loads(paths.record.read_text(encoding="utf-8"))


def _compare(masks: dict[Path, str], scan: Path, paths: OutputPaths) -> None:
    """Demand the same masks from every run of a scan."""
    found = digest(paths)
    if masks.setdefault(scan, found) != found:
        raise click.ClickException(f"two runs of {scan.name} gave different masks; nothing was written.")


def _describe(
    scan: Path, record: dict[str, Any], runs: list[dict[str, Any]], warmed: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "file": scan.name,
        **{key: record["input"][key] for key in ("shape", "spacing_mm", "orientation")},
        "vertebrae": record["found"]["vertebrae"],
        "first_run": runs[0],
        "runs": runs[1:],
        **({"after_warmup": warmed} if warmed else {}),
    }


if __name__ == "__main__":
    main()
