"""The page on the networks on a CPU."""

from __future__ import annotations

from typing import Any

from benchmarks.page import listed, sheet, table

LIMIT = 0.999
"""Dice that a class must reach over all tiles."""


def page(document: dict[str, Any]) -> str:
    """Write the page from results/networks.json."""
    blocks: list[str | list[str]] = []
    for network in document["networks"]:
        peak = network["peak_gflops"]["f32"]
        blocks += [
            f"## {network['name']}: {network['gflop']:.0f} GFLOP, peak {peak:.0f} GFLOP/s",
            _ways(network),
        ]
    if found := document.get("agreement", []):
        rows = [
            [r["scan"], r["network"], str(r["samples"]), f"{r['same_class']:.3%}", f"{r['worst_dice']:.4f}"]
            for r in found
        ]
        head = ["scan", "network", "tiles", "least same class", "smallest Dice"]
        blocks += ["## bfloat16 on real tiles and cutouts", " ".join(verdict(document))]
        blocks.append(table(head, rows, words=2))
    return sheet(
        "# Networks on this CPU",
        document,
        "One tile or cutout of a phantom; every way took its turn; medians. Operations are those of the "
        "graph's convolutions, also where a kernel needs fewer; the peak is the best of as many large "
        "matrix products in float32, measured in between. Agreement is that with OpenVINO in float32.",
        *blocks,
    )


def verdict(document: dict[str, Any]) -> list[str]:
    """Say which networks may run in bfloat16 without being asked for, and which may not."""
    found = document.get("agreement", [])
    names = sorted({one["network"] for one in found})
    failed = [n for n in names if any(r["network"] == n and r["worst_dice"] < LIMIT for r in found)]
    passed = [name for name in names if name not in failed]
    said = [f"Limit: the same class in 99.9% of every tile, a Dice of {LIMIT} in every class of all tiles."]
    if passed:
        said.append(f"{listed(passed)}: passed, so that `auto` and `cpu` take bfloat16.")
    if failed:
        said.append(f"{listed(failed)}: missed; only `--device openvino-bf16` takes it.")
    return said


def _ways(network: dict[str, Any]) -> list[str]:
    peak, pytorch = network["peak_gflops"]["f32"], network["ways"]["PyTorch f32"]["seconds"]
    head = ["", "seconds", "GFLOP/s", "of the f32 peak", "times PyTorch", "same class", "smallest Dice"]
    rows = []
    for name, way in network["ways"].items():
        rate = network["gflop"] / way["seconds"]
        cells = [
            f"{way['seconds']:.3f}",
            f"{rate:.0f}",
            f"{rate / peak:.0%}",
            f"{pytorch / way['seconds']:.1f}",
        ]
        rows.append([name, *cells, f"{way['same_class']:.3%}", f"{way['worst_dice']:.4f}"])
    return table(head, rows)
