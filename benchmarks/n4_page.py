"""The page on bias field correction."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.page import by, sheet, table

RIVALS = ("antspyx", "SimpleITK")
ALIKE = 1e-3
"""Root mean square difference of two log fields up to which they count as the same."""
_CAUSES = (
    "- Differences above 1e-5 have one cause. ANTs computes the histogram's bins in float32, in which "
    "rounding puts the brightest voxel past the last bin in 7% of all ranges; then ANTs does not count it. "
    "spineps-rt does the same, but the last bit of the range decides, and the fields differ in that bit. "
    "On such scans ANTs differs from itself too when it runs on another number of threads.",
    "- ANTs keeps every fourth voxel. On every second axis two voxels lie equally near, and the last bit "
    "of a matrix's inverse chooses. spineps-rt computes that inverse bit for bit, so that oblique scans "
    "(*turned*: the affine rotated by 2 to 15 degrees) agree as well.",
    "- SPINEPS puts the corrected voxels into the scan's integer type, where bright ones wrap around; "
    "spineps-rt does not.",
)


def page(document: dict[str, Any]) -> str:
    """Write the page from results/n4.json."""
    cases = document["cases"]
    return sheet(
        "# Bias field correction (N4)",
        document,
        "antspyx is called as SPINEPS calls it. Differences are those of the log field inside the mask; "
        "the last column counts voxels of the corrected image that differ once it is cut to whole numbers, "
        "as SPINEPS does.",
        table(
            ["scan", "voxels", "spacing in mm", "field, SD", "RMS difference", "largest", "voxels"],
            [_agreement(name, case) for name, case in cases.items()],
        ),
        "Seconds, medians, the competitors taking turns; in brackets how many times slower than spineps-rt. "
        "Memory is what spineps-rt holds beside the image.",
        table(
            ["scan", "runs", "spineps-rt", *RIVALS, "memory", "image"],
            [_speed(name, case) for name, case in cases.items() if case["seconds"]],
        ),
        "## What is not the same",
        [*(f"- {loss}" for loss in losses(document)), *_CAUSES],
    )


def losses(document: dict[str, Any]) -> list[str]:
    """Say where SimpleITK or ANTs answer something else."""
    return [
        f"{name}: the field of {rival} differs by {gap['rms']:.2g} (RMS)."
        for name, case in document["cases"].items()
        for rival, gap in case["differences"].items()
        if gap["rms"] > ALIKE
    ]


def _agreement(name: str, case: dict[str, Any]) -> list[str]:
    gap = case["differences"]["antspyx"]
    differences = [f"{gap['rms']:.1e}", f"{gap['largest']:.1e}", f"{gap['voxels_differing']:.3%}"]
    return [name, by(case["shape"]), by(case["spacing_mm"]), f"{case['field_sd']:.2f}", *differences]


def _speed(name: str, case: dict[str, Any]) -> list[str]:
    seconds = {runner: median(runs) for runner, runs in case["seconds"].items()}
    ours = seconds["spineps-rt"]
    rivals = (f"{seconds[r]:.1f} ({seconds[r] / ours:.0f}x)" if r in seconds else "not run" for r in RIVALS)
    memory = (f"{case[key]:.0f} MB" for key in ("working_memory_mb", "image_mb"))
    return [name, str(len(case["seconds"]["spineps-rt"])), f"**{ours:.2f}**", *rivals, *memory]
