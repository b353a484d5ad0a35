"""The page on ``spineps-rt run``, from the command to the last file."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.page import by, sheet, table


def page(document: dict[str, Any]) -> str:
    """Write the page from results/run_latency.json."""
    scans = document["scans"]
    stages = list(scans[0]["runs"][0]["stages"])
    engines = "; ".join(f"{m['kind']} `{m['name']}` on {m['provider']}" for m in document["models"])
    return sheet(
        "# `spineps-rt run`, from the command to the last file",
        document,
        f"Networks: {engines}; threads: {document['engine_options']['threads'] or 'all'}. Each run is a "
        f"process of its own; medians of {len(scans[0]['runs'])}, fastest and slowest in brackets. All runs "
        "of a scan gave the same masks, voxel for voxel.",
        whole_scans(document),
        "The first run compiles the kernels; later ones find them on disk. Where the seconds go (*start* is "
        "what the stages do not hold: Python, imports, loading the models, writing, leaving):",
        table(
            ["scan", "start", *stages],
            [[s["file"], f"{_start(s):.1f}", *(f"{_stage(s, one):.2f}" for one in stages)] for s in scans],
        ),
        "## What is slow",
        [f"- {loss}" for loss in losses(document)],
        f"`spineps-rt run --help` takes {document['help_seconds']:.2f} s.",
    )


def whole_scans(document: dict[str, Any]) -> list[str]:
    """Table of the scans: a first run, later runs, memory."""
    head = ["scan", "voxels", "spacing in mm", "found", "first run", "later runs", "peak memory"]
    return table(head, map(_summary, document["scans"]))


def losses(document: dict[str, Any]) -> list[str]:
    """Say in words what a reader of the tables should not overlook."""
    found = []
    for scan in document["scans"]:
        wall, name = _wall(scan), f"`{scan['file']}`"
        worst = max(scan["runs"][0]["stages"], key=lambda stage, scan=scan: _stage(scan, stage))
        found.append(
            f"{name}: the stage *{worst}* takes {_stage(scan, worst) / wall:.0%} of the time, "
            f"starting and leaving {_start(scan) / wall:.0%}."
        )
        waits = scan["first_run"]["wall_seconds"] - wall
        if waits > 0.1 * wall:
            found.append(f"{name}: whoever runs it first waits {waits:.1f} s longer.")
        if warmed := scan.get("after_warmup"):
            more = warmed["wall_seconds"] / wall - 1
            found.append(f"{name}: the first run after `spineps-rt warmup` takes {more:+.0%}.")
    return found


def summary(document: dict[str, Any]) -> list[str]:
    """Say the same of all scans in a few words."""
    shares = [(scan, _wall(scan)) for scan in document["scans"]]
    waits = [scan["first_run"]["wall_seconds"] - wall for scan, wall in shares]
    networks = [(_stage(scan, "semantic") + _stage(scan, "instance")) / wall for scan, wall in shares]
    start = [_start(scan) / wall for scan, wall in shares]
    return [
        f"whoever runs first waits {min(waits):.1f} to {max(waits):.1f} s longer; `spineps-rt warmup` waits "
        "instead.",
        f"the stages of the two networks take {min(networks):.0%} to {max(networks):.0%} of a later run, "
        f"starting and leaving {min(start):.0%} to {max(start):.0%}.",
    ]


def _summary(scan: dict[str, Any]) -> list[str]:
    walls = [run["wall_seconds"] for run in scan["runs"]]
    found = scan["vertebrae"]
    return [
        scan["file"],
        by(scan["shape"]),
        by(scan["spacing_mm"]),
        f"{found[0]} to {found[-1]}, {len(found)} levels" if found else "nothing",
        f"{scan['first_run']['wall_seconds']:.1f} s",
        f"**{_wall(scan):.1f} s** ({min(walls):.1f} to {max(walls):.1f})",
        f"{median(run['peak_mb'] for run in scan['runs']):.0f} MB",
    ]


def _wall(scan: dict[str, Any]) -> float:
    return median(run["wall_seconds"] for run in scan["runs"])


def _stage(scan: dict[str, Any], stage: str) -> float:
    return median(run["stages"][stage] for run in scan["runs"])


def _start(scan: dict[str, Any]) -> float:
    return median(run["wall_seconds"] - sum(run["stages"].values()) for run in scan["runs"])
