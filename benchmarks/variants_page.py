"""The page on what the embedded models' variants answer."""

from __future__ import annotations

from typing import Any

from benchmarks.page import sheet, table


def page(document: dict[str, Any]) -> str:
    """Write the page from results/variants.json."""
    refused = [row for row in document["variants"] if "refused" in row]
    return sheet(
        "# Variants of the embedded models against float32",
        document,
        "Each variant is exported as `spineps-rt export model` does and tried on one tile of a phantom and "
        f"one of each of {len(document['scans'])} scans ({', '.join(document['scans'])}). *Same class* is "
        "the share of the voxels in the worst tile and on the worst engine, the Dice is that of the worst "
        "class.",
        table(
            ["model", "variant", "same class", "smallest Dice", "file", "written"],
            map(_row, document["variants"]),
            words=2,
        ),
        "The embedded graphs beside a fresh export of their checkpoints:",
        table(
            ["model", "seconds of the export", "operators", "constants", "bytes of the file"],
            map(_again, document["again"]),
        ),
        "## What is refused" if refused else "",
        [f"- {row['model']}, {row['variant']}: {row['refused']}" for row in refused],
    )


def _row(row: dict[str, Any]) -> list[str]:
    if "refused" in row:
        return [row["model"], row["variant"], "", "", "", "refused"]
    figures = [f"{row['same_class']:.4%}", f"{row['worst_dice']:.5f}", f"{row['mb']:.1f} MB"]
    return [row["model"], row["variant"], *figures, "yes"]


def _again(row: dict[str, Any]) -> list[str]:
    same = ("equal" if row[f"same_{part}"] else "differ" for part in ("operators", "constants", "bytes"))
    return [row["model"], f"{row['seconds']:.1f}", *same]
