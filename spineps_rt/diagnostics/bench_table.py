"""The table of a benchmark and that of a memory plan, in plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Engines = Sequence[dict[str, Any]]
_NOTE = """\
Seconds are p50 / p95 / p99 of the runs that count; few runs say little about p99. Cold start is from the
start of the process to the first result, kernels compiled if no cache held them. Peak is numpy's float32
matrix product on this processor, best of 3; GFLOP are those of the graph, a product and its sum being two:
an engine in bfloat16, or one that spares products with zeros, may exceed the peak."""


def bench_table(document: dict[str, Any]) -> str:
    """Lay the engines of a benchmark side by side.

    Args:
        document: What ``spineps-rt bench --json`` writes.

    Returns:
        Lines of text.
    """
    had = [engine for engine in document["engines"] if "stages" in engine]
    lines = [
        f"{document['scan']} on {document['platform']['cpu']}, {document['threads'] or 'all'} threads, "
        f"{document['runs']} runs after {document['warmup']}",
        "",
        *_columns([["", *(e["device"] for e in had)], *_seconds(had), *_machine(had), *_networks(had)]),
    ]
    if any("gflop" not in n for engine in had for n in engine["networks"]):
        lines += ["", "GFLOP are left out where the model's manifest does not tell them: export it again."]
    lines += [f"{e['device']}: {e['fault']}" for e in document["engines"] if "fault" in e]
    return "\n".join([*lines, "", _NOTE]) + "\n"


def plan_table(parts: dict[str, dict[str, int]], total: int) -> str:
    """List what parts take.

    Args:
        parts: Group -> part -> bytes.
        total: The most that is taken at once.

    Returns:
        Lines of text, in MB of 2**20 bytes.
    """
    rows = [[group, part, mib(size)] for group, inner in parts.items() for part, size in inner.items()]
    return "\n".join(_columns([*rows, ["most at once", "", mib(total)]])) + "\n"


def mib(size: int) -> str:
    """Write bytes in MB of 2**20."""
    return f"{size / 2**20:.1f} MB"


def _seconds(engines: Engines) -> list[list[str]]:
    return [
        [name, *(" / ".join(f"{s:.3f}" for s in engine["stages"][name].values()) for engine in engines)]
        for name in (engines[0]["stages"] if engines else ())
    ]


def _machine(engines: Engines) -> list[list[str]]:
    rows = [
        ["scans per minute", *(f"{e['scans_per_minute']:.2f}" for e in engines)],
        ["cold start", *(_or_dash(e["cold_seconds"], "{:.1f} s") for e in engines)],
        ["peak memory", *(mib(e["peak_bytes"]) for e in engines)],
    ]
    if any(e["gpu_bytes"] is not None for e in engines):
        rows.append(
            ["GPU memory", *("-" if e["gpu_bytes"] is None else mib(e["gpu_bytes"]) for e in engines)]
        )
    return [*rows, ["peak", *(f"{e['matmul_gflops']:.0f} GFLOP/s" for e in engines)]]


def _networks(engines: Engines) -> list[list[str]]:
    rows = []
    for n, kind in enumerate(("semantic", "instance")):
        networks = [engine["networks"][n] for engine in engines]
        rows += [
            [f"{kind} network", *(one["provider"] for one in networks)],
            ["  samples", *(f"{one['samples']}, {one['seconds']:.3f} s" for one in networks)],
        ]
        for key, form in (
            ("gflop", "{:.1f} GFLOP"),
            ("gflops", "{:.1f} GFLOP/s"),
            ("share", "{:.0%} of peak"),
        ):
            if any(key in one for one in networks):
                rows.append(["", *(_or_dash(one.get(key), form) for one in networks)])
    return rows


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
