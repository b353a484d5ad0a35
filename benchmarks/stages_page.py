"""The benchmark page's section on everything but the networks."""

from __future__ import annotations

from statistics import median
from typing import Any

ROWS = (
    ("N4, intensities, margin, resampling", ("preprocess_input",), ("preprocess",)),
    (
        "cleaning of the semantic mask, cutouts, coupling, merging",
        ("predict_semantic_mask", "predict_instance_mask"),
        ("semantic", "clean", "instance"),
    ),
    (
        "reconciling, discs, endplates, names",
        ("phase_postprocess_combined",),
        ("resample", "reconcile", "labeling"),
    ),
    ("centres and volumes", ("predict_centroids_from_both",), ("points",)),
    ("snapshot, and writing the files", ("mri_snapshot",), ("write",)),
)
"""What -> SPINEPS's timers, spineps-rt's stages."""


def section(document: dict[str, Any]) -> str:
    """Write the section.

    Args:
        document: results/stages.json.

    Returns:
        Markdown.
    """
    peer, warm = document["peer"], [line for run in document["runs"] for line in run[1:]]
    first = [run[0] for run in document["runs"]]
    total = median(p["total_without_oracle"] for p in peer), median(line["seconds"] for line in warm)
    machine, size = document["machine"], document["scan"]
    spacing = " x ".join(f"{mm:g}" for mm in size["spacing_mm"])
    lines = [
        f"## Everything but the networks, against SPINEPS 2.1.3: {document['name'].lower()}",
        "",
        f"{document['date']}, {machine['cpu']}, {machine['cores']} cores. {document['name']}, "
        f"{' x '.join(map(str, size['shape']))} voxels of {spacing} mm, from "
        "the file to the files; both networks answer from masks and cost nothing. SPINEPS and "
        f"spineps-rt took turns, {len(peer)} each; medians. Their final masks are equal in every voxel.",
        "",
        "| | SPINEPS, s | spineps-rt, s | ratio |",
        "| --- | ---: | ---: | ---: |",
        *(_row(*row, peer, warm) for row in ROWS),
        f"| **all, reading included** | **{total[0]:.1f}** | **{total[1]:.2f}** | "
        f"**{total[0] / total[1]:.0f}** |",
        f"| peak memory, MB | {median(p['peak_rss_gb'] for p in peer) * 1000:.0f} | "
        f"{max(line['peak_mb'] for line in first):.0f} | |",
        "",
        f"The first scan of a process takes {median(line['seconds'] for line in first):.1f} s (kernels are "
        f"loaded from disk); the very first on a machine {document['cold']['seconds']:.1f} s (they are "
        "compiled), which `spineps-rt warmup` takes off the first patient. Memory is that of the first scan; "
        f"after the last of {len(document['runs'][0])} in one process it is "
        f"{max(run[-1]['peak_mb'] for run in document['runs']):.0f} MB. SPINEPS's imports (ten seconds) "
        "are not counted, and ours neither.",
        "",
    ]
    return "\n".join(lines)


def _row(
    what: str,
    timers: tuple[str, ...],
    stages: tuple[str, ...],
    peer: list[dict[str, Any]],
    warm: list[dict[str, Any]],
) -> str:
    theirs = median(sum(p[t] for t in timers) - _answers(p, timers) for p in peer)
    ours = median(sum(line["stages"][s] for s in stages) - _unpacking(line, stages) for line in warm)
    return f"| {what} | {theirs:.2f} | {ours:.2f} | {theirs / ours:.0f} |"


def _unpacking(line: dict[str, Any], stages: tuple[str, ...]) -> float:
    """Seconds in which spineps-rt's stages unpacked the recorded answers."""
    return line.get("network", 0.0) if "instance" in stages else 0.0


def _answers(run: dict[str, Any], timers: tuple[str, ...]) -> float:
    """Seconds in which SPINEPS's timers waited for the answers from the truth."""
    return run["oracle"] if "predict_instance_mask" in timers else 0.0
