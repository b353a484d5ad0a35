"""Label maps for the instance network from SPIDER: ``python -m training.derive --data FOLDER``.

The first network's own answers, so that the second learns its errors, with instances derived from the
experts' labels: bodies are separate components between discs; arches belong to the body that they grow from,
loose pieces to the body that they hang behind.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from scipy import ndimage

from spineps_rt import labels as L
from spineps_rt.backends import Engine, open_engine
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.models import resolve_models
from spineps_rt.options import AS_SPINEPS, SemanticOptions
from spineps_rt.stages.preprocess import preprocess
from spineps_rt.stages.semantic_cleaning import clean
from spineps_rt.volume import Volume, resample_to, rescale
from training import plans, spider
from training.evaluate import load

HANG_MM = 9.0
"""How much lower than its body's centre a spinous process lies in the lumbar spine."""
REACH_VOXELS = 4.0
"""The first network's bone this far from expert bone still belongs to its vertebra."""


def instances(codes: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Number the vertebrae of one patient.

    Args:
        codes: uint8 (P, I, R) from :func:`training.spider.encode`.
        spacing: mm along P, I, R.

    Returns:
        uint8 (P, I, R): the lowest body is 24 (L5), ids fall upwards; 0 elsewhere.
    """
    plain = codes & ~np.uint8(spider.RIM)
    body = plain == spider.CORPUS
    parts, count = ndimage.label(ndimage.binary_erosion(body, iterations=2))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    large = [k for k in range(1, count + 1) if sizes[k] > 0.25 * np.median(np.sort(sizes[1:])[-6:])]
    rows = {k: ndimage.center_of_mass(parts == k) for k in large}
    order = sorted(large, key=lambda k: rows[k][1], reverse=True)
    seeds = np.zeros(codes.shape, np.uint8)
    for n, k in enumerate(order):
        seeds[parts == k] = 24 - n
    bone = np.isin(plain, (spider.CORPUS, spider.VERTEBRA, spider.BEHIND))
    grown = _grow(seeds, bone)
    loose, count = ndimage.label(bone & (grown == 0))
    heights = np.array([rows[k][1] for k in order]) * spacing[1] + HANG_MM
    centres = ndimage.center_of_mass(loose > 0, loose, range(1, count + 1)) if count else []
    for k, centre in enumerate(centres, 1):
        grown[loose == k] = 24 - int(np.abs(heights - centre[1] * spacing[1]).argmin())
    return grown


def _grow(seeds: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """Grow the seeds through connected bone, one voxel at a time, first come first served."""
    answer = seeds.copy()
    while True:
        near = ndimage.grey_dilation(answer, footprint=ndimage.generate_binary_structure(3, 1))
        fresh = bone & (answer == 0) & (near > 0)
        if not fresh.any():
            return answer
        answer[fresh] = near[fresh]


def answer_of(engine: Engine, scan: Volume) -> Volume:
    """The cleaned semantic mask of a (P, I, R) scan at the model's spacing."""
    prepared = rescale(preprocess(scan), plans.SPACING, labels=False)
    mask, _ = SemanticNetwork(engine).classify(prepared.array, AS_SPINEPS.semantic)
    return prepared.with_array(clean(mask, spacing=prepared.spacing, options=SemanticOptions()))


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with spider/.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("training/work"), show_default=True)
@click.option("--threads", type=int, default=0)
def main(data: Path, work: Path, threads: int) -> None:
    """Write ``WORK/patients/*.npz``."""
    folder = work / "patients"
    folder.mkdir(parents=True, exist_ok=True)
    with open_engine(resolve_models().semantic, threads=threads) as engine:
        for path in sorted((data / "spider").glob("spider-*_T2w.nii.gz")):
            number = int(path.name.split("-")[1].split("_")[0])
            if number in spider.HELD_OUT:
                continue
            scan = load(path)
            mask = answer_of(engine, scan)
            experts = scan.with_array(instances(spider.load(data / "spider", number).codes, scan.spacing))
            truth = resample_to(experts, mask, labels=True).array
            distance, nearest = ndimage.distance_transform_edt(truth == 0, return_indices=True)
            bone = np.isin(mask.array, L.VERTEBRA_STRUCTURES) & (distance <= REACH_VOXELS)
            final = np.where(bone, truth[tuple(nearest)], 0).astype(np.uint8)
            np.savez_compressed(folder / f"{path.name[:-11]}.npz", semantic=mask.array, instance=final)
            click.echo(f"{path.name}: {len(np.unique(final)) - 1} vertebrae")


if __name__ == "__main__":
    main()
