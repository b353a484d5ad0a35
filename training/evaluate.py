"""Measure the embedded models: ``python -m training.evaluate --data FOLDER``.

SPIDER patients that training never saw, and scans of other hospitals, averaged to 4 mm slices. Every figure
comes from the runtime itself, files in and masks out, and lands in ``training/accuracy.json``.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import click
import nibabel as nib
import numpy as np

from spineps_rt import labels as L
from spineps_rt.options import EngineOptions, Options, PreprocessOptions
from spineps_rt.phantom import make_phantom, random_contrast, random_options
from spineps_rt.pipeline import Pipeline
from spineps_rt.results import Result
from spineps_rt.volume import Volume
from training import spider

RESULTS = Path("training/accuracy.json")
VERTEBRA = tuple(range(L.ARCUS, L.CORPUS + 1))
"""SPIDER's experts left the dark rim between body and disc unlabelled, so endplates count as neither."""
PHANTOM_SEEDS = range(4)
FOUND = 0.5
"""A labelled body counts as found when an instance of its own reaches this Dice."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two boolean masks; 1 when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def load(path: Path, *, average: int = 1) -> Volume:
    """Read a volume; average ``average`` slices into one, as a clinical protocol acquires them."""
    image = nib.load(path)
    array = np.asarray(image.dataobj, np.float32)
    slices = array.shape[2] // average
    array = array[:, :, : slices * average].reshape(*array.shape[:2], slices, average).mean(3)
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (average - 1) / 2
    affine[:3, 2] *= average
    return Volume(array, affine)


def label_slices(path: Path, average: int) -> np.ndarray:
    """Labels of averaged slices: the one that fills more than half of the slice's thickness."""
    truth = np.asarray(nib.load(path).dataobj).astype(np.int16)
    slices = truth.shape[2] // average
    thick = truth[:, :, : slices * average].reshape(*truth.shape[:2], slices, average)
    answer = np.zeros(thick.shape[:3], np.int16)
    for value in np.unique(truth)[1:]:
        answer[(thick == value).mean(3) > 0.5 - 1e-6] = value
    return answer


def score_spider(result: Result, truth: np.ndarray) -> dict[str, float]:
    """Dice of whole vertebra, disc, canal with cord, and canal within the rows where experts drew it."""
    semantic = result.semantic.array
    rows = np.flatnonzero((truth == 3).any((0, 2)))
    drawn = slice(rows[0], rows[-1] + 1)
    canal = np.isin(semantic, (L.CORD, L.CANAL))
    return {
        "vertebra": dice(np.isin(semantic, VERTEBRA), truth == 1),
        "disc": dice(semantic == L.DISC, truth == 2),
        "canal": dice(canal, truth == 3),
        "canal_drawn": dice(canal[:, drawn], truth[:, drawn] == 3),
    }


def score_bodies(result: Result, truth: np.ndarray) -> dict[str, Any]:
    """Dice per labelled body against class 49 of its best instance, and how many have one of their own."""
    body = np.where(result.semantic.array == L.CORPUS, result.instances.array, 0)
    pairs = {}
    for value in np.unique(truth)[1:]:
        inside = np.bincount(body[truth == value].ravel(), minlength=1)
        inside[0] = 0
        best = int(inside.argmax()) if inside.any() else -1
        pairs[int(value)] = (best, dice(body == best, truth == value) if best > 0 else 0.0)
    owners = [best for best, score in pairs.values() if score >= FOUND]
    return {
        "body": float(np.mean([score for _, score in pairs.values()])),
        "per_body": {str(k): round(s, 4) for k, (_, s) in pairs.items()},
        "labelled": len(pairs),
        "found": len(set(owners)),
        "covered": float(np.isin(result.semantic.array, VERTEBRA)[truth > 0].mean()),
    }


def without_lowest(truth: np.ndarray) -> np.ndarray:
    """Leave out the lowest labelled body: in VB1 it is S1, which is part of the sacrum here."""
    rows = {int(v): np.argwhere(truth == v)[:, 1].mean() for v in np.unique(truth)[1:]}
    return np.where(truth == max(rows, key=rows.__getitem__), 0, truth)


def score_discs(result: Result, truth: np.ndarray) -> dict[str, float]:
    """Dice of the discs within the range of rows that holds labelled ones."""
    predicted = result.semantic.array == L.DISC
    rows = np.flatnonzero((truth > 0).any((0, 2)))
    band = slice(rows[0], rows[-1] + 1)
    return {"disc": dice(predicted[:, band], truth[:, band] > 0)}


def phantoms(pipeline: Pipeline) -> dict[str, float]:
    """Mean Dice per structure on phantoms of seeds that training never drew."""
    scores: dict[str, list[float]] = {}
    for seed in PHANTOM_SEEDS:
        rng = np.random.default_rng((424242, seed))
        options = random_options(rng, region=("lumbar", "thoracic", "cervical", "whole")[seed % 4])
        made = make_phantom(options, seed=90000 + seed, contrast=random_contrast(rng))
        answer = pipeline.run(made.image).semantic.array.copy()
        answer[np.isin(answer, (L.ENDPLATE_SUPERIOR, L.ENDPLATE_INFERIOR))] = L.ENDPLATE
        for label, structure in L.STRUCTURES.items():
            if (made.semantic.array == label).sum() > 50:
                hit = dice(answer == label, made.semantic.array == label)
                scores.setdefault(structure.name, []).append(hit)
    return {name: round(float(np.mean(found)), 4) for name, found in scores.items()}


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with spider/ and real/.")
@click.option("--only", default="", help="Measure scans whose name starts so; keep the other figures.")
@click.option("--model", type=click.Path(path_type=Path), help="Model folder; the embedded ones otherwise.")
@click.option("--average", type=int, default=1, show_default=True, help="SPIDER slices averaged into one.")
@click.option("--threads", type=int, default=0)
@click.option("--bias-field/--no-bias-field", default=PreprocessOptions.bias_field, show_default=True)
@click.option("--save/--no-save", default=True, show_default=True)
def main(
    data: Path, only: str, model: Path | None, average: int, threads: int, *, bias_field: bool, save: bool
) -> None:
    """Run every scan and print mean figures per set."""
    known = json.loads(RESULTS.read_text()) if only and RESULTS.exists() else {}
    rows: dict[str, dict[str, Any]] = known.get("scans", {})
    options = Options(
        preprocess=PreprocessOptions(bias_field=bias_field),
        engine=EngineOptions(threads=threads),
        any_plane=True,
    )
    with Pipeline(model, options=options) as pipeline:
        for number in spider.HELD_OUT:
            name = f"spider-{number}"
            if name.startswith(only):
                result = pipeline.run(load(data / "spider" / f"{name}_T2w.nii.gz", average=average))
                truth = label_slices(data / "spider" / f"{name}_label.nii.gz", average)
                rows[name] = _report(name, result, score_spider(result, truth))
        for path in sorted((data / "real").glob("*_label.nii.gz")):
            name = path.name.removesuffix("_label.nii.gz")
            if name.startswith(only):
                scan = next(path.parent.glob(f"{name}_[TM]*.nii.gz"))
                result = pipeline.run(load(scan, average=4))
                truth = label_slices(path, 4)
                truth = without_lowest(truth) if name.startswith("VB1") else truth
                score = score_discs if name.startswith("IVD") else score_bodies
                rows[name] = _report(name, result, score(result, truth))
        phantom = known.get("phantom", {}) if only else phantoms(pipeline)
    summary = _summary(rows)
    click.echo(json.dumps({**summary, "phantom": phantom}, indent=1))
    if save:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        found = {"date": str(date.today()), "summary": summary, "phantom": phantom, "scans": rows}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def _report(name: str, result: Result, score: dict[str, Any]) -> dict[str, Any]:
    row = {
        **score,
        "vertebrae": list(result.vertebrae),
        "seconds": round(sum(s.seconds for s in result.stages), 2),
    }
    click.echo(f"{name}: {row}")
    return row


def _summary(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    sets: dict[str, list[dict[str, Any]]] = {}
    for name, row in rows.items():
        sets.setdefault(name.split("-")[0], []).append(row)
    keys = ("vertebra", "disc", "canal", "canal_drawn", "body", "found", "labelled", "covered", "seconds")
    return {
        group: {"scans": len(found)}
        | {k: round(float(np.mean([r[k] for r in found])), 4) for k in keys if k in found[0]}
        for group, found in sets.items()
    }


if __name__ == "__main__":
    main()
