"""The page on what a scan asks of a GPU."""

from __future__ import annotations

from typing import Any

from benchmarks.page import sheet, table


def page(document: dict[str, Any]) -> str:
    """Write the page from results/gpu_calls.json."""
    shape = " x ".join(map(str, document["scan"]))
    blocks: list[Any] = [
        f"Nothing was timed and no GPU was there: numba's simulator counted what the code asks for in the "
        f"second scan of a process ({shape} voxels, embedded models, every tile run and looked at by the "
        f"search, {document['cutouts']} cutouts). *Before* is commit {document['before']['commit']}. What a "
        "network works in is not counted."
    ]
    for back_end, now in document["now"].items():
        before = document["before"]["counts"][back_end]
        rows = [
            [kind, *(_cell(counts.get(kind)) for counts in (before, now))] for kind in sorted({*before, *now})
        ]
        blocks += [f"## {back_end}", table([back_end, "before", "now"], rows)]
    return sheet("# What a scan asks of a GPU", document, *blocks)


def _cell(found: dict[str, int] | None) -> str:
    if found is None:
        return "0"
    return f"{found['calls']}" + (f", {found['bytes'] / 1e6:.1f} MB" if "bytes" in found else "")
