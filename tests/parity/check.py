"""Whether spineps-rt answers as SPINEPS 2.1.3 does: ``python -m tests.parity.check FOLDER...``.

A folder is a recorded run of SPINEPS: what its two networks answered, and its masks after every step (see
docs/parity.md and tests/parity/record.py). Each stage of spineps-rt gets what SPINEPS's own stage before
it answered, so that no difference hides another. The instance network answers from the record, and a cutout
that is not the recorded one at its place ends everything. The exit code is 0 only if every difference is one
that docs/parity.md lists.
"""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.figures import circumstances, output, save
from spineps_rt.labels import SACRUM_INSTANCE, instance_name
from tests.parity.golden import Golden, GoldenError, read
from tests.parity.replay import CutoutError, Replay, replay

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[2] / "docs" / "parity.md"
LISTED = "## Remaining differences"
"""The heading of the table in docs/parity.md: run, mask, voxels, cause."""


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...", type=click.Path(path_type=Path))
@output("parity", RESULTS)
def main(folders: tuple[Path, ...], output: Path) -> None:
    """Replay recorded runs of SPINEPS (folders, or files of tests/golden) and count what differs."""
    runs, faults = [], []
    allowed = listed(DOCS.read_text(encoding="utf-8"))
    for folder in folders:
        try:
            golden = read(folder)
            answer = replay(golden)
        except (GoldenError, CutoutError) as error:
            raise click.ClickException(str(error)) from error
        if golden.name in [run["name"] for run in runs]:
            raise click.ClickException(f"two runs are called {golden.name}; rename one of them.")
        click.echo("\n".join(table(golden.name, answer)))
        runs.append(describe(golden, answer))
        faults += unexplained(golden.name, answer, allowed)
    save({**circumstances("parity"), "runs": runs}, output, page="tests.parity.page")
    for fault in faults:
        click.echo(fault)
    sys.exit(1 if faults else 0)


def listed(text: str) -> dict[tuple[str, str], int]:
    """Read the differences that docs/parity.md explains.

    Args:
        text: Of the page.

    Returns:
        {(run, mask): voxels}.

    Raises:
        GoldenError: The page has no such heading.
    """
    if LISTED not in text:
        raise GoldenError(f"docs/parity.md has no heading {LISTED!r}; restore it.")
    section = text.split(LISTED, 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| ([\d,]+) \|", section, re.MULTILINE)
    return {(run, mask): int(voxels.replace(",", "")) for run, mask, voxels in rows}


def unexplained(name: str, answer: Replay, allowed: dict[tuple[str, str], int]) -> list[str]:
    """Name what differs and is not listed.

    Args:
        name: Of the run.
        answer: What its replay found.
        allowed: From :func:`listed`.
    """
    faults = [
        f"{name}: {count.different} voxels of {mask} differ; docs/parity.md lists "
        f"{allowed.get((name, mask), 0)}."
        for mask, count in answer.masks.items()
        if count.different > allowed.get((name, mask), 0)
    ]
    return faults + [
        f"{name}: the centres of {_name(v)} lie {mm:.4f} mm apart; SPINEPS's rounding explains "
        f"{answer.tolerance_mm:.4f} mm."
        for v, mm in answer.distances_mm.items()
        if not mm <= answer.tolerance_mm
    ]


def table(name: str, answer: Replay) -> list[str]:
    """Lay a replay out as text.

    Args:
        name: Of the run.
        answer: What its replay found.
    """
    lines = [name, f"  {'mask':<16}{'voxels':>14}{'labelled':>12}{'different':>11}"]
    lines += [
        f"  {mask:<16}{c.compared:>14,}{c.labelled:>12,}{c.different:>11,}"
        for mask, c in answer.masks.items()
    ]
    lines += [f"  {'centre':<16}{'mm apart':>14}   (SPINEPS's rounding: up to {answer.tolerance_mm:.4f})"]
    lines += [f"  {_name(v):<16}{mm:>14.4f}" for v, mm in answer.distances_mm.items()]
    lines += [f"  {'rule':<26}{'voxels that it changes':>24}"]
    lines += [f"  {rule:<26}{count.different:>24,}" for rule, count in answer.rules.items()]
    return [*lines, f"  {'all that are on':<26}{answer.defaults.different:>24,}", ""]


def describe(golden: Golden, answer: Replay) -> dict[str, Any]:
    """Gather what the page needs.

    Args:
        golden: The run.
        answer: What its replay found.
    """
    return {
        "name": golden.name,
        "shape": list(golden.semantic.shape),
        "spacing_mm": list(golden.semantic.spacing),
        "orientation": "".join(golden.semantic.orientation),
        "vertebrae": sum(v != SACRUM_INSTANCE for v in golden.points),
        "sacrum": SACRUM_INSTANCE in golden.points,
        **asdict(answer),
    }


def _name(vertebra: int) -> str:
    """Instance id, because in a recorded run it is no level."""
    return instance_name(vertebra) if vertebra == SACRUM_INSTANCE else f"vertebra {vertebra}"


if __name__ == "__main__":
    main()
