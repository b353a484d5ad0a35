"""What the semantic network is shown, against SPINEPS: ``python -m tests.parity.preprocess SCAN...``.

Both read the same file. SPINEPS 2.1.3 runs its ``preprocess_input`` and what ``segment_scan`` does before the
network (orientation, resampling); spineps-rt runs its own. The arrays are compared voxel by voxel. To be run
in an environment that holds SPINEPS; each scan replaces its predecessor in the figures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.figures import circumstances, load, output, save
from spineps_rt.io import nifti
from spineps_rt.options import PreprocessOptions
from spineps_rt.stages.preprocess import preprocess, round_whole
from spineps_rt.volume import Volume, reorient, rescale
from tests.parity.page import RESULTS, STEPS

SPACING = (0.75, 0.75, 1.65)
"""Of SPINEPS's published semantic model."""
ORIENTATION = ("P", "I", "R")


@click.command()
@click.argument("scans", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--name", "names", multiple=True, help="Names of the scans in the table, in their order.")
@click.option("--bias-field/--no-bias-field", default=True, help="Compare with N4 as well.")
@output("preprocess", RESULTS)
def main(scans: tuple[Path, ...], names: tuple[str, ...], bias_field: bool, output: Path) -> None:
    """Compare what the network would see, without and with N4."""
    for number, scan in enumerate(scans):
        name = names[number] if number < len(names) else scan.name.split(".")[0]
        figures = measure(scan, [False, True] if bias_field else [False])
        click.echo(f"{name}: {json.dumps(figures)}")
        document = {"cases": {}} | load(output) | circumstances("preprocess", "SPINEPS", "TPTBox", "antspyx")
        document["cases"][name] = document["cases"].get(name, {}) | figures
        save(document, output, page="tests.parity.page")


def measure(scan: Path, bias_fields: list[bool]) -> dict[str, Any]:
    """Compare one scan before and after resampling.

    Args:
        scan: NIfTI file.
        bias_fields: Without N4, with it, or both.

    Returns:
        Shape, spacing and type of the scan, and the differences.
    """
    volume = nifti.read_nifti(scan)
    figures: dict[str, Any] = {
        "shape": list(volume.shape),
        "spacing_mm": [round(mm, 3) for mm in volume.spacing],
        "orientation": "".join(volume.orientation),
        "stored": str(volume.header.get_data_dtype()),
    }
    for bias_field in bias_fields:
        ours, theirs = _ours(volume, bias_field), _peer(scan, bias_field)
        steps = {step: compare(a, b) for step, a, b in zip(STEPS, ours, theirs)}
        figures["with N4" if bias_field else "without N4"] = steps
    return figures


def compare(ours: Volume, theirs: Volume) -> dict[str, Any]:
    """Differences of two volumes, in intensities.

    Args:
        ours: Of spineps-rt.
        theirs: Of SPINEPS.

    Returns:
        Whether the grids are the same (to 1e-4 mm), voxels, how many differ (by more than 1e-3), RMS and
        largest difference, and the largest intensity.
    """
    same = ours.shape == theirs.shape and bool(np.allclose(ours.affine, theirs.affine, atol=1e-4))
    if not same:
        raise click.ClickException(
            f"the grids differ: {ours.shape}, {ours.affine} and {theirs.shape}, {theirs.affine}"
        )
    gap = ours.array.astype(np.float64) - theirs.array.astype(np.float64)
    return {
        "voxels": gap.size,
        "differing": int((np.abs(gap) > 1e-3).sum()),
        "rms": float(np.sqrt((gap**2).mean())),
        "largest": float(np.abs(gap).max()),
        "by_more_than_1": int((np.abs(gap) > 1 + 1e-3).sum()),
        "highest": float(theirs.array.max()),
    }


def _ours(volume: Volume, bias_field: bool) -> list[Volume]:
    prepared = preprocess(volume, PreprocessOptions(bias_field=bias_field))
    resampled = rescale(reorient(prepared, ORIENTATION), SPACING, labels=False)
    round_whole(resampled)
    return [prepared, resampled]


def _peer(scan: Path, bias_field: bool) -> list[Volume]:
    """SPINEPS's own steps; SPINEPS prints as it works."""
    from spineps.phase_pre import preprocess_input  # noqa: PLC0415 - only this benchmark needs SPINEPS
    from TPTBox import to_nii  # noqa: PLC0415

    prepared, _ = preprocess_input(to_nii(scan, seg=False), {}, proc_do_n4_bias_correction=bias_field)
    resampled = prepared.reorient(ORIENTATION).rescale(SPACING, verbose=False)
    return [Volume(nii.get_array(), nii.affine) for nii in (prepared, resampled)]


if __name__ == "__main__":
    main()
