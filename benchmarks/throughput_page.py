"""The page on several scans in one call."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.page import bullets, by, sheet, table

LITTLE = 1.1
"""A gain below this is told as little."""
WAYS = ("after", "beside")


def page(document: dict[str, Any]) -> str:
    """Write the page from results/throughput.json."""
    cases = document["cases"]
    shapes = "; ".join(sorted({by(shape) for shape in document["scans"]}))
    return sheet(
        "# Several scans in one call",
        document,
        f"Phantoms of {shapes} voxels, from files to files; models, kernels and libraries are loaded before "
        "the clock starts. *After*: one scan after the other. *Beside*: the next is read and the last done "
        "beside the networks of the present one, as `spineps-rt run` does. Medians of "
        f"{len(cases[0]['after'])} alternating processes; the masks of all were the same, voxel for voxel. "
        "One scan has nothing beside it and is there for its memory.",
        table(
            ["networks", "scans", "after, s", "beside, s", "gain", "memory after, MB", "memory beside, MB"],
            map(_row, cases),
        ),
        bullets(losses(document)),
    )


def losses(document: dict[str, Any]) -> list[str]:
    """Say in words what a reader of the table should not overlook."""
    said = []
    for case in (case for case in document["cases"] if case["scans"] > 1):
        after, beside = _seconds(case)
        if case["pause"] is not None:
            said.append(
                f"the last row stands for networks on another device, with an assumed {case['pause']:g} s a "
                "scan; it shows what the CPU's part costs beside them, not the speed of any such device."
            )
            continue
        if after / beside < LITTLE:
            said.append(
                f"where the networks run on the same {document['machine']['cores']} cores they leave nothing "
                f"idle, so that overlapping gains little or nothing: {after / beside:.2f}."
            )
        once, twice = (max(run["peak_mb"] for run in case[way]) for way in WAYS)
        said.append(
            f"overlapping {case['scans']} scans takes {twice - once:.0f} MB more than one after the other."
        )
    return said


def _seconds(case: dict[str, Any]) -> tuple[float, float]:
    after, beside = (median(run["seconds"] for run in case[way]) for way in WAYS)
    return after, beside


def _row(case: dict[str, Any]) -> list[str]:
    (after, beside), real = _seconds(case), case["pause"] is None
    networks = case["after"][0]["provider"]
    if not real:
        networks = f"replayed after {case['pause']:g} s a scan, the CPU free meanwhile"
    times = [f"{after:.1f}", f"{beside:.1f}", f"{after / beside:.2f}"] if case["scans"] > 1 else [""] * 3
    memory = [f"{max(run['peak_mb'] for run in case[way]):.0f}" if real else "" for way in WAYS]
    return [networks, str(case["scans"]), *times, *memory]
