"""The page's section on what the semantic network is shown."""

from __future__ import annotations

from typing import Any

STEPS = ("prepared", "resampled")


def section(document: dict[str, Any]) -> str:
    """Write the section.

    Args:
        document: results/preprocess_parity.json.

    Returns:
        Markdown.
    """
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    return "\n".join(
        [
            "## What the semantic network is shown, against SPINEPS",
            "",
            f"{versions}. Voxels that differ by more than 0.001, intensities being 0 to 1500; in brackets "
            "RMS and largest difference. *Prepared* is the scan after intensities, N4 and margin; "
            "*resampled* is what the network gets, rounded where the scan is stored in whole numbers.",
            "",
            "| scan | stored as | N4 | voxels | prepared | resampled |",
            "| --- | --- | --- | ---: | ---: | ---: |",
            *(row for name, case in document["cases"].items() for row in _rows(name, case)),
            "",
        ]
    )


def _rows(name: str, case: dict[str, Any]) -> list[str]:
    rows = []
    for mode in ("without N4", "with N4"):
        if mode in case:
            steps = case[mode]
            cells = " | ".join(_cell(steps[step]) for step in STEPS)
            size = steps["resampled"]["voxels"]
            rows.append(f"| {name} | {case['stored']} | {mode.split()[0]} | {size:,} | {cells} |")
    return rows


def _cell(gap: dict[str, Any]) -> str:
    if not gap["differing"]:
        return "0"
    return f"{gap['differing'] / gap['voxels']:.3%} ({gap['rms']:.2g}, {gap['largest']:.2g})"
