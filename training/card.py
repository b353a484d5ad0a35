"""The model card ``engines/README.md``, made from ``card.md`` and the measured figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training import spider

RESULTS = Path("training/accuracy.json")
CARD = Path("engines/README.md")
TEMPLATE = Path(__file__).with_name("card.md")
_SETS = {
    "spider": "SPIDER, held out",
    "VB2": "VB2, T2w, healthy",
    "IVD": "IVD, T2w, discs",
    "VB1": "VB1, mixed contrasts, pathology",
    "VB3": "VB3, water/fat",
}


def main() -> None:
    """Write the card."""
    found = json.loads(RESULTS.read_text())
    text = TEMPLATE.read_text()
    text = text.replace("{held_out}", ", ".join(map(str, spider.HELD_OUT)))
    text = text.replace("{date}", found["date"]).replace("{tables}", _sets(found["summary"]))
    text = text.replace("{phantom}", _phantom(found["phantom"]))
    CARD.write_text(text)


def _sets(summary: dict[str, dict[str, Any]]) -> str:
    rows = [
        "| set | scans | vertebra | disc | canal | canal, drawn rows | body | found |",
        "|---|" + "---|" * 7,
    ]
    for key, name in _SETS.items():
        row = summary[key]
        cells = [
            f"{row[k]:.3f}" if k in row else "" for k in ("vertebra", "disc", "canal", "canal_drawn", "body")
        ]
        own = f"{row['found']:.1f} of {row['labelled']:.1f}" if "found" in row else ""
        rows.append(f"| {name} | {row['scans']} | " + " | ".join([*cells, own]) + " |")
    return "\n".join(rows)


def _phantom(scores: dict[str, float]) -> str:
    rows = ["| structure | Dice |", "|---|---|"]
    return "\n".join([*rows, *(f"| {name} | {score:.3f} |" for name, score in scores.items())])


if __name__ == "__main__":
    main()
