"""Verdicts against truth: the tables of docs/quality.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.page import table

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "quality.json"
DOCS = HERE.parent / "docs" / "quality.md"
MARKS = "<!-- {} of {}: python -m benchmarks.quality_page -->"


def rates(document: dict[str, Any]) -> list[str]:
    """Both halves and both together."""
    halves = dict(document["rates"])
    halves["together"] = {key: sum(half[key] for half in halves.values()) for key in halves["tuning"]}
    rows = [
        [
            name,
            _share(half["bad_told"], half["bad"]),
            _share(half["bad_rejected"], half["bad"]),
            _share(half["good_doubted"], half["good"]),
            _share(half["good_rejected"], half["good"]),
        ]
        for name, half in halves.items()
    ]
    head = ["scans", "bad and told", "of these `reject`", "good and doubted", "of these `reject`"]
    return table(head, rows)


def misses(document: dict[str, Any]) -> list[str]:
    """Bad results that are called good, and good ones that are doubted."""
    rows = []
    for name, row in document["scans"].items():
        if row["bad"] and row["verdict"] == "good":
            rows.append([name, _half(row), "bad, not told", _worst(row), "-"])
        elif not row["bad"] and not row["damage"] and row["verdict"] != "good":
            rows.append(
                [name, _half(row), f"good, `{row['verdict']}`", _worst(row), "; ".join(row["reasons"])]
            )
    return table(["scan", "half", "miss", "worst Dice", "reasons"], rows) if rows else ["None."]


def damaged(document: dict[str, Any]) -> list[str]:
    """What was damaged on purpose."""
    rows = [
        [name, _half(row), "bad" if row["bad"] else "good", _worst(row), row["verdict"], _kinds(row)]
        for name, row in document["scans"].items()
        if row["damage"]
    ]
    return table(["scan", "half", "masks", "worst Dice", "verdict", "checks"], rows)


def masks(document: dict[str, Any]) -> list[str]:
    """Good masks that were spoilt."""
    rows = [
        [
            damage,
            str(count["scans"]),
            *(_share(part, count["scans"]) for part in (_told(count), count["reject"])),
        ]
        for damage, count in document["masks"].items()
    ]
    return table(["damage", "scans", "told", "of these `reject`"], rows)


def _told(count: dict[str, int]) -> int:
    return count["check"] + count["reject"]


def groups(document: dict[str, Any]) -> list[str]:
    """Verdicts by source."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in document["scans"].values():
        found.setdefault(row["group"] if not row["damage"] else "damaged", []).append(row)
    rows = []
    for name, some in sorted(found.items()):
        bad = [row for row in some if row["bad"]]
        good = [row for row in some if not row["bad"]]
        told, doubted = (sum(row["verdict"] != "good" for row in part) for part in (bad, good))
        rows.append([name, str(len(some)), _share(told, len(bad)), _share(doubted, len(good))])
    return table(["source", "scans", "bad and told", "good and doubted"], rows)


def updated(text: str, document: dict[str, Any]) -> str:
    """Put the tables into docs/quality.md.

    Raises:
        ValueError: A mark is missing.
    """
    parts = {"rates": rates, "groups": groups, "misses": misses, "damaged": damaged, "masks": masks}
    for name, lines in parts.items():
        start, end = (MARKS.format(word, name) for word in ("start", "end"))
        if text.count(start) != 1 or text.count(end) != 1:
            raise ValueError(f"docs/quality.md must hold {start!r} and {end!r} once each")
        before, rest = text.split(start)
        text = "\n".join([before + start, "", *lines(document), "", end]) + rest.split(end)[1]
    return text


def _half(row: dict[str, Any]) -> str:
    return "held out" if row["held_out"] else "tuning"


def _worst(row: dict[str, Any]) -> str:
    dice = f"{row['worst_dice']:.2f}" if "worst_dice" in row else "-"
    return dice if row.get("counted", True) else f"{dice}, miscounted"


def _kinds(row: dict[str, Any]) -> str:
    """Names of the checks that alarmed, the first of each."""
    names = [reason.split(" at ")[0].split(" ", 1)[-1] for reason in row["reasons"]]
    return ", ".join(dict.fromkeys(names)) or "-"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.0%})" if whole else "0 of 0"


def main() -> None:
    """Update docs/quality.md."""
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    DOCS.write_text(updated(DOCS.read_text(encoding="utf-8"), document), encoding="utf-8")


if __name__ == "__main__":
    main()
