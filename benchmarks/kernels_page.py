"""The kernels' section of the benchmark page."""

from __future__ import annotations

from math import prod
from typing import Any


def section(document: dict[str, Any]) -> str:
    """Write the section from its figures.

    Args:
        document: What ``benchmarks.kernels`` wrote.

    Returns:
        Markdown.
    """
    lines = _introduction(document)
    ones, twos = document["runs"]["1"], document["runs"]["2"]
    for one, two in zip(ones, twos):
        shape = " x ".join(map(str, one["shape"]))
        lines += [f"### {one['map']}: {shape}, {one['dtype']}", ""]
        lines += [
            "| job | best library | its MVx/s | on one core | on two |",
            "| --- | --- | ---: | ---: | ---: |",
        ]
        for a, b in zip(one["jobs"], two["jobs"]):
            best, ours = _best(a)[0], _rate(a, one, "spineps-rt")
            lines.append(
                f"| {a['job']} | {best} | {_rate(a, one, best):.0f} | {ours:.0f} ({_ratio(a):.2f}) "
                f"| {_rate(b, two, 'spineps-rt'):.0f} ({_ratio(b):.2f}) |"
            )
        lines.append("")
    cold = [f"{job} {seconds:.2f} s" for job, seconds in document["cold"].items()]
    warm = max(document["warm"].values())
    lines += [
        "### The first call",
        "",
        f"Without compiled kernels on disk: {'; '.join(cold)} (a job finds compiled what jobs before it "
        f"needed). With them the slowest first call took {warm:.2f} s.",
        "",
        "### What is lost",
        "",
        *_losses(ones, "one core"),
        *_losses(twos, "two cores"),
        *_differences(ones),
        "",
    ]
    return "\n".join(lines)


def _introduction(document: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    machine = f"{document['machine']['cpu']}, {document['machine']['cores']} cores"
    return [
        "## Kernels against the libraries of the field",
        "",
        f"{document['date']}, {machine}. {versions}.",
        "",
        "Answers are equal unless said otherwise. Figures are million voxels a second, medians of "
        "alternating runs (who takes over 0.2 s ran three times, over 1 s once); in brackets how many times "
        "as fast as the best library. Libraries see the same cores as the kernels; most use one.",
        "",
    ]


def _best(job: dict[str, Any]) -> tuple[str, float]:
    rivals = {name: seconds for name, seconds in job["seconds"].items() if name != "spineps-rt"}
    return min(rivals.items(), key=lambda item: item[1])


def _ratio(job: dict[str, Any]) -> float:
    return _best(job)[1] / job["seconds"]["spineps-rt"]


def _rate(job: dict[str, Any], run: dict[str, Any], runner: str) -> float:
    return prod(run["shape"]) / job["seconds"][runner] / 1e6


def _losses(runs: list[dict[str, Any]], cores: str) -> list[str]:
    lost = [(run["map"], job) for run in runs for job in run["jobs"] if _ratio(job) < 1]
    return [
        f"- On {cores}, {job['job']} ({name}): {_best(job)[0]} is {1 / _ratio(job):.2f} times as fast."
        for name, job in lost
    ] or [f"- On {cores}: nothing."]


def _differences(runs: list[dict[str, Any]]) -> list[str]:
    return [
        f"- {job['job']} ({run['map']}): {', '.join(job['different'])} answers differently; "
        "scipy agrees with this kernel."
        for run in runs
        for job in run["jobs"]
        if job["different"]
    ]
