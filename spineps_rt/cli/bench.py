"""``spineps-rt bench``: how fast this machine is, and what would fit into its GPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from spineps_rt._version import __version__
from spineps_rt.cli import options as shared
from spineps_rt.errors import EngineError
from spineps_rt.options import DEVICES, EngineOptions, Options

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def _engines(_context: click.Context, _option: click.Parameter, value: str) -> list[str]:
    names = [name for name in DEVICES if name not in ("auto", "cpu")] if value == "all" else value.split(",")
    if wrong := [name for name in names if name not in DEVICES]:
        raise click.BadParameter(f"There is no {wrong[0]!r}; give all, or some of {', '.join(DEVICES)}.")
    return list(dict.fromkeys(names))


def _bytes(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", value, re.IGNORECASE)
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{value!r} is no size; give for instance 4G or 800M.")
    return int(float(found[1]) * 2 ** _UNITS[found[2].upper()])


@click.command()
@click.argument("scan", required=False, type=click.Path(path_type=Path))
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Runs that count.")
@click.option("--warmup", type=click.IntRange(min=0), default=1, show_default=True, help="Runs before these.")
@click.option(
    "--engines",
    default="auto",
    show_default=True,
    metavar="all|NAME,...",
    callback=_engines,
    help=f"Engines to compare: all, or some of {', '.join(DEVICES)}.",
)
@shared.model
@shared.threads
@click.option("--json", "output", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures.")
@click.option("--plan", is_flag=True, help="Measure nothing; tell what SCAN takes of a GPU's memory.")
@click.option("--gpu-memory", metavar="SIZE", callback=_bytes, help="What --plan has to fit into, as 4G.")
def bench(
    *,
    scan: Path | None,
    runs: int,
    warmup: int,
    engines: list[str],
    model: str | None,
    threads: int,
    output: Path | None,
    plan: bool,
    gpu_memory: int | None,
) -> None:
    """Time SCAN, or a small stored phantom, on this machine.

    Tells seconds of every stage, scans per minute, memory, cold start, and how much of the machine's peak
    each network gets. Of several engines each has a process of its own; they stand side by side. With --plan
    nothing but the scan's header is read and no GPU is needed.

    \b
    Examples:
      spineps-rt bench sub-x_T2w.nii.gz --engines all --json bench.json
      spineps-rt bench --plan sub-x_T2w.nii.gz --model models/t2w --gpu-memory 4G
    """
    if plan:
        _plan(scan, model, gpu_memory)
        return
    for name in _THREADS if threads else ():
        os.environ.setdefault(name, str(threads))  # read when numpy loads
    from spineps_rt.diagnostics.bench_table import bench_table  # noqa: PLC0415
    from spineps_rt.report.record import platform_facts  # noqa: PLC0415

    scan = scan or _phantom()
    settings = {"runs": runs, "warmup": warmup, "threads": threads}
    if len(engines) == 1:
        found = [_measured(scan, model, engines[0], settings)]
    else:
        found = [_in_a_process(scan, model, name, settings) for name in engines]
        if all("fault" in one for one in found):
            raise EngineError(f"No engine could be measured. {found[0]['device']}: {found[0]['fault']}")
    document = {
        **{"schema": 1, "spineps_rt": __version__, "platform": platform_facts()},
        **{"scan": scan.name, **settings, "engines": found},
    }
    click.echo(bench_table(document), nl=False)
    if output is not None:
        from spineps_rt.io.atomic import write_together  # noqa: PLC0415

        write_together([(output, (json.dumps(document, indent=1) + "\n").encode())])


def _phantom() -> Path:
    from spineps_rt.diagnostics.selftest import FOLDER  # noqa: PLC0415

    return FOLDER / "scan.nii.gz"


def _measured(scan: Path, model: str | None, device: str, settings: dict[str, int]) -> dict[str, Any]:
    from dataclasses import asdict  # noqa: PLC0415

    from spineps_rt.diagnostics.bench import bench as measure  # noqa: PLC0415 (numba and the engines; --help needs neither)

    options = Options(engine=EngineOptions(device, settings["threads"]), any_plane=True)
    counts = {key: settings[key] for key in ("runs", "warmup")}
    return asdict(measure(scan, model, options=options, **counts))


def _in_a_process(scan: Path, model: str | None, device: str, settings: dict[str, int]) -> dict[str, Any]:
    """Measure one engine where no other has taken memory or warmed anything."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bench.json"
        words: Sequence[object] = (
            *(sys.executable, "-m", "spineps_rt", "bench", scan, "--engines", device, "--json", target),
            *(word for key, value in settings.items() for word in (f"--{key}", value)),
            *(("--model", model) if model else ()),
        )
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return json.loads(target.read_text(encoding="utf-8"))["engines"][0]
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return {"device": device, "fault": lines[-1].removeprefix("error: ")}


def _plan(scan: Path | None, model: str | None, limit: int | None) -> None:
    from spineps_rt.diagnostics.bench_table import mib, plan_table  # noqa: PLC0415
    from spineps_rt.diagnostics.gpu_memory import plans  # noqa: PLC0415
    from spineps_rt.io.nifti import read_grid  # noqa: PLC0415
    from spineps_rt.models import resolve_models  # noqa: PLC0415

    considered = list(plans(resolve_models(model), read_grid(scan or _phantom())))
    unlimited = [p for p in considered if p.batches[0] == 1]
    fitting = unlimited if limit is None else [p for p in considered if p.total <= limit]
    best = (fitting or considered[-1:])[0]
    click.echo(plan_table({"always": best.always, **best.stages}, best.total))
    click.echo(f"tiles {best.tiles}, {best.batches[0]} at once; cutouts {best.batches[1]} at once")
    click.echo(f"logits summed in {best.sums}: spineps-rt run --sums {best.sums}")
    for batch in sorted({*best.batches} - {1}):
        made = f"spineps-rt export model MODEL -o FOLDER --batch {batch}, then --model FOLDER@b{batch}"
        click.echo(f"a graph for {batch} at once: {made}")
    if not fitting:
        raise EngineError(
            f"This scan does not fit into {mib(limit or 0)}: the most frugal way takes {mib(best.total)}. "
            "Crop the scan to the spine, take a smaller model, or run on the CPU."
        )
