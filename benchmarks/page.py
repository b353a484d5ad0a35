"""What the pages share: a title, the circumstances, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

IDLE = 0.25
"""Load a core up to which a machine counts as idle."""


def sheet(title: str, document: dict[str, Any], *blocks: str | Iterable[str]) -> str:
    """Lay out a page, or a section of one.

    Args:
        title: A heading, ``#`` included.
        document: Of ``results/``: date, machine and versions are told below the title.
        blocks: Paragraphs, and tables or lists line by line; an empty one is left out.

    Returns:
        Markdown.
    """
    parts = [block if isinstance(block, str) else "\n".join(block) for block in blocks]
    return "\n\n".join(filter(None, [title, circumstances(document), *parts])) + "\n"


def circumstances(document: dict[str, Any]) -> str:
    """Tell when, on what and with what was measured."""
    machine, versions = document.get("machine", {}), document.get("versions", {})
    hardware = [machine.get("cpu", ""), f"{machine['cores']} cores" if "cores" in machine else ""]
    hardware += [f"{machine['memory_gb']} GB" if "memory_gb" in machine else "", machine.get("system", "")]
    facts = {
        "Measured": document.get("date", ""),
        "Machine": ", ".join(filter(None, hardware)),
        "Software": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }
    told = " ".join(f"{name}: {fact}." for name, fact in facts.items() if fact)
    load = machine.get("load_before", 0)
    if load > IDLE * machine.get("cores", 1):
        told += f" The machine was not idle: its load was {load:g} before the first run."
    return told


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> list[str]:
    """Write a table.

    Args:
        head: Titles of the columns.
        rows: Cells.
        words: So many columns hold words, and stand to the left; numbers stand to the right.

    Returns:
        Its lines.
    """
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def bullets(sentences: Iterable[str]) -> list[str]:
    """List sentences; each begins with a capital."""
    return [f"- {sentence[:1].upper()}{sentence[1:]}" for sentence in sentences]


def by(sizes: Iterable[float]) -> str:
    """Write sizes along the axes: ``239 x 965 x 68``."""
    return " x ".join(f"{size:.3g}" if size < 100 else f"{size:.0f}" for size in sizes)


def listed(names: Sequence[str]) -> str:
    """Write names as a reader would: ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
