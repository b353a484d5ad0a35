"""The page's section on what the embedded models' variants answer."""

from __future__ import annotations

from typing import Any


def section(document: dict[str, Any]) -> str:
    """Write the section from its figures.

    Args:
        document: Content of ``results/variants.json``.

    Returns:
        Markdown.
    """
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    lines = [
        "## Variants of the embedded models against float32",
        "",
        f"{document['date']}. Machine: {machine['cpu']}, {machine['cores']} cores; {versions}. Each variant "
        "is exported as `spineps-rt export model` does and tried on one tile of a phantom and one of each of "
        f"{len(document['scans'])} scans ({', '.join(document['scans'])}). *Same class* is the share of the "
        "voxels in the worst tile and on the worst engine, the Dice is that of the worst class. Seconds and "
        "megabytes of engines of TensorRT-RTX stand in their own section.",
        "",
        "| model | variant | same class | smallest Dice | file | written |",
        "| --- | --- | ---: | ---: | ---: | --- |",
        *map(_row, document["variants"]),
        "",
        "The embedded graphs beside a fresh export of their checkpoints:",
        "",
        "| model | seconds of the export | operators | constants | bytes of the file |",
        "| --- | ---: | --- | --- | --- |",
        *map(_again, document["again"]),
        "",
        *_losses(document["variants"]),
    ]
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    cells = [row["model"], row["variant"], "", "", "", "refused"]
    if "refused" not in row:
        cells[2:] = [f"{row['same_class']:.4%}", f"{row['worst_dice']:.5f}", f"{row['mb']:.1f} MB", "yes"]
    return "| " + " | ".join(cells) + " |"


def _again(row: dict[str, Any]) -> str:
    same = ["equal" if row[key] else "differ" for key in ("same_operators", "same_constants", "same_bytes")]
    return "| " + " | ".join([row["model"], f"{row['seconds']:.1f}", *same]) + " |"


def _losses(rows: list[dict[str, Any]]) -> list[str]:
    refused = [f"- {r['model']}, {r['variant']}: {r['refused']}" for r in rows if "refused" in r]
    return ["### What is refused", "", *refused, ""] if refused else []
