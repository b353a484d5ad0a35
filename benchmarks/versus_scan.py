"""SPINEPS and spineps-rt on the same scans with the same weights: ``python -m benchmarks.versus_scan``.

SPINEPS runs the embedded networks from training/checkpoints, spineps-rt what was exported of them. They take
turns, each in a process of its own: SPINEPS, spineps-rt with SPINEPS's rules, both once without and once with
the bias correction, spineps-rt with its defaults; and SPINEPS once more with its logits summed in float32,
which tells how much of a difference its float16 makes.
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
import numpy as np

from benchmarks.figures import circumstances, output, save
from spineps_rt.labels import ENDPLATE_INFERIOR, ENDPLATE_SUPERIOR, STRUCTURES, instance_name

ROOT = Path(__file__).parents[1]
CHECKPOINTS = ROOT / "training" / "checkpoints"
THEIRS, OURS = ["benchmarks.spineps_scan", CHECKPOINTS], ["benchmarks.our_scan"]
FLOAT32 = ["--device", "openvino"]
"""As SPINEPS computes; what ``cpu`` takes may be bfloat16."""
RUNS = {
    "SPINEPS": (THEIRS, ["--no-bias-field"]),
    "spineps-rt": (OURS, ["--as-spineps", "--no-bias-field", *FLOAT32]),
    "SPINEPS, N4": (THEIRS, ["--bias-field"]),
    "spineps-rt, N4": (OURS, ["--as-spineps", "--bias-field", *FLOAT32]),
    "spineps-rt, defaults": (OURS, []),
    "SPINEPS, float32 sums": (THEIRS, ["--no-bias-field", "--float32-sums"]),
}
"""Name -> module, and options."""
PAIRS = (
    ("SPINEPS", "spineps-rt"),
    ("SPINEPS, N4", "spineps-rt, N4"),
    ("SPINEPS, float32 sums", "spineps-rt"),
    ("SPINEPS, float32 sums", "SPINEPS"),
    ("SPINEPS", "spineps-rt, defaults"),
)
"""What is compared."""
COUNTED = 100
"""Voxels from which a structure has a Dice of its own."""


@click.command()
@click.argument("scans", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--spineps", required=True, metavar="PYTHON", help="Of an environment with SPINEPS 2.1.3.")
@click.option("--run", "only", multiple=True, type=click.Choice(list(RUNS)), help="Leave out other runs.")
@click.option("--before", default="", help="Words before each command, for instance 'nice -n -5'.")
@output("versus_scan")
def main(scans: tuple[Path, ...], spineps: str, only: tuple[str, ...], before: str, output: Path) -> None:
    """Run SPINEPS and spineps-rt on SCANS and write Dice, seconds and memory as JSON."""
    rows: list[dict[str, Any]] = []
    document = {**circumstances("versus_scan"), "scans": rows}
    for scan in scans:
        image = nib.load(scan)
        row: dict[str, Any] = {"scan": scan.name, "shape": list(image.shape)}
        row |= {"spacing_mm": [round(float(mm), 4) for mm in image.header.get_zooms()], "runs": {}}
        rows.append(row)
        with tempfile.TemporaryDirectory() as name:
            for run in only or RUNS:
                command, options = RUNS[run]
                python = spineps if command is THEIRS else sys.executable
                module, *models = command
                place = Path(name) / run
                words = [*shlex.split(before), python, "-m", module, *models, scan, place, *options]
                row["runs"][run] = _run([str(word) for word in words], place)
                click.echo(f"{scan.name}, {run}: {row['runs'][run]}")
                row["compared"] = [_compare(Path(name), pair) for pair in PAIRS if {*pair} <= {*row["runs"]}]
                save(document, output)


def _run(words: list[str], place: Path) -> dict[str, float]:
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise click.ClickException(f"{' '.join(words)} failed:\n{done.stdout[-500:]}{done.stderr[-1500:]}")
    return json.loads((place / "cost.json").read_text(encoding="utf-8"))


def _compare(folder: Path, pair: tuple[str, str]) -> dict[str, Any]:
    one, two = (masks(folder / run) for run in pair)
    return {"between": list(pair), **compare(one, two)}


def masks(folder: Path) -> dict[str, np.ndarray]:
    """Read the final masks of a run."""
    return {name: np.asarray(nib.load(folder / f"{name}.nii.gz").dataobj) for name in NAMES}


def compare(ones: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> dict[str, Any]:
    """Count the voxels that differ, and say the Dice of every label, of both final masks."""
    found: dict[str, Any] = {}
    for mask, name in NAMES.items():
        one, two = ones[mask], others[mask]
        found[mask] = {
            "differ": int((one != two).sum()),
            "labelled": int(((one > 0) | (two > 0)).sum()),
            "dice": {name(int(c)): score for c, score in dice(one, two).items()},
        }
    return found


def dice(one: np.ndarray, two: np.ndarray) -> dict[int, float]:
    """Dice of every label of at least :data:`COUNTED` voxels in the mean of both masks."""
    scores = {}
    for label in np.union1d(one, two):
        both = int((one == label).sum()) + int((two == label).sum())
        if label and both >= 2 * COUNTED:
            scores[int(label)] = round(2 * int(((one == label) & (two == label)).sum()) / both, 5)
    return scores


def _structure(label: int) -> str:
    final = {ENDPLATE_SUPERIOR: "superior endplate", ENDPLATE_INFERIOR: "inferior endplate"}
    return final.get(label) or STRUCTURES[label].name


NAMES = {"spine": _structure, "vert": instance_name}
"""Final mask -> what its labels are called."""


if __name__ == "__main__":
    main()
