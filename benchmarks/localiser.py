"""Tiles that the localiser saves: every tile against chosen ones, and a coarse pass as its rival.

``python -m benchmarks.localiser CASE... [--data FOLDER]`` adds cases to results/localiser.json, so that few
can be timed alone; without a name all run. Both runs see one prepared volume; the spine is what
cleaning leaves of the full run's answer, of a phantom what of that is truly there. The coarse pass shows the
same network the volume at twice its spacing in plane; it would run the tiles that come within a sixteenth of
a patch of what it finds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.figures import RESULTS as FOLDER
from benchmarks.figures import circumstances, save
from benchmarks.figures import load as read
from spineps_rt.errors import NoSpineError
from spineps_rt.inference.predictors import SemanticPredictor
from spineps_rt.inference.tiling import plan_tiles
from spineps_rt.options import Options, SemanticOptions
from spineps_rt.phantom import PhantomOptions, Variants, make_phantom
from spineps_rt.pipeline import Pipeline
from spineps_rt.stages.semantic_cleaning import clean
from spineps_rt.volume import Volume, bounding_box, resample_to, rescale
from training.evaluate import load

RESULTS = FOLDER / "localiser.json"
REAL = {
    "VB2-02": "real/VB2-02_T2w",
    "VB2-09": "real/VB2-09_T2w",
    "IVD-11": "real/IVD-11_T2w",
    "VB1-03": "real/VB1-03_MR",
    "SPIDER-18": "spider/spider-18_T2w",
    "lumbar": "other/t2_lumbar",
}
"""Case -> file; those in ``real`` are averaged to 4 mm slices."""
WIDE = (300.0, 0.0, 70.0)
ORIENTATIONS = ("PIR", "LAS", "RSA", "SLP")
PHANTOMS = {
    **{f"phantom {axes}": PhantomOptions(fov_mm=WIDE, orientation=tuple(axes)) for axes in ORIENTATIONS},  # type: ignore[arg-type]
    "in front": PhantomOptions(fov_mm=WIDE, offset_mm=(110.0, 0.0, 0.0)),
    "at the back": PhantomOptions(fov_mm=WIDE, offset_mm=(-110.0, 0.0, 0.0)),
    "cut off sideways": PhantomOptions(fov_mm=WIDE, offset_mm=(0.0, 0.0, 40.0)),
    "cut off in front of the canal": PhantomOptions(fov_mm=WIDE, offset_mm=(-150.0, 0.0, 0.0)),
    "curved": PhantomOptions(
        fov_mm=(300.0, 0.0, 85.0), variants=Variants(scoliosis_deg=30.0, curvature=1.8, tilt_deg=20.0)
    ),
    "one vertebra": PhantomOptions(levels=("L3", "L3"), fov_mm=WIDE, margin_mm=(-5.0, -5.0)),
    "one vertebra, tall": PhantomOptions(levels=("L5", "L5"), fov_mm=WIDE, margin_mm=(0.0, 200.0)),
}


def measure(pipeline: Pipeline, scan: Volume, truth: Volume | None) -> dict[str, Any]:
    """Run all tiles, chosen tiles and a coarse pass over one scan; of a phantom the truth is known."""
    ready = pipeline.prepare(scan)
    prepared, box = ready.network_input[0], ready.box
    image = prepared.array[box].copy()
    network = pipeline.predictors.semantic
    full, all_tiles = _timed(network, image, localize=False)
    some, chosen = _timed(network, image, localize=True)
    try:
        spine = clean(full, spacing=prepared.spacing)
        kept = clean(some, spacing=prepared.spacing)
    except NoSpineError:
        spine, kept = full, some
    if truth:
        spine = np.where(resample_to(truth, prepared, labels=True).array[box] > 0, spine, 0)
        kept = np.where(spine > 0, kept, 0)
    inside = spine > 0
    return {
        "shape": list(image.shape),
        "full": all_tiles,
        "localized": chosen,
        "spine_voxels": int(inside.sum()),
        "spine_differs": int((some != full)[inside].sum()),
        "cleaned_differs": int((kept != spine).sum()),
        "lost_outside": int(((full != some) & ~inside).sum()),
        "coarse": _coarse(network, Volume(image, prepared.affine), spine),
    }


def _timed(
    network: SemanticPredictor, image: np.ndarray, *, localize: bool
) -> tuple[np.ndarray, dict[str, Any]]:
    answer, ran = network.classify(image, SemanticOptions(localize=localize))
    return answer, {"tiles": ran.samples, "seconds": round(ran.seconds, 2)}


def _coarse(network: SemanticPredictor, image: Volume, spine: np.ndarray) -> dict[str, Any]:
    spacing = tuple(mm * (1 if axis == "R" else 2) for axis, mm in zip(image.orientation, image.spacing))
    small = rescale(image, spacing, labels=False)
    answer, ran = network.classify(small.array, SemanticOptions(localize=False))
    found = answer > 0
    places = [np.minimum(np.arange(n) * m // n, m - 1) for n, m in zip(image.shape, found.shape)]
    found = found[np.ix_(*places)]
    order, signal = network.model.axis_order, bounding_box(np.abs(image.array) > 0)
    found, truth = (mask[signal].transpose(order) for mask in (found, spine > 0))
    plan = plan_tiles(found.shape, network.model.patch, network.model.step)
    covered, tiles = np.zeros(found.shape, bool), 0
    for tile in plan.tiles:
        starts = [first - low for first, (low, _) in zip(tile, plan.padding)]
        ends = list(zip(starts, plan.patch))
        near = tuple(slice(max(s - n // 16, 0), s + n + n // 16) for s, n in ends)
        if found[near].any():
            tiles += 1
            covered[tuple(slice(max(s, 0), s + n) for s, n in ends)] = True
    return {
        "tiles": ran.samples,
        "chosen": tiles,
        "recall": round(float((found & truth).sum() / max(truth.sum(), 1)), 4),
        "lost": int((truth & ~covered).sum()),
    }


@click.command()
@click.argument("cases", nargs=-1, metavar="CASE...")
@click.option("--data", type=click.Path(path_type=Path), required=True)
def main(cases: tuple[str, ...], data: Path) -> None:
    """Measure cases and add them to the results."""
    document = {"cases": {}} | read(RESULTS) | circumstances("localiser")
    with Pipeline(options=Options(any_plane=True)) as pipeline:
        for name in cases or (*REAL, *PHANTOMS):
            if name in REAL:
                scan = load(data / f"{REAL[name]}.nii.gz", average=4 if REAL[name].startswith("real") else 1)
                truth = None
            else:
                phantom = make_phantom(PHANTOMS[name], seed=7)
                scan, truth = phantom.image, phantom.semantic
            document["cases"][name] = {
                "real": name in REAL,
                **measure(pipeline, scan, truth),
            }
            click.echo(f"{name}: {document['cases'][name]}")
            save(document | {"provider": pipeline.provider}, RESULTS)


if __name__ == "__main__":
    main()
