"""What tests.parity.check found, as tables; ``python -m tests.parity.page`` updates docs/parity.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "parity.json"
DOCS = Path(__file__).parents[2] / "docs" / "parity.md"
MASKS = ("seg-spine-raw", "cutouts", "seg-vert-raw", "seg-spine", "seg-vert")
MARKS = "<!-- {} of {}: python -m tests.parity.page -->"


def section(document: dict[str, Any]) -> str:
    """Write the benchmark page's section.

    Args:
        document: results/parity.json.

    Returns:
        Markdown.
    """
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    return "\n".join(
        [
            f"## The same answers as {document['peer']}",
            "",
            f"{document['date']}, {versions}. Recorded runs of {document['peer']}, its two networks' answers "
            "given. What the runs are, which differences remain, and where spineps-rt departs on purpose: "
            "[docs/parity.md](../docs/parity.md).",
            "",
            *agreement(document),
            "",
            *_verdict(document),
            "",
        ]
    )


def agreement(document: dict[str, Any]) -> list[str]:
    """Table of the runs: how many labelled voxels of every mask differ, and how far the centres lie apart."""
    head = ["run", "scan", "spacing in mm", "vertebrae", *MASKS, "centres, mm"]
    return _table(head, [_run(run) for run in document["runs"]])


def rules(document: dict[str, Any]) -> list[str]:
    """Table of the rules: the voxels that each changes in every run."""
    names = list(document["runs"][0]["rules"])
    rows = [[f"`{n}`", *(f"{run['rules'][n]['different']:,}" for run in document["runs"])] for n in names]
    rows.append(["all that are on", *(f"{run['defaults']['different']:,}" for run in document["runs"])])
    return _table(["rule", *(run["name"] for run in document["runs"])], rows)


def updated(text: str, document: dict[str, Any]) -> str:
    """Put both tables into the text of docs/parity.md, between their marks.

    Args:
        text: The page.
        document: results/parity.json.

    Raises:
        ValueError: A mark is missing.
    """
    for name, lines in (("agreement", agreement(document)), ("rules", rules(document))):
        start, end = (MARKS.format(word, name) for word in ("start", "end"))
        if text.count(start) != 1 or text.count(end) != 1:
            raise ValueError(f"docs/parity.md must hold {start!r} and {end!r} once each")
        before, rest = text.split(start)
        text = "\n".join([before + start, "", *lines, "", end]) + rest.split(end)[1]
    return text


def _run(run: dict[str, Any]) -> list[str]:
    furthest = max(run["distances_mm"].values())
    return [
        run["name"],
        f"{' x '.join(map(str, run['shape']))}, {run['orientation']}",
        " x ".join(f"{mm:.3g}" for mm in run["spacing_mm"]),
        f"{run['vertebrae']}{', sacrum' if run['sacrum'] else ''}",
        *(f"{run['masks'][m]['different']:,} of {run['masks'][m]['labelled']:,}" for m in MASKS),
        f"{furthest:.3f} (up to {run['tolerance_mm']:.3f})",
    ]


def _verdict(document: dict[str, Any]) -> list[str]:
    runs = document["runs"]
    voxels = sum(mask["labelled"] for run in runs for mask in run["masks"].values())
    different = sum(mask["different"] for run in runs for mask in run["masks"].values())
    return [
        f"In all {different:,} of {voxels:,} labelled voxels differ. A cell says how many of a mask's "
        "labelled voxels differ; the last, how far two centres lie apart at most, and how much SPINEPS's "
        "rounding to hundredths of a voxel explains."
    ]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in head[1:])]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]


def main() -> None:
    """Update docs/parity.md."""
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    DOCS.write_text(updated(DOCS.read_text(encoding="utf-8"), document), encoding="utf-8")


if __name__ == "__main__":
    main()
