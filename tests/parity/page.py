"""The tables of docs/parity.md from the figures in results/: ``python -m tests.parity.page``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import load
from benchmarks.page import by, circumstances, table
from benchmarks.versus_page import COMPARED, compared

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[2] / "docs" / "parity.md"
MASKS = ("seg-spine-raw", "cutouts", "seg-vert-raw", "seg-spine", "seg-vert")
MARKS = "<!-- {} of {}: python -m tests.parity.page -->"
STEPS = ("prepared", "resampled")
GRAPHS = {"fp32": "float32", "fp16": "fp16", "float16": "fp16, in float16"}
WAYS = {
    ("fp32", "onnx"): "ONNX Runtime",
    ("fp32", "openvino"): "OpenVINO",
    ("fp16", "onnx"): "fp16, ONNX Runtime",
    ("fp16", "openvino"): "fp16, OpenVINO",
    ("float16", "onnx"): "fp16, in float16",
}
"""Graph and device -> column."""


def agreement(document: dict[str, Any]) -> list[str]:
    """Table of the recorded runs: how many labelled voxels differ, and how far the centres lie apart."""
    head = ["run", "scan", "spacing in mm", "vertebrae", *MASKS, "centres, mm"]
    masks = [mask for run in document["runs"] for mask in run["masks"].values()]
    voxels, different = (sum(mask[key] for mask in masks) for key in ("labelled", "different"))
    return [
        circumstances(document),
        "",
        *table(head, map(_run, document["runs"])),
        "",
        f"In all {different:,} of {voxels:,} labelled voxels differ. A cell says how many of a mask's "
        "labelled voxels differ; the last, how far two centres lie apart at most, and how much SPINEPS's "
        "rounding to hundredths of a voxel explains.",
    ]


def rules(document: dict[str, Any]) -> list[str]:
    """Table of the rules: the voxels that each changes in every run."""
    names = list(document["runs"][0]["rules"])
    rows = [[f"`{n}`", *(f"{run['rules'][n]['different']:,}" for run in document["runs"])] for n in names]
    rows.append(["all that are on", *(f"{run['defaults']['different']:,}" for run in document["runs"])])
    return table(["rule", *(run["name"] for run in document["runs"])], rows)


def preprocess(document: dict[str, Any]) -> list[str]:
    """Table of what the semantic network is shown: the voxels that differ, without and with N4."""
    rows = []
    for name, case in document["cases"].items():
        for mode in (mode for mode in ("without N4", "with N4") if mode in case):
            steps = case[mode]
            cells = [f"{steps['resampled']['voxels']:,}", *(_gap(steps[step]) for step in STEPS)]
            rows.append([name, case["stored"], mode.split()[0], *cells])
    head = ["scan", "stored as", "N4", "voxels", *STEPS]
    return [circumstances(document), "", *table(head, rows, words=3)]


def networks(document: dict[str, Any]) -> list[str]:
    """Table of the architectures: the share of voxels with SPINEPS's class, on every way through them."""
    rows, cells = document["rows"], []
    for model, other in dict.fromkeys((row["model"], row["compared"]) for row in rows):
        same = [row for row in rows if (row["model"], row["compared"]) == (model, other)]
        found = {(row["graph"], row["device"]): row for row in same}
        shares = (
            f"{100 * found[way]['agreement']:.4f} % ({found[way]['differ']})" if way in found else "refused"
            for way in WAYS
        )
        cells.append([model, _NAMES.get(other, f"SPINEPS, {other}"), str(len(same[0]["dice"])), *shares])
    exact = [row for row in rows if row["compared"] == "float32 sums" and row["graph"] == "fp32"]
    reasons = {row["model"]: row["fp16_refused"] for row in rows if "fp16_refused" in row}
    return [
        circumstances(document),
        "",
        *table(["model", "compared with", "classes", *WAYS.values()], cells, words=2),
        "",
        f"- SPINEPS with float32 sums: {sum(row['differ'] for row in exact):,} of "
        f"{sum(row['voxels'] for row in exact):,} voxels of the float32 graphs differ.",
        *(_smallest(name, [r for r in rows if r["graph"] == graph]) for graph, name in GRAPHS.items()),
        *(f"- {model}, fp16 refused: {reason}" for model, reason in reasons.items()),
    ]


def n4_effect(document: dict[str, Any]) -> list[str]:
    """Table of what one grey level does to the masks."""
    scan, rows = document["scan"], []
    moved = {row["what"]: f"{row['spine']['differ']:,}" for row in document["rows"]}
    for row in document["rows"]:
        image, (pair, *masks) = row["image"], compared(row)
        share = f"{image['differ']:,} ({image['differ'] / image['voxels']:.2%})"
        rows.append([pair, share, f"{image['brighter']:,}", f"{image['largest']:g}", *masks])
    head = ["voxels of the images that differ", "of them brighter in the first", "largest difference"]
    return [
        f"{circumstances(document)} Scan: `{scan['name']}`, intensities up to {scan['highest']:g}.",
        "",
        *table([COMPARED[0], *head, *COMPARED[1:]], rows),
        "",
        f"Of the structures, {moved['runs']} voxels differ between SPINEPS and spineps-rt; "
        f"{moved['same image']} where both are shown the same image. One grey level in as many voxels, "
        f"chosen at random, moves {moved['random']}, and SPINEPS's own number of threads {moved['threads']}.",
    ]


TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "agreement": ("parity", agreement),
    "rules": ("parity", rules),
    "preprocess": ("preprocess", preprocess),
    "networks": ("networks", networks),
    "n4": ("n4_effect", n4_effect),
}
"""Name of the marks -> figures in results/, and what lays them out."""


def updated(text: str, documents: dict[str, dict[str, Any]]) -> str:
    """Put every table into the text of docs/parity.md, between its marks.

    Args:
        text: The page.
        documents: Name in results/ -> figures.

    Raises:
        ValueError: A mark is missing.
    """
    for name, (figures, lay_out) in TABLES.items():
        start, end = (MARKS.format(word, name) for word in ("start", "end"))
        if text.count(start) != 1 or text.count(end) != 1:
            raise ValueError(f"docs/parity.md must hold {start!r} and {end!r} once each")
        before, rest = text.split(start)
        text = "\n".join([before + start, "", *lay_out(documents[figures]), "", end]) + rest.split(end)[1]
    return text


def read() -> dict[str, dict[str, Any]]:
    """Read the figures."""
    return {path.stem: load(path) for path in RESULTS.glob("*.json")}


_NAMES = {"published": "SPINEPS", "no labels": "SPINEPS, empty cutouts"}


def _run(run: dict[str, Any]) -> list[str]:
    furthest = max(run["distances_mm"].values())
    return [
        run["name"],
        f"{by(run['shape'])}, {run['orientation']}",
        by(run["spacing_mm"]),
        f"{run['vertebrae']}{', sacrum' if run['sacrum'] else ''}",
        *(f"{run['masks'][m]['different']:,} of {run['masks'][m]['labelled']:,}" for m in MASKS),
        f"{furthest:.3f} (up to {run['tolerance_mm']:.3f})",
    ]


def _gap(gap: dict[str, Any]) -> str:
    if not gap["differing"]:
        return "0"
    return f"{gap['differing'] / gap['voxels']:.3%} ({gap['rms']:.2g}, {gap['largest']:.2g})"


def _smallest(name: str, rows: list[dict[str, Any]]) -> str:
    """Name the smallest agreement and the smallest Dice of a graph."""
    share = min(row["agreement"] for row in rows)
    score = min(dice for row in rows for dice in row["dice"].values())
    return f"- {name}: smallest agreement {100 * share:.4f} %, smallest Dice of a class {score:.5f}."


def main() -> None:
    """Update docs/parity.md."""
    DOCS.write_text(updated(DOCS.read_text(encoding="utf-8"), read()), encoding="utf-8")


if __name__ == "__main__":
    main()
