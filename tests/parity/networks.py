"""Exported models against SPINEPS itself: ``python -m tests.parity.networks --spineps PYTHON``.

SPINEPS makes model folders of every architecture that the export takes and segments a phantom with them
(tests/parity/spineps_networks.py). Each folder then goes through the export, and spineps-rt segments the same
phantom with what comes out: with the float32 graph, with its fp16 variant, and with what stands for that
variant on hardware that computes in float16 (export/graphs/emulated.py). Where fewer voxels than
:data:`LEAST` have SPINEPS's class, the exit code is 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import nibabel as nib
import numpy as np

from benchmarks.figures import circumstances, output, save
from spineps_rt.backends import open_engine
from spineps_rt.errors import ModelError
from spineps_rt.export.folder import read_folder, serialised, write_folder
from spineps_rt.export.graphs.emulated import emulated
from spineps_rt.export.graphs.graph import load_graph
from spineps_rt.export.model import export
from spineps_rt.export.variants import Wanted
from spineps_rt.inference.normalise import normalise
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.labels import CORPUS
from spineps_rt.models import load_model, select_variant
from spineps_rt.models.graphs import GRAPH
from spineps_rt.models.manifest import Model, SemanticModel
from spineps_rt.models.resolve import read_graph
from spineps_rt.options import AS_SPINEPS
from spineps_rt.phantom import PhantomOptions, make_phantom
from spineps_rt.scan import read_scan
from spineps_rt.volume import reorient, rescale
from tests.parity.architectures import CASES, CLASSES, CUTOUT, SPACING
from tests.parity.page import RESULTS

ROOT = Path(__file__).parents[2]
DEVICES = ("onnx", "openvino")
LEAST = {"fp32": 0.9999, "fp16": 0.999, "float16": 0.999}
"""Part of the voxels that must have the class that SPINEPS as it is published gives them, by graph: float32,
the fp16 variant, and the fp16 variant with every value that it holds in float16 rounded to that."""
MAPPING = {41: 1, 42: 2, 43: 3, 44: 4, 45: 5, 46: 6, 47: 7, 48: 8, 49: 9}
LEVELS = ("L1", "L5")
BODIES = (21, 22, 23)
"""L2 to L4: the vertebrae in the middle of the cutouts."""
SEED = 5
LEAST_CLASSES = 3
"""That a network must answer, beside the background."""


@click.command()
@click.option(
    "--spineps", required=True, metavar="PYTHON", help="Of an environment that holds SPINEPS 2.1.3."
)
@click.option(
    "--work", type=click.Path(path_type=Path), required=True, help="Folder; what is there is not made again."
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice([case.name for case in CASES]),
    help="Leave a model out.",
)
@output("networks", RESULTS)
def main(spineps: str, work: Path, without: tuple[str, ...], output: Path) -> None:
    """Compare every architecture with SPINEPS and write the figures as JSON."""
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "given.npz").exists():
        prepare(work)
    click.echo("SPINEPS makes its models and answers; this takes minutes.")
    chosen = [(number, case.name) for number, case in enumerate(CASES) if case.name not in without]
    words = [spineps, "-m", "tests.parity.spineps_networks", str(work), *(str(n) for n, _ in chosen)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise click.ClickException(f"SPINEPS failed:\n{done.stderr[-2000:]}")
    rows = [row for number, name in chosen for row in rows_of(work, number, name)]
    dull = {
        row["model"] for row in rows if row["compared"] == "published" and len(row["dice"]) < LEAST_CLASSES
    }
    if dull:
        raise click.ClickException(
            f"a network that answers next to nothing proves nothing: {', '.join(dull)}."
        )
    save({**circumstances("networks", "torch", "onnx"), "rows": rows}, output, page="tests.parity.page")
    missed = [row for row in rows if row["agreement"] < LEAST[row["graph"]]]
    for row in missed:
        click.echo(f"{row['model']}, {row['graph']}, {row['device']}: only {row['agreement']:.4%}")
    sys.exit(1 if missed else 0)


def prepare(folder: Path) -> None:
    """Write what both sides get: a scan, and what SPINEPS's networks are trained on."""
    scan = make_phantom(
        PhantomOptions(LEVELS, spacing=(1.6, 1.7, 3.3), orientation=("L", "A", "S")), seed=SEED
    )
    nib.save(nib.Nifti1Image(scan.image.array.astype(np.float32), scan.image.affine), folder / "scan.nii.gz")
    made = make_phantom(PhantomOptions(LEVELS, spacing=SPACING), seed=SEED)
    classes = np.zeros(256, np.uint8)
    classes[list(CLASSES.values())] = list(CLASSES)
    cutouts, truth = zip(*_cutouts(made.semantic.array, made.instance.array))
    np.savez_compressed(
        folder / "given.npz",
        image=normalise(made.image.array.transpose(2, 1, 0), "zscore"),
        classes=classes[made.semantic.array].transpose(2, 1, 0),
        cutouts=np.stack(cutouts),
        truth=np.stack(truth),
    )


def _cutouts(semantic: np.ndarray, instances: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Mapped labels around three vertebrae, and which vertebra is above, in the middle and below."""
    table = np.zeros(256, np.uint8)
    table[list(MAPPING)] = list(MAPPING.values())
    padded, labelled = (np.pad(a, [(n, n) for n in CUTOUT]) for a in (table[semantic], instances))
    for body in BODIES:
        centre = np.argwhere((instances == body) & (semantic == CORPUS)).mean(axis=0).astype(int)
        window = tuple(slice(c + n - n // 2, c + 2 * n - n // 2) for c, n in zip(centre, CUTOUT))
        place = labelled[window].astype(int) - body + 2
        yield padded[window], np.where((place > 0) & (place < 4), place, 0).astype(np.uint8)


def rows_of(folder: Path, number: int, name: str) -> list[dict[str, Any]]:
    """What :func:`compare` found, now or in a run before."""
    path = folder / f"rows-{number}.json"
    if not path.exists():
        rows = list(compare(folder, number, name))
        path.write_text(json.dumps(rows), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def compare(folder: Path, number: int, name: str) -> Iterator[dict[str, Any]]:
    """Export a model, answer with it, and compare with every answer of SPINEPS."""
    target = folder / f"exported-{number}"
    source = folder / f"model-{number}"
    refused = {}
    try:
        export(source, target, overwrite=True, wanted=Wanted(("fp16",)))
    except ModelError as error:  # not every network answers in float16 as it must
        refused = {"fp16_refused": str(error)}
        click.echo(f"{name}: {error}")
        export(source, target, overwrite=True)
    answers = dict(np.load(folder / f"answers-{number}.npz"))
    for graph, device, model in _ways(target):
        ours = _answer(model, folder, device)
        for kind, theirs in answers.items():
            blind = kind == "published" and "labels kept" in answers
            mine = _answer(model, folder, device, empty=True) if blind else ours
            row = {"model": name, "graph": graph, "device": device}
            row |= {"compared": "no labels" if blind else kind, "agreement": float((mine == theirs).mean())}
            row |= {"differ": int((mine != theirs).sum()), "voxels": theirs.size}
            row |= {"dice": _dice(mine, theirs), **refused}
            click.echo(row)
            yield row


def _ways(target: Path) -> Iterator[tuple[str, str, Model]]:
    """Graph, device, and the model to open there."""
    model = load_model(target)
    for device in DEVICES:
        yield "fp32", device, model
    if "fp16" not in model.variants:
        return
    half = select_variant(model, "fp16")
    for device in DEVICES:
        yield "fp16", device, half
    manifest, _ = read_folder(target)
    twin = target.with_name(f"{target.name}-float16")
    rounding = serialised(emulated(load_graph(read_graph(half))))
    write_folder(twin, {GRAPH: rounding}, manifest | {"variants": {}})
    yield "float16", DEVICES[0], load_model(twin)


def _answer(model: Model, folder: Path, device: str, *, empty: bool = False) -> np.ndarray:
    with open_engine(model, device=device) as engine:
        if isinstance(model, SemanticModel):
            scan = reorient(read_scan(folder / "scan.nii.gz")[0], model.orientation)
            image = rescale(scan, model.spacing or SPACING, labels=False).array
            return SemanticNetwork(engine).classify(image, AS_SPINEPS.semantic)[0]
        cutouts = np.load(folder / "given.npz")["cutouts"]
        shown = np.zeros_like(cutouts) if empty else cutouts
        order = [axis + 1 for axis in model.axis_order]
        answer = engine.infer(np.ascontiguousarray(shown.transpose(0, *order))[:, None])
        return answer.transpose(0, *(np.argsort(model.axis_order) + 1))


def _dice(one: np.ndarray, two: np.ndarray) -> dict[str, float]:
    """Dice of every class that either answer holds."""
    return {
        str(c): round(
            2 * float(((one == c) & (two == c)).sum()) / float((one == c).sum() + (two == c).sum()), 5
        )
        for c in np.union1d(one, two)
        if c
    }


if __name__ == "__main__":
    main()
