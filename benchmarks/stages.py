"""Everything but the networks, against SPINEPS itself: ``python -m benchmarks.stages OUT --peer-python ...``.

SPINEPS 2.1.3 runs on a phantom with networks that answer from its truth, or on a real scan with networks that
answer from masks; then spineps-rt runs on the same file with the same answers and the same rules, N4 included
on both sides. They take turns. Final masks that differ in a voxel are an error.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.figures import circumstances, output, save
from tests.parity.oracle_run import record

ROOT = Path(__file__).parents[1]
SCANS = 4
"""Of spineps-rt in each of its processes."""


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--peer-python", required=True, help="Python of an environment that holds SPINEPS 2.1.3.")
@click.option(
    "--peer-script",
    type=click.Path(exists=True, path_type=Path),
    help="Script that runs SPINEPS with oracle networks on a phantom: OUT SEED FIRST LAST P I R.",
)
@click.option(
    "--real",
    nargs=3,
    type=click.Path(exists=True, path_type=Path),
    help="A scan and the masks that the networks answer from, instead of a phantom.",
)
@click.option("--phantom", nargs=6, type=float, default=(1, 2, 24, 0.75, 0.75, 1.65), show_default=True)
@click.option("--repeats", default=2, show_default=True, help="Turns.")
@output("stages")
def main(**chosen: Any) -> None:
    """Time SPINEPS and spineps-rt by turns on one scan, in OUT."""
    out, real = chosen["out"], chosen["real"]
    if out.exists():
        raise click.ClickException(f"{out} exists; SPINEPS would take what is there. Name a new folder.")
    words = _peer_words(chosen)
    peer: list[dict[str, Any]] = []
    ours: list[list[dict[str, Any]]] = []
    document = circumstances("stages")
    with tempfile.TemporaryDirectory() as folder:
        answers, kernels = Path(folder) / "answers.npz", Path(folder) / "kernels"
        for turn in range(chosen["repeats"]):
            shutil.rmtree(out, ignore_errors=True)
            subprocess.run(
                [str(w) for w in words],
                check=True,
                capture_output=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            peer.append(json.loads((out / "timing.json").read_text(encoding="utf-8")))
            click.echo(f"SPINEPS: {peer[-1]['total_without_oracle']:.1f} s")
            if turn == 0:
                record(out, answers)
                scan = next((out / "rawdata").glob("*_T2w.nii.gz"))
                cold = _run((answers, scan, out), 1, kernels)
            ours.append(_run((answers, scan, out), SCANS, kernels))
            click.echo(f"spineps-rt: {[line['seconds'] for line in ours[-1]]} s")
    document |= {
        "name": f"The real scan {real[0].name.split('.')[0]}" if real else "A whole-spine phantom",
        "scan": {"shape": peer[0]["shape"], "spacing_mm": [round(z, 3) for z in peer[0]["zoom"]]},
        "peer": peer,
        "cold": cold[0],
        "runs": ours,
    }
    save(document, chosen["output"])


def _peer_words(chosen: dict[str, Any]) -> list[Any]:
    """SPINEPS's command line."""
    out = chosen["out"].resolve()
    if chosen["real"]:
        paths = (path.resolve() for path in chosen["real"])
        return [chosen["peer_python"], "-m", "tests.parity.peer_stages", out, *paths]
    if not chosen["peer_script"]:
        raise click.ClickException("name a scan with --real, or --peer-script for a phantom")
    numbers = (f"{n:g}" for n in chosen["phantom"])
    return [chosen["peer_python"], chosen["peer_script"].resolve(), out, *numbers]


def _run(paths: tuple[Path, Path, Path], repeats: int, kernels: Path) -> list[dict[str, Any]]:
    """One process of spineps-rt on recorded answers, a scan and SPINEPS's run; a line of figures a scan."""
    answers, scan, out = (path.resolve() for path in paths)
    words = [sys.executable, "-m", "tests.parity.oracle_run", answers, scan, "--repeats", repeats]
    words += ["--against", out]
    done = subprocess.run(
        [str(w) for w in words],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(kernels)},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
