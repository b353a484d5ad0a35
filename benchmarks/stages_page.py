"""The page on everything but the networks, against SPINEPS."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.page import by, sheet, table

Runs = list[dict[str, Any]]
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


def page(*documents: dict[str, Any]) -> str:
    """Write the page from results/stages*.json."""
    head = "# Everything but the networks, against SPINEPS 2.1.3\n"
    return "\n".join([head, *map(_section, documents)])


def totals(document: dict[str, Any]) -> tuple[float, float]:
    """Seconds of all stages: SPINEPS's, and those of a later scan of spineps-rt."""
    later = (line["seconds"] for run in document["runs"] for line in run[1:])
    return median(run["total_without_oracle"] for run in document["peer"]), median(later)


def memory(document: dict[str, Any]) -> tuple[float, float]:
    """Peak memory in MB: SPINEPS's, and that of a first scan of spineps-rt."""
    ours = max(run[0]["peak_mb"] for run in document["runs"])
    return median(run["peak_rss_gb"] for run in document["peer"]) * 1000, ours


def _section(document: dict[str, Any]) -> str:
    peer, warm = document["peer"], [line for run in document["runs"] for line in run[1:]]
    (theirs, ours), size = totals(document), document["scan"]
    before, after = memory(document)
    first, last = (
        median(run[0]["seconds"] for run in document["runs"]),
        max(run[-1]["peak_mb"] for run in document["runs"]),
    )
    return sheet(
        f"## {document['name']}",
        document,
        f"{by(size['shape'])} voxels of {by(size['spacing_mm'])} mm, from the file to the files; both "
        f"networks answer from masks and cost nothing. SPINEPS and spineps-rt took turns, {len(peer)} each; "
        "medians. Their final masks are equal in every voxel.",
        table(
            ["", "SPINEPS, s", "spineps-rt, s", "ratio"],
            [
                *(_row(*row, peer, warm) for row in ROWS),
                [
                    "**all, reading included**",
                    f"**{theirs:.1f}**",
                    f"**{ours:.2f}**",
                    f"**{theirs / ours:.0f}**",
                ],
                ["peak memory, MB", f"{before:.0f}", f"{after:.0f}", ""],
            ],
        ),
        f"The first scan of a process takes {first:.1f} s (kernels are loaded from disk); the very first on "
        f"a machine {document['cold']['seconds']:.1f} s (they are compiled), which `spineps-rt warmup` "
        "takes off the first patient. Memory is that of the first scan; after the last of "
        f"{len(document['runs'][0])} in one process it is {last:.0f} MB. Imports are not counted; those of "
        "SPINEPS take ten seconds.",
    )


def _row(what: str, timers: tuple[str, ...], stages: tuple[str, ...], peer: Runs, warm: Runs) -> list[str]:
    """One line; the seconds in which either side waited for the recorded answers are taken off."""
    waited = "predict_instance_mask" in timers, "instance" in stages
    theirs = median(sum(run[t] for t in timers) - run["oracle"] * waited[0] for run in peer)
    ours = median(sum(r["stages"][s] for s in stages) - r.get("network", 0.0) * waited[1] for r in warm)
    return [what, f"{theirs:.2f}", f"{ours:.2f}", f"{theirs / ours:.0f}"]
