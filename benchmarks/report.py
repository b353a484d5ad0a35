"""The pages of benchmarks/ from their figures: ``python -m benchmarks.report``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    engines_page,
    gpu_calls_page,
    kernels_page,
    latency_page,
    localiser_page,
    n4_page,
    networks_page,
    stages_page,
    throughput_page,
    variants_page,
    versus_page,
)
from benchmarks.figures import RESULTS, load
from benchmarks.page import circumstances, table

HERE = Path(__file__).parent
Documents = dict[str, list[dict[str, Any]]]
PAGES: dict[str, tuple[str, str, Callable[..., str]]] = {
    "run_latency": ("latency", "seconds and memory of `spineps-rt run`, stage by stage", latency_page.page),
    "versus_scan": ("spineps", "whole scans against SPINEPS with the same weights", versus_page.page),
    "stages": ("stages", "everything but the networks against SPINEPS", stages_page.page),
    "throughput": ("throughput", "several scans in one call", throughput_page.page),
    "networks": ("networks", "the networks on a CPU, engine by engine; bfloat16", networks_page.page),
    "localiser": ("localiser", "tiles that need not run", localiser_page.page),
    "n4": ("n4", "bias field correction against ANTs and SimpleITK", n4_page.page),
    "kernels": ("kernels", "kernels against the libraries of the field", kernels_page.page),
    "variants": ("variants", "fp16, int8, bfloat16 and batches against float32", variants_page.page),
    "engines": ("engines", "engines of TensorRT-RTX, built without a GPU", engines_page.page),
    "gpu_calls": ("gpu", "what a scan asks of a GPU, counted without one", gpu_calls_page.page),
}
"""Benchmark -> file in pages/, what it is about, and what writes it."""


def read(results: Path = RESULTS) -> Documents:
    """Read every file of figures, by its benchmark."""
    found: Documents = {}
    for path in sorted(results.glob("*.json")):
        document = load(path)
        found.setdefault(document["benchmark"], []).append(document)
    return found


def pages(documents: Documents) -> dict[str, str]:
    """Write the page of every benchmark that was measured.

    Args:
        documents: From :func:`read`.

    Returns:
        Path in benchmarks/ -> Markdown.
    """
    found = {name: PAGES[name] for name in PAGES if name in documents}
    written = {f"pages/{file}.md": write(*documents[name]) for name, (file, _, write) in found.items()}
    return {"README.md": _front(documents), **written}


def _front(documents: Documents) -> str:
    latency, *_ = documents["run_latency"]
    lines = [
        "# Benchmarks",
        "",
        "`python -m benchmarks.report` makes this page and those in `pages/` from `results/*.json`; no "
        "figure is typed by hand. That the answers are SPINEPS's is proved elsewhere: "
        "[docs/parity.md](../docs/parity.md). No GPU was measured; [docs/latency.md](../docs/latency.md) "
        "says what to expect.",
        "",
        *("## The machine", "", circumstances(latency), ""),
        *("## A whole scan, from file to files", "", *latency_page.whole_scans(latency), ""),
        "The embedded networks; each run is a process of its own, and its seconds hold everything from the "
        "command to the last file. A first run compiles the kernels, unless `spineps-rt warmup` did it "
        "before.",
        "",
        *("## Against SPINEPS 2.1.3", "", *_rivals(documents), ""),
        "By turns on the same machine, SPINEPS's rules on both sides unless *defaults* is said. The same "
        "weights give logits that differ in the last digits, and so some voxels differ; the same answers "
        "of the networks give the same masks. By default the network is not shown the empty margin around "
        "the scan, and other voxels differ.",
        "",
        *("## What is lost", "", *_losses(documents), ""),
        *("## Pages", "", *(f"- [{what}](pages/{file}.md)" for file, what in _topics(documents)), ""),
        *("## To repeat", "", "```sh", *_COMMANDS, "```"),
    ]
    return "\n".join(lines) + "\n"


def _topics(documents: Documents) -> list[tuple[str, str]]:
    return [(file, what) for name, (file, what, _) in PAGES.items() if name in documents]


def _rivals(documents: Documents) -> list[str]:
    """Seconds and memory of both sides: whole scans, then all that is not a network."""
    rows = []
    for scan in (scan for document in documents.get("versus_scan", []) for scan in document["scans"]):
        runs, pairs = scan["runs"], {tuple(pair["between"]): pair for pair in scan["compared"]}
        for ours, theirs in _WHOLE.items():
            if ours in runs and theirs in runs:
                pair = pairs[theirs, ours]["spine"]
                seconds = runs[theirs]["seconds"], runs[ours]["seconds"]
                memory = runs[theirs]["peak_mb"], runs[ours]["peak_mb"]
                differ = f"{pair['differ']:,} of {pair['labelled']:,}"
                rows.append(_rival(f"{scan['scan'].split('.')[0]}, {_NAMES[ours]}", seconds, memory, differ))
    for document in documents.get("stages", []):
        what = f"{document['name']}, all but the networks, N4 included"
        rows.append(_rival(what, stages_page.totals(document), stages_page.memory(document), "0"))
    head = [
        "what",
        "SPINEPS",
        "spineps-rt",
        "times",
        "SPINEPS",
        "spineps-rt",
        "structures: voxels that differ",
    ]
    return table(head, rows)


_WHOLE = {"spineps-rt": "SPINEPS", "spineps-rt, N4": "SPINEPS, N4", "spineps-rt, defaults": "SPINEPS"}
_NAMES = {"spineps-rt": "no N4", "spineps-rt, N4": "with N4", "spineps-rt, defaults": "defaults"}


def _rival(what: str, seconds: tuple[float, float], memory: tuple[float, float], differ: str) -> list[str]:
    shown = [f"{seconds[0]:.1f} s", f"**{seconds[1]:.1f} s**", f"{seconds[0] / seconds[1]:.1f}"]
    return [what, *shown, *(f"{mb:.0f} MB" for mb in memory), differ]


def _losses(documents: Documents) -> list[str]:
    """Gather from every page what does not flatter."""
    lost = [f"- A whole scan: {loss}" for loss in latency_page.summary(documents["run_latency"][0])]
    for name, (what, losses) in _LOSSES.items():
        for document in documents.get(name, []):
            lost += [f"- {what}: {loss}" for loss in losses(document)]
    return lost


_LOSSES: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "throughput": ("Several scans in one call", lambda document: throughput_page.losses(document)[:2]),
    "networks": ("bfloat16", lambda document: networks_page.verdict(document)[2:]),
    "localiser": ("The localiser", localiser_page.losses),
    "kernels": ("Kernels slower than a library", kernels_page.losses),
    "engines": ("TensorRT-RTX", lambda document: engines_page.losses(document)[-1:]),
}
_COMMANDS = (
    "python -m benchmarks.run_latency SCAN... --after-warmup",
    "python -m benchmarks.versus_scan SCAN... --spineps PYTHON  # of an environment with SPINEPS 2.1.3",
    "python -m benchmarks.stages OUT --peer-python PYTHON --real SCAN MASK MASK",
    "python -m benchmarks.throughput SCAN...",
    "python -m benchmarks.networks && python -m benchmarks.networks --agreement SCAN...",
    "python -m benchmarks.localiser --data FOLDER",
    "python -m benchmarks.n4 SCAN... && python -m benchmarks.kernels && python -m benchmarks.engines",
    "python -m benchmarks.report",
)


def main() -> None:
    """Write the pages beside this file."""
    for name, text in pages(read()).items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
