"""The benchmark page from its figures: ``python -m benchmarks.report``."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import (
    engines_page,
    kernels_page,
    localiser_page,
    n4_page,
    networks_page,
    parity_page,
    preprocess_page,
    quality_page,
    stages_page,
    throughput_page,
    variants_page,
    versus_page,
)

HERE = Path(__file__).parent
PAGE = HERE / "README.md"

_INTRODUCTION = """# Benchmarks

This page is made from `results/*.json` by `python -m benchmarks.report`; no figure is typed by hand.
"""
_EMPTY = (
    "Nothing has been measured yet: `python -m benchmarks.run_latency SCAN...`, then make this page again.\n"
)


def page(results: Path = HERE / "results") -> str:
    """Write the page.

    Args:
        results: Folder of the figures.

    Returns:
        Markdown.
    """
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    sections = [_SECTIONS[document["benchmark"]](document) for document in documents]
    return "\n".join([_INTRODUCTION, *(sections or [_EMPTY])])


def _run_latency(document: dict[str, Any]) -> str:
    scans = document["scans"]
    repeats = len(scans[0]["runs"])
    stages = list(scans[0]["runs"][0]["stages"])
    engines = "; ".join(f"{m['kind']} `{m['name']}` on {m['provider']}" for m in document["models"])
    lines = [
        "## `spineps-rt run`, from the command to the last file",
        "",
        _circumstances(document),
        "",
        f"Networks: {engines}. Each run is a process of its own; medians of {repeats}, fastest and slowest "
        "in brackets. All runs of a scan gave the same masks, voxel for voxel.",
        "",
        *_table(
            ["scan", "voxels", "spacing in mm", "found", "seconds", "peak memory", "first run"],
            [_summary(scan) for scan in scans],
        ),
        "",
        "The first run compiles the kernels; later ones find them on disk. Where the seconds go (*start* is "
        "what the stages do not hold: Python, imports, loading the models, writing, leaving):",
        "",
        *_table(["scan", "start", *stages], [[scan["file"], *_stages(scan, stages)] for scan in scans]),
        "",
        "### What is slow",
        "",
        *(f"- {loss}" for scan in scans for loss in _losses(scan)),
        *_busy(document["machine"]),
        *_help(document),
        "",
    ]
    return "\n".join(lines)


def _circumstances(document: dict[str, Any]) -> str:
    machine, versions = document["machine"], document["versions"]
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "spineps_rt")
    threads = document["engine_options"]["threads"] or "all"
    return (
        f"{document['date']}, spineps-rt {versions['spineps_rt']}. Machine: {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}; "
        f"threads: {threads}. Software: {libraries}."
    )


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in head[1:])]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]


def _summary(scan: dict[str, Any]) -> list[str]:
    walls = [run["wall_seconds"] for run in scan["runs"]]
    found = scan["vertebrae"]
    return [
        scan["file"],
        " x ".join(map(str, scan["shape"])),
        " x ".join(f"{mm:.3g}" for mm in scan["spacing_mm"]),
        f"{found[0]} to {found[-1]}, {len(found)} levels" if found else "nothing",
        f"**{median(walls):.1f}** ({min(walls):.1f} to {max(walls):.1f})",
        f"{median(run['peak_mb'] for run in scan['runs']):.0f} MB",
        f"{scan['first_run']['wall_seconds']:.1f} s",
    ]


def _stages(scan: dict[str, Any], stages: list[str]) -> list[str]:
    return [f"{_start(scan):.1f}", *(f"{_stage(scan, stage):.2f}" for stage in stages)]


def _stage(scan: dict[str, Any], stage: str) -> float:
    return median(run["stages"][stage] for run in scan["runs"])


def _start(scan: dict[str, Any]) -> float:
    return median(run["wall_seconds"] - sum(run["stages"].values()) for run in scan["runs"])


def _losses(scan: dict[str, Any]) -> list[str]:
    """Say in words what a reader of the table should not overlook."""
    wall = median(run["wall_seconds"] for run in scan["runs"])
    worst = max(scan["runs"][0]["stages"], key=lambda stage: _stage(scan, stage))
    losses = [
        f"{scan['file']}: the stage *{worst}* takes {_stage(scan, worst) / wall:.0%} of the time, "
        f"starting and leaving {_start(scan) / wall:.0%}."
    ]
    waits = scan["first_run"]["wall_seconds"] - wall
    if waits > 0.1 * wall:
        losses.append(f"{scan['file']}: whoever runs it first waits {waits:.1f} s longer.")
    if warmed := scan.get("after_warmup"):
        more = warmed["wall_seconds"] / wall - 1
        losses.append(f"{scan['file']}: the first run after `spineps-rt warmup` takes {more:+.0%}.")
    return losses


def _busy(machine: dict[str, Any]) -> list[str]:
    """Own up to a machine that had other work."""
    if machine["load_before"] < 0.25 * machine["cores"]:
        return []
    return [
        f"- The machine was not idle: its load was {machine['load_before']} on {machine['cores']} cores "
        "before the first run. Alone it would be faster."
    ]


def _help(document: dict[str, Any]) -> list[str]:
    return [f"- `spineps-rt run --help` takes {s:.2f} s." for s in [document.get("help_seconds")] if s]


_SECTIONS = {
    "run_latency": _run_latency,
    "parity": parity_page.section,
    "stages": stages_page.section,
    "preprocess_parity": preprocess_page.section,
    "n4": n4_page.section,
    "networks": networks_page.section,
    "kernels": kernels_page.section,
    "throughput": throughput_page.section,
    "engines": engines_page.section,
    "localiser": localiser_page.section,
    "variants": variants_page.section,
    "versus_networks": versus_page.networks,
    "versus_scan": versus_page.scans,
    "n4_effect": versus_page.n4_effect,
    "quality": quality_page.section,
}


def main() -> None:
    """Write the page beside this file."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
