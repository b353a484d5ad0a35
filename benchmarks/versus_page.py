"""The page on whole scans, against SPINEPS with the same networks."""

from __future__ import annotations

from typing import Any

from benchmarks.page import by, sheet, table

AIM = 0.999
"""Dice that every structure should reach."""
NAMED = 5
"""So many of the labels that miss it are named, the worst first."""
COMPARED = ("compared", "structures: voxels that differ", "smallest Dice")
COMPARED += ("instances: voxels that differ", "smallest Dice")


def page(document: dict[str, Any]) -> str:
    """Write the page from results/versus_scan.json."""
    blocks: list[str | list[str]] = []
    for scan in document["scans"]:
        runs = ([name, *map("{:.1f}".format, cost.values())] for name, cost in scan["runs"].items())
        blocks += [
            f"## `{scan['scan']}`: {by(scan['shape'])} voxels of {by(scan['spacing_mm'])} mm",
            table(["run", "seconds", "processor seconds", "peak memory, MB"], runs),
            table(COMPARED, map(compared, scan["compared"])),
            _below(scan),
        ]
    return sheet(
        "# Whole scans against SPINEPS 2.1.3, the same weights",
        document,
        "Both run the embedded networks on the CPU, from the file to the files, each run a process of its "
        "own with its imports. *spineps-rt* has SPINEPS's rules where nothing else is said. *Defaults* "
        "counts vertebrae from the sacrum where SPINEPS counts from the top of the scan: an instance then "
        "has another name, and a Dice of 0.",
        *blocks,
    )


def compared(pair: dict[str, Any]) -> list[str]:
    """Cells of a comparison, in the order of :data:`COMPARED`.

    Args:
        pair: What :func:`benchmarks.versus_scan.compare` found, and ``between`` whom.
    """
    cells = [" - ".join(pair["between"])]
    for mask in ("spine", "vert"):
        found = pair[mask]
        name, score = min(found["dice"].items(), key=lambda item: item[1])
        cells += [f"{found['differ']:,} of {found['labelled']:,}", f"{score:.5f} ({name})"]
    return cells


def _below(scan: dict[str, Any]) -> list[str]:
    """Name what misses the aim, but for the defaults, which are meant to differ."""
    lines = []
    for pair in scan["compared"]:
        scores = {name: score for mask in ("spine", "vert") for name, score in pair[mask]["dice"].items()}
        missed = sorted((score, name) for name, score in scores.items() if score < AIM)
        if missed and not any("defaults" in run for run in pair["between"]):
            worst = ", ".join(f"{name} {score:.4f}" for score, name in missed[:NAMED])
            lines.append(f"- {' - '.join(pair['between'])}: {len(missed)} of {len(scores)}: {worst}")
    return [f"Labels below a Dice of {AIM}, the worst {NAMED} by name:", "", *lines] if lines else []
