"""The benchmark page's section on several scans in one call."""

from __future__ import annotations

from statistics import median
from typing import Any

LITTLE = 1.1
"""A gain below this is told as little."""


def section(document: dict[str, Any]) -> str:
    """Write the section.

    Args:
        document: results/throughput.json.

    Returns:
        Markdown.
    """
    machine, cases = document["machine"], document["cases"]
    shapes = sorted({" x ".join(map(str, shape)) for shape in document["scans"]})
    libraries = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    lines = [
        "## Several scans in one call",
        "",
        f"{document['date']}, {machine['cpu']}, {machine['cores']} cores; {libraries}. Phantoms of "
        f"{'; '.join(shapes)} voxels, from files to files; models, kernels and libraries are loaded before "
        "the clock starts. *After*: one scan after the other. *Beside*: the next is read and the last done "
        "beside the networks of the present one, as `spineps-rt run` does. Medians of "
        f"{len(cases[0]['after'])} alternating processes; the masks of all were the same, voxel for voxel. "
        "One scan has nothing beside it and is there for its memory.",
        "",
        "| networks | scans | after, s | beside, s | gain | memory after, MB | memory beside, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *map(_row, cases),
        "",
        *(f"- {text}" for text in _words(cases, machine["cores"])),
        "",
    ]
    return "\n".join(lines)


def _row(case: dict[str, Any]) -> str:
    after, beside = (median(run["seconds"] for run in case[mode]) for mode in ("after", "beside"))
    memory = " | ".join(
        f"{max(run['peak_mb'] for run in case[mode]):.0f}" if case["pause"] is None else ""
        for mode in ("after", "beside")
    )
    times = f"{after:.1f} | {beside:.1f} | {after / beside:.2f}" if case["scans"] > 1 else " | | "
    return f"| {_networks(case)} | {case['scans']} | {times} | {memory} |"


def _networks(case: dict[str, Any]) -> str:
    if case["pause"] is None:
        return case["after"][0]["provider"]
    return f"replayed after {case['pause']:g} s a scan, the CPU free meanwhile"


def _words(cases: list[dict[str, Any]], cores: int) -> list[str]:
    """Say in words what a reader of the table should not overlook."""
    said = []
    for case in cases:
        after, beside = (median(run["seconds"] for run in case[mode]) for mode in ("after", "beside"))
        if case["scans"] > 1 and case["pause"] is None and after / beside < LITTLE:
            said.append(
                f"Where the networks run on the same {cores} cores they leave nothing idle, so that "
                f"overlapping gains little or nothing: {after / beside:.2f}."
            )
        if case["pause"] is not None:
            said.append(
                f"The last row stands for networks on another device, with an assumed {case['pause']:g} s a "
                "scan; it shows what the CPU's part costs beside them, not the speed of any such device."
            )
    real = [case for case in cases if case["pause"] is None and case["scans"] > 1]
    for case in real:
        more = max(r["peak_mb"] for r in case["beside"]) - max(r["peak_mb"] for r in case["after"])
        said.append(f"Overlapping {case['scans']} scans takes {more:.0f} MB more than one after the other.")
    return said
