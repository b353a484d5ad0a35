"""Bias field correction against ANTs and ITK: ``python -m benchmarks.n4 [SCAN...] [--phantom NAME]...``.

The fields are compared first, then the times, the competitors taking turns. ANTs is called as SPINEPS 2.1.3
calls it (antspyx ``n4_bias_field_correction``), SimpleITK's filter with the same numbers. Each case is
measured anew and replaces its predecessor in the figures, so that they may be gathered in several calls.
The competitors are in the extra ``[bench]``.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.figures import circumstances, load, output, save
from benchmarks.n4_page import ALIKE
from benchmarks.n4_rivals import ants_field, itk_field
from spineps_rt.io import nifti
from spineps_rt.phantom import FAT_SAT, T1W, T2W, PhantomOptions, make_phantom
from spineps_rt.stages.n4.bias_field import correct_bias_field, mask_box, n4_bias_field
from spineps_rt.stages.preprocess import normalise
from spineps_rt.volume import Volume, bounding_box, crop

PHANTOMS = {
    "whole spine T2w": (
        PhantomOptions(levels=("C2", "L5"), spacing=(0.75, 0.75, 1.65), fov_mm=(179.25, 723.75, 112.2)),
        T2W,
    ),
    "lumbar T2w": (PhantomOptions(spacing=(0.9, 0.9, 4.0)), T2W),
    "lumbar T1w": (PhantomOptions(spacing=(0.6, 0.6, 3.3)), T1W),
    "cervical fat-saturated": (PhantomOptions(levels=("C2", "T2"), spacing=(0.7, 0.7, 3.0)), FAT_SAT),
}


@click.command()
@click.argument("scans", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--phantom", "phantoms", multiple=True, type=click.Choice(list(PHANTOMS)))
@click.option("--average", type=click.IntRange(min=1), default=1, help="Slices averaged into one.")
@click.option("--turn", type=int, help="Seed of a rotation by 2 to 15 degrees and a shift: an oblique scan.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--timed/--untimed", default=True, help="Compare fields and times, or fields only.")
@click.option("--itk/--no-itk", default=True, help="Run SimpleITK as well.")
@output("n4")
def main(**chosen: Any) -> None:
    """Compare bias fields and the time that they take."""
    cases = [(path.name, average(nifti.read_nifti(path), chosen["average"])) for path in chosen["scans"]]
    for name in chosen["phantoms"]:
        options, contrast = PHANTOMS[name]
        cases.append((f"phantom, {name}", make_phantom(options, seed=11, contrast=contrast).image))
    if chosen["turn"] is not None:
        cases = [(f"{name}, turned", turned(volume, chosen["turn"])) for name, volume in cases]
    for name, volume in cases:
        rivals = {"antspyx": ants_field} | ({"SimpleITK": itk_field} if chosen["itk"] else {})
        figures = measure(volume, rivals, chosen["repeats"], timed=chosen["timed"])
        click.echo(f"{name}: {figures}")
        document = {"cases": {}} | load(chosen["output"]) | circumstances("n4", "antspyx", "SimpleITK")
        document["cases"][name] = figures
        save(document, chosen["output"])


def average(volume: Volume, count: int) -> Volume:
    """Average ``count`` slices of the last axis into one, as a clinical protocol acquires them."""
    slices = volume.shape[2] // count
    array = volume.array[:, :, : slices * count].reshape(*volume.shape[:2], slices, count).mean(3)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (count - 1) / 2
    affine[:3, 2] *= count
    return Volume(np.ascontiguousarray(array, np.float32), affine)


def turned(volume: Volume, seed: int) -> Volume:
    """Place a scan obliquely, as technicians do: rotate its affine about any axis and shift it."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = np.deg2rad(rng.uniform(2, 15))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    place = np.eye(4)
    place[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    place[:3, 3] = rng.uniform(-100, 100, 3)
    return Volume(volume.array, place @ volume.affine)


def measure(
    volume: Volume, rivals: dict[str, Callable[..., np.ndarray]], repeats: int, *, timed: bool
) -> dict[str, Any]:
    """Compare fields and times on what the correction gets from the steps before it."""
    image = np.trunc(volume.array)
    normalise(image, whole=True)
    cropped = crop(volume.with_array(image), bounding_box(image))
    box = mask_box(cropped.array, 60.0)
    ours = n4_bias_field(cropped.array, affine=cropped.affine)
    seconds: dict[str, list[float]] = {"spineps-rt": [], **{name: [] for name in rivals}}
    fields: dict[str, np.ndarray] = {}
    for _ in range(repeats):
        for name, rival in rivals.items():
            begin = time.perf_counter()
            fields[name] = rival(cropped, box)
            seconds[name].append(time.perf_counter() - begin)
        copy = cropped.array.copy()
        begin = time.perf_counter()
        correct_bias_field(copy, affine=cropped.affine)
        seconds["spineps-rt"].append(time.perf_counter() - begin)
    answers = {name: _compare(cropped.array[box], ours[box], field[box]) for name, field in fields.items()}
    if answers["antspyx"]["rms"] > ALIKE:
        click.echo(f"the field differs from ANTs' by {answers['antspyx']['rms']:.2g}; no time is reported")
        timed = False
    return {
        "shape": list(cropped.shape),
        "spacing_mm": list(cropped.spacing),
        "field_sd": float(np.log(ours[box]).std()),
        "differences": answers,
        "working_memory_mb": round(_memory(cropped), 1),
        "image_mb": round(cropped.array.nbytes / 1e6, 1),
        "seconds": {name: [round(s, 4) for s in runs] for name, runs in seconds.items()} if timed else {},
    }


def _compare(image: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Differences of the log fields, and of the corrected images cut to whole numbers as SPINEPS does."""
    gap = np.log(ours.astype(np.float64)) - np.log(theirs.astype(np.float64))
    steps = np.abs(np.trunc(image / ours) - np.trunc(image / theirs))
    return {
        "rms": float(np.sqrt((gap**2).mean())),
        "largest": float(np.abs(gap).max()),
        "voxels_differing": float((steps > 0).mean()),
        "largest_step": float(steps.max()),
    }


def _memory(volume: Volume) -> float:
    """Most megabytes that the correction held at once beside the image."""
    copy = volume.array.copy()
    tracemalloc.start()
    correct_bias_field(copy, affine=volume.affine)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


if __name__ == "__main__":
    main()
