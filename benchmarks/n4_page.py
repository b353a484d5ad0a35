"""The page's section on bias field correction."""

from __future__ import annotations

from statistics import median
from typing import Any

RIVALS = ("antspyx", "SimpleITK")


def section(document: dict[str, Any]) -> str:
    """Write the section from its figures.

    Args:
        document: Content of ``results/n4.json``.

    Returns:
        Markdown.
    """
    cases, versions, machine = document["cases"], document["versions"], document["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in versions.items())
    lines = [
        "## Bias field correction (N4)",
        "",
        f"{document['date']}. Machine: {machine['cores']} cores, {machine['system']}. Software: {libraries}.",
        "",
        "antspyx is called as SPINEPS calls it. Differences are those of the log field inside the mask; the "
        "last column counts voxels of the corrected image that differ once it is cut to whole numbers, as "
        "SPINEPS does.",
        "",
        *_table(
            ["scan", "voxels", "spacing in mm", "field, SD", "RMS difference", "largest", "voxels"],
            [_agreement(name, case) for name, case in cases.items()],
        ),
        "",
        "Seconds, medians, the competitors taking turns; in brackets how many times slower than spineps-rt. "
        "Memory is what spineps-rt holds beside the image.",
        "",
        *_table(
            ["scan", "runs", "spineps-rt", *RIVALS, "memory", "image"],
            [_speed(name, case) for name, case in cases.items() if case["seconds"]],
        ),
        "",
        "### What is not the same",
        "",
        *_losses(cases),
        "- Differences above 1e-5 have one cause. ANTs computes the histogram's bins in float32, in which "
        "rounding puts the brightest voxel past the last bin in 7% of all ranges; then ANTs does not count "
        "it. spineps-rt does the same, but the last bit of the range decides, and the fields differ in that "
        "bit. On such scans ANTs differs from itself too when it runs on another number of threads.",
        "- ANTs keeps every fourth voxel. On every second axis two voxels lie equally near, and the last bit "
        "of a matrix's inverse chooses. spineps-rt computes that inverse bit for bit, so that oblique scans "
        "(*turned*: the affine rotated by 2 to 15 degrees) agree as well.",
        "- SPINEPS puts the corrected voxels into the scan's integer type, where bright ones wrap around; "
        "spineps-rt does not.",
        "",
    ]
    return "\n".join(lines)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in head[1:])]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]


def _agreement(name: str, case: dict[str, Any]) -> list[str]:
    gap = case["differences"]["antspyx"]
    return [
        name,
        " x ".join(map(str, case["shape"])),
        " x ".join(f"{mm:.3g}" for mm in case["spacing_mm"]),
        f"{case['field_sd']:.2f}",
        f"{gap['rms']:.1e}",
        f"{gap['largest']:.1e}",
        f"{gap['voxels_differing']:.3%}",
    ]


def _speed(name: str, case: dict[str, Any]) -> list[str]:
    ours = median(case["seconds"]["spineps-rt"])
    rivals = [case["seconds"].get(rival) for rival in RIVALS]
    return [
        name,
        str(len(case["seconds"]["spineps-rt"])),
        f"**{ours:.2f}**",
        *(f"{median(runs):.1f} ({median(runs) / ours:.0f}x)" if runs else "not run" for runs in rivals),
        f"{case['working_memory_mb']:.0f} MB",
        f"{case['image_mb']:.0f} MB",
    ]


def _losses(cases: dict[str, Any]) -> list[str]:
    """Say where SimpleITK or ANTs answer something else."""
    lines = []
    for name, case in cases.items():
        for rival, gap in case["differences"].items():
            if gap["rms"] > 1e-3:
                lines.append(f"- {name}: the field of {rival} differs by {gap['rms']:.2g} (RMS).")
    return lines
