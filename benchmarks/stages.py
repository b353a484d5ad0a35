"""Everything but the networks, against SPINEPS itself: ``python -m benchmarks.stages OUT --peer-python ...``.

SPINEPS 2.1.3 runs on a phantom with networks that answer from its truth; then spineps-rt runs on the same
file with the same answers and the same rules, N4 included on both sides. They take turns. That the masks are
the same is shown by benchmarks.parity.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from benchmarks.oracle_run import record
from spineps_rt import __version__
from spineps_rt.kernels._threads import cores
from spineps_rt.report.record import cpu_name

RESULTS = Path(__file__).parent / "results"
SCANS = 4
"""Of spineps-rt in each of its processes."""
PACKAGES = ("numpy", "numba", "nibabel", "pillow")


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--peer-python", required=True, help="Python of an environment that holds SPINEPS 2.1.3.")
@click.option(
    "--peer-script",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Script that runs SPINEPS with oracle networks: OUT SEED FIRST LAST P I R.",
)
@click.option("--phantom", nargs=6, type=float, default=(1, 2, 24, 0.75, 0.75, 1.65), show_default=True)
@click.option("--repeats", default=2, show_default=True, help="Turns.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS / "stages.json", show_default=True)
def main(
    out: Path,
    peer_python: str,
    peer_script: Path,
    phantom: tuple[float, ...],
    repeats: int,
    output: Path,
) -> None:
    """Time SPINEPS and spineps-rt by turns on one phantom, in OUT."""
    if out.exists():
        raise click.ClickException(f"{out} exists; SPINEPS would take what is there. Name a new folder.")
    words = [peer_python, peer_script, out, *(f"{n:g}" for n in phantom)]
    peer: list[dict[str, Any]] = []
    ours: list[list[dict[str, Any]]] = []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        answers, kernels = Path(folder) / "answers.npz", Path(folder) / "kernels"
        for turn in range(repeats):
            shutil.rmtree(out, ignore_errors=True)
            subprocess.run([str(w) for w in words], check=True, capture_output=True)
            peer.append(json.loads((out / "timing.json").read_text(encoding="utf-8")))
            click.echo(f"SPINEPS: {peer[-1]['total_without_oracle']:.1f} s")
            if turn == 0:
                record(out, answers)
                scan = next((out / "rawdata").glob("*_T2w.nii.gz"))
                cold = _run(answers, scan, 1, kernels)
            ours.append(_run(answers, scan, SCANS, kernels))
            click.echo(f"spineps-rt: {[line['seconds'] for line in ours[-1]]} s")
    document = {
        "benchmark": "stages",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": {"cpu": cpu_name(), "cores": cores(), "load_before": round(load, 2)},
        "versions": {
            "spineps_rt": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "phantom": {"shape": peer[0]["shape"], "spacing_mm": [round(z, 3) for z in peer[0]["zoom"]]},
        "peer": peer,
        "cold": cold[0],
        "runs": ours,
    }
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    click.echo(f"wrote {output}; now: python -m benchmarks.report")


def _run(answers: Path, scan: Path, repeats: int, kernels: Path) -> list[dict[str, Any]]:
    """One process of spineps-rt; a line of figures a scan."""
    words = [sys.executable, "-m", "benchmarks.oracle_run", answers, scan, "--repeats", repeats]
    done = subprocess.run(
        [str(w) for w in words],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "NUMBA_CACHE_DIR": str(kernels)},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
