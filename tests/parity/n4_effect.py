"""What the last differences of N4 do to the final masks: ``python -m tests.parity.n4_effect SCAN``.

The bias fields of SPINEPS and of spineps-rt agree closely but not to the last bit: a few voxels differ by one
grey level once they are whole numbers. Every image below goes through the same networks, those of spineps-rt
with SPINEPS's rules, in float32, and the final masks are compared: the image that spineps-rt makes, the same
with as many voxels changed by one grey level at random, and the images that SPINEPS makes with all threads
and with one. SPINEPS's own masks of the latter two are compared as well.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.figures import circumstances, output, save
from benchmarks.versus_scan import CHECKPOINTS, ROOT, compare, masks
from spineps_rt.io.nifti import read_nifti
from spineps_rt.options import AS_SPINEPS, EngineOptions, PreprocessOptions
from spineps_rt.pipeline import Pipeline
from spineps_rt.scan import read_scan
from spineps_rt.stages.preprocess import preprocess
from spineps_rt.volume import Volume
from tests.parity.page import RESULTS

THREADS = {"SPINEPS": "", "SPINEPS, one thread": "1"}
"""Run -> threads that its N4 may take; none named takes all."""
SHARE = 0.003
"""Of the voxels with signal: what is changed in the second of the random images."""
OURS, THEIRS, AGAIN = "spineps-rt", *THREADS
RANDOM, MORE = "as many voxels changed", f"{SHARE:.1%} changed"
SHOWN = {name: f"{name}'s image" for name in (OURS, *THREADS)} | {
    name: f"{OURS}'s image, {name}" for name in (RANDOM, MORE)
}
"""Image -> the name of the masks that spineps-rt's networks make of it."""
PAIRS = {
    "random": (SHOWN[OURS], SHOWN[RANDOM]),
    "share": (SHOWN[OURS], SHOWN[MORE]),
    "images": (SHOWN[OURS], SHOWN[THEIRS]),
    "images, one thread": (SHOWN[OURS], SHOWN[AGAIN]),
    "runs": (SHOWN[OURS], THEIRS),
    "same image": (THEIRS, SHOWN[THEIRS]),
    "same image, one thread": (AGAIN, SHOWN[AGAIN]),
    "threads": (THEIRS, AGAIN),
}
"""What is compared: the networks' sensitivity, then spineps-rt with SPINEPS, and SPINEPS with itself."""


@click.command()
@click.argument("scan", type=click.Path(exists=True, path_type=Path))
@click.option("--spineps", required=True, metavar="PYTHON", help="Of an environment with SPINEPS 2.1.3.")
@click.option("--seed", default=0, show_default=True, help="Of the random changes.")
@output("n4_effect", RESULTS)
def main(scan: Path, spineps: str, seed: int, output: Path) -> None:
    """Compare the masks of SCAN, which is stored in whole numbers, and write the figures as JSON."""
    volume, _ = read_scan(scan)
    images = {OURS: corrected(volume)}
    found: dict[str, dict[str, np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as name:
        for run, threads in THREADS.items():
            folder = Path(name) / run
            _spineps(spineps, scan, folder, threads)
            images[run], found[run] = _unpadded(read_nifti(folder / "prepared.nii.gz"), volume), masks(folder)
    images |= _disturbed(images, np.random.default_rng(seed))
    found |= _segmented(images)
    document = {
        **circumstances("n4_effect"),
        "scan": {"name": scan.name, "shape": list(volume.shape), "highest": float(images[OURS].array.max())},
        "rows": _rows(images, found),
    }
    save(document, output, page="tests.parity.page")


def corrected(volume: Volume) -> Volume:
    """Correct a scan as the pipeline does before the networks; the margin is left out."""
    return preprocess(volume, replace(AS_SPINEPS.preprocess, pad=0))


def disturb(image: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Change ``count`` voxels with signal by one grey level, up or down at random.

    Args:
        image: Whole numbers, none negative, any type.
        count: Voxels; at most those above zero.
        generator: Chooses them.

    Returns:
        A new image.
    """
    result = image.copy()
    chosen = generator.choice(np.flatnonzero(image), count, replace=False)
    result.flat[chosen] += generator.choice((-1, 1), count).astype(image.dtype)
    return result


def _spineps(python: str, scan: Path, folder: Path, threads: str) -> None:
    words = [python, "-m", "benchmarks.spineps_scan", CHECKPOINTS, scan.resolve(), folder, "--prepared"]
    chosen = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": threads} if threads else {}
    done = subprocess.run(
        [str(word) for word in words],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | chosen,
    )
    if done.returncode:
        raise click.ClickException(f"SPINEPS failed:\n{done.stdout[-500:]}{done.stderr[-1500:]}")


def _unpadded(prepared: Volume, scan: Volume) -> Volume:
    """The part of SPINEPS's image that is the scan; the margin is nothing, and the pipeline adds its own."""
    margins = [(n - m) // 2 for n, m in zip(prepared.shape, scan.shape)]
    inner = tuple(slice(a, n - a) for a, n in zip(margins, prepared.shape))
    if int((prepared.array != 0).sum()) != int((prepared.array[inner] != 0).sum()):
        raise click.ClickException("the margin of SPINEPS's image is not empty.")
    return scan.with_array(np.ascontiguousarray(prepared.array[inner]))


def _disturbed(images: dict[str, Volume], generator: np.random.Generator) -> dict[str, Volume]:
    own = images[OURS]
    counts = {
        RANDOM: int((own.array != images[THEIRS].array).sum()),
        MORE: round(SHARE * np.count_nonzero(own.array)),
    }
    return {name: own.with_array(disturb(own.array, n, generator)) for name, n in counts.items()}


def _segmented(images: dict[str, Volume]) -> dict[str, dict[str, np.ndarray]]:
    """Final masks of every image; they are corrected already, so that N4 is off."""
    options = replace(
        AS_SPINEPS,
        preprocess=PreprocessOptions(bias_field=False),
        engine=EngineOptions("openvino"),
        any_plane=True,
    )
    found = {}
    with Pipeline(options=options) as pipeline:
        for name, image in images.items():
            result = pipeline.run(image)
            found[SHOWN[name]] = {"spine": result.semantic.array, "vert": result.instances.array}
            click.echo(f"{SHOWN[name]}: segmented")
    return found


def _rows(images: dict[str, Volume], found: dict[str, dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Differences of both images and of both masks, for every pair."""
    image_of = {shown: images[name] for name, shown in SHOWN.items()} | {run: images[run] for run in THREADS}
    rows = []
    for what, (one, two) in PAIRS.items():
        gap = image_of[one].array.astype(np.float64) - image_of[two].array
        differences = {
            "voxels": int(np.count_nonzero(images[OURS].array)),
            "differ": int(np.count_nonzero(gap)),
            "largest": float(np.abs(gap).max()),
            "brighter": int((gap > 0).sum()),
        }
        row = {"what": what, "between": [one, two], "image": differences}
        rows.append(row | compare(found[one], found[two]))
    return rows


if __name__ == "__main__":
    main()
