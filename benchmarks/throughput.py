"""Several scans, one after the other against side by side: ``python -m benchmarks.throughput SCAN...``.

Every measurement is a process of its own (benchmarks/throughput_run.py); the two ways take turns. Where their
masks differ nothing is written.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import nibabel as nib

from benchmarks.figures import circumstances, output, save
from benchmarks.throughput_run import MODES

ROOT = Path(__file__).parents[1]


@click.command()
@click.argument("scans", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--repeats", default=2, show_default=True, help="Turns.")
@click.option(
    "--pause", default=1.0, show_default=True, help="Seconds a scan of the networks on another device."
)
@click.option("--under", default="", help="Command put before each measurement, for instance taskset.")
@output("throughput")
def main(scans: tuple[Path, ...], repeats: int, pause: float, under: str, output: Path) -> None:
    """Time SCANS both ways, with the networks on the CPU and with networks that leave the CPU free."""
    document = circumstances("throughput")
    cases = [
        {"scans": 1, "pause": None, **{mode: [] for mode in MODES}},
        {"scans": len(scans), "pause": None, **{mode: [] for mode in MODES}},
        {"scans": len(scans), "pause": pause, **{mode: [] for mode in MODES}},
    ]
    for turn in range(repeats):
        for case in cases:
            for mode in MODES if turn % 2 == 0 else MODES[::-1]:  # neither way always comes first
                case[mode].append(_measure(mode, scans[: case["scans"]], case["pause"], under))
                click.echo(f"{case['scans']} scans, {mode}: {case[mode][-1]}")
            if len({run["masks"] for mode in MODES for run in case[mode]}) > 1:
                raise click.ClickException("masks differ between runs; nothing was written.")
    document |= {
        "scans": [list(nib.load(scan).shape) for scan in scans],  # type: ignore[attr-defined]
        "cases": cases,
    }
    save(document, output)


def _measure(mode: str, scans: tuple[Path, ...], pause: float | None, under: str) -> dict[str, Any]:
    words = [*shlex.split(under), sys.executable, "-m", "benchmarks.throughput_run", mode]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [folder, *(str(scan.resolve()) for scan in scans)]
        arguments += [] if pause is None else ["--pause", str(pause)]
        done = subprocess.run([*words, *arguments], check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
