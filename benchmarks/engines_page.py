"""The page's section on engines that are built without a GPU."""

from __future__ import annotations

from statistics import median
from typing import Any


def section(document: dict[str, Any]) -> str:
    """Write the section from its figures.

    Args:
        document: Content of ``results/engines.json``.

    Returns:
        Markdown.
    """
    machine, versions = document["machine"], document["versions"]
    built = [row for row in document["engines"] if "refused" not in row]
    lines = [
        "## Engines of TensorRT-RTX, built without a GPU",
        "",
        f"{document['date']}. Machine: {machine['cpu']}, {machine['cores']} cores, no GPU. Software: "
        f"TensorRT-RTX {versions['tensorrt-rtx']}, spineps-rt {versions['spineps_rt']}. Medians of "
        f"{len(built[0]['seconds'])} builds. Activations are memory that the engine will take on the GPU; "
        "layers are those after fusion, in brackets how many of them answer in float16.",
        "",
        "| model | GPU | precision | seconds | engine | ONNX | activations | layers |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *map(_row, built),
        "",
        "### What is not there",
        "",
        *_losses(document["engines"]),
        "- None of these engines has run: that takes the GPU. Their speed and their answers are not known.",
        "",
    ]
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    half = row["layer_dtypes"].get("Half", 0)
    cells = [
        row["model"],
        row["target"],
        row["precision"],
        f"{median(row['seconds']):.2f}",
        f"{row['engine_mb']:.1f} MB",
        f"{row['graph_mb']:.1f} MB",
        f"{row['activation_mb']:.0f} MB",
        f"{row['layers']} ({half})",
    ]
    return "| " + " | ".join(cells) + " |"


def _losses(rows: list[dict[str, Any]]) -> list[str]:
    refused = [f"{r['model']} in {r['precision']} for {r['target']}" for r in rows if "refused" in r]
    lines = [f"- TensorRT-RTX refuses: {', '.join(refused)}."] if refused else []
    if agreeing := [row["rewritten_agrees"]["same_class"] for row in rows if row.get("rewritten")]:
        where = ", ".join(sorted({row["target"] for row in rows if row.get("rewritten")}))
        lines.append(
            f"- For {where} the head in float32 is written as products and a sum. On a phantom it "
            f"answers, on the CPU, the same class in {min(agreeing):.4%} of the voxels or more."
        )
    growth = {r["engine_mb"] / r["graph_mb"]: r for r in rows if "refused" not in r}
    times = max(growth)
    if times > 1:
        worst = growth[times]
        lines.append(
            f"- Engines are larger than their graphs: {worst['model']} in {worst['precision']} for "
            f"{worst['target']} {times:.1f} times."
        )
    return lines
