"""The page on the kernels."""

from __future__ import annotations

from math import prod
from typing import Any

from benchmarks.page import bullets, by, sheet, table


def page(document: dict[str, Any]) -> str:
    """Write the page from results/kernels.json."""
    ones, twos = document["runs"]["1"], document["runs"]["2"]
    blocks: list[str | list[str]] = []
    for one, two in zip(ones, twos):
        rows = [_row(one, a, two, b) for a, b in zip(one["jobs"], two["jobs"])]
        blocks.append(f"## {one['map']}: {by(one['shape'])}, {one['dtype']}")
        blocks.append(table(["job", "best library", "its MVx/s", "on one core", "on two"], rows, words=2))
    cold = "; ".join(f"{job} {seconds:.2f} s" for job, seconds in document["cold"].items())
    return sheet(
        "# Kernels against the libraries of the field",
        document,
        "Answers are equal unless said otherwise. Figures are million voxels a second, medians of "
        "alternating runs (who takes over 0.2 s ran three times, over 1 s once); in brackets how many "
        "times as fast as the best library. Libraries see the same cores as the kernels; most use one.",
        document.get("note", ""),
        "## Where a library is faster, or answers differently",
        bullets(losses(document)),
        *blocks,
        "## The first call",
        f"Without compiled kernels on disk: {cold} (a job finds compiled what jobs before it needed). With "
        f"them the slowest first call took {max(document['warm'].values()):.2f} s.",
    )


def losses(document: dict[str, Any]) -> list[str]:
    """Name every job that a library does faster, and every library that answers differently."""
    lines = []
    for cores, runs in (("one core", document["runs"]["1"]), ("two cores", document["runs"]["2"])):
        lost = [(run["map"], job) for run in runs for job in run["jobs"] if _ratio(job) < 1]
        lines += [
            f"on {cores}, {job['job']} ({name}): {_best(job)[0]} is {1 / _ratio(job):.2f} times as fast."
            for name, job in lost
        ] or [f"none on {cores}."]
    return lines + [
        f"{job['job']} ({run['map']}): {', '.join(job['different'])} answers differently; scipy agrees with "
        "this kernel."
        for run in document["runs"]["1"]
        for job in run["jobs"]
        if job["different"]
    ]


def _row(one: dict[str, Any], a: dict[str, Any], two: dict[str, Any], b: dict[str, Any]) -> list[str]:
    best = _best(a)[0]
    ours = (f"{_rate(*pair, 'spineps-rt'):.0f} ({_ratio(pair[0]):.2f})" for pair in ((a, one), (b, two)))
    return [a["job"], best, f"{_rate(a, one, best):.0f}", *ours]


def _best(job: dict[str, Any]) -> tuple[str, float]:
    rivals = {name: seconds for name, seconds in job["seconds"].items() if name != "spineps-rt"}
    return min(rivals.items(), key=lambda item: item[1])


def _ratio(job: dict[str, Any]) -> float:
    return _best(job)[1] / job["seconds"]["spineps-rt"]


def _rate(job: dict[str, Any], run: dict[str, Any], runner: str) -> float:
    return prod(run["shape"]) / job["seconds"][runner] / 1e6
