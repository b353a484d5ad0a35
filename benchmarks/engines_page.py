"""The page on engines that are built without a GPU."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.page import bullets, sheet, table


def page(document: dict[str, Any]) -> str:
    """Write the page from results/engines.json."""
    built = [row for row in document["engines"] if "refused" not in row]
    return sheet(
        "# Engines of TensorRT-RTX, built without a GPU",
        document,
        f"Medians of {len(built[0]['seconds'])} builds. Activations are memory that the engine will take on "
        "the GPU; layers are those after fusion, in brackets how many of them answer in float16.",
        table(
            ["model", "GPU", "precision", "seconds", "engine", "ONNX", "activations", "layers"],
            map(_row, built),
            words=3,
        ),
        "## What is not there",
        bullets(losses(document)),
    )


def losses(document: dict[str, Any]) -> list[str]:
    """Say what is refused, what is rewritten, and what is not known."""
    rows, lines = document["engines"], []
    if refused := [f"{r['model']} in {r['precision']} for {r['target']}" for r in rows if "refused" in r]:
        lines.append(f"it refuses: {', '.join(refused)}.")
    if rewritten := [row for row in rows if row.get("rewritten")]:
        where = ", ".join(sorted({row["target"] for row in rewritten}))
        least = min(row["rewritten_agrees"]["same_class"] for row in rewritten)
        lines.append(
            f"for {where} the head in float32 is written as products and a sum. On a phantom it answers, on "
            f"the CPU, the same class in {least:.4%} of the voxels or more."
        )
    growth = {row["engine_mb"] / row["graph_mb"]: row for row in rows if "refused" not in row}
    if (times := max(growth)) > 1:
        worst = growth[times]
        lines.append(
            f"engines are larger than their graphs: {worst['model']} in {worst['precision']} for "
            f"{worst['target']} {times:.1f} times."
        )
    return [
        *lines,
        "none of these engines has run, because that takes the GPU; their speed and answers are not known.",
    ]


def _row(row: dict[str, Any]) -> list[str]:
    return [
        *(row["model"], row["target"], row["precision"]),
        f"{median(row['seconds']):.2f}",
        *(f"{row[key]:.{digits}f} MB" for key, digits in _MEGABYTES.items()),
        f"{row['layers']} ({row['layer_dtypes'].get('Half', 0)})",
    ]


_MEGABYTES = {"engine_mb": 1, "graph_mb": 1, "activation_mb": 0}
