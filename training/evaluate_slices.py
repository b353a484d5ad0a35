"""Measure on middle slices kept out: ``python -m training.evaluate_slices --data FOLDER --model NAME``.

Each picture is repeated to a slab and goes through the runtime, as a scan would. Vertebrae and discs are
counted against what experts counted in that series; sacrum and cord are measured against what was drawn.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from spineps_rt import labels as L
from spineps_rt.errors import NoSpineError
from spineps_rt.options import EngineOptions, Options
from spineps_rt.pipeline import Pipeline
from spineps_rt.results import Result
from spineps_rt.volume import Volume
from training import annotations, slices
from training.annotations import Annotation
from training.evaluate import dice

SLICES = 5
"""Of a slab."""


def slab(picture: slices.Picture) -> Volume:
    """The picture repeated: float32 (P, I, R), head up, its middle slice in the middle."""
    array = np.repeat(picture.image.T[:, :, None], SLICES, 2)
    # world axes are R, A, S; the array runs to P, I and R, so that its third axis points to +x
    affine = np.zeros((4, 4))
    affine[1, 0], affine[2, 1], affine[0, 2], affine[3, 3] = -slices.MM, -slices.MM, picture.thickness, 1
    return Volume(array, affine)


def score(result: Result, picture: slices.Picture) -> dict[str, Any]:
    """Counts of vertebrae and discs, and Dice of what was drawn, on the slab's middle slice."""
    semantic = result.semantic.array[:, :, SLICES // 2].T
    present = np.unique(result.instances.array)
    row: dict[str, Any] = {
        "vertebrae": len(set(result.vertebrae) - {L.VERTEBRAE[L.SACRUM_INSTANCE]}),
        "discs": int(((present > L.DISC_OFFSET) & (present < L.ENDPLATE_OFFSET)).sum()),
        "counted": [picture.vertebrae, picture.discs],
    }
    return row | ({} if picture.drawn is None else _drawn(semantic, picture.drawn))


def _drawn(semantic: np.ndarray, drawn: Annotation) -> dict[str, float]:
    labels = slices.drawn_labels(drawn, semantic.shape)
    certain = labels != annotations.UNKNOWN
    row = {}
    for name, label in (("sacrum", L.SACRUM), ("cord", L.CORD)):
        if name in drawn.complete and (labels == label).any():
            row[name] = round(dice((semantic == label) & certain, labels == label), 4)
    return row


def kept_out(folder: Path) -> list[slices.Picture]:
    """Pictures that never trained, of a plausible size, in the order of their numbers."""
    drawn = {found.image: found for found in annotations.load()}
    with (folder / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if slices.kept_out(int(row["file"].split("_")[0]))]
    found = [slices.read(folder, row, drawn.get(row["file"])) for row in rows]
    return sorted((p for p in found if slices.plausible(p)), key=lambda picture: picture.number)


def summary(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Shares of right counts and mean Dice."""
    found: dict[str, Any] = {"slices": len(rows)}
    for n, key in enumerate(("vertebrae", "discs")):
        gaps = [abs(row[key] - row["counted"][n]) for row in rows.values()]
        found[key] = {"right": sum(g == 0 for g in gaps), "one_off": sum(g == 1 for g in gaps)}
    for key in ("sacrum", "cord"):
        scores = [row[key] for row in rows.values() if key in row]
        if scores:
            found[key] = {"slices": len(scores), "dice": round(float(np.mean(scores)), 4)}
    return found


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with spider_mid/.")
@click.option("--model", help="Model or models as spineps-rt takes them; the embedded ones otherwise.")
@click.option("--every", type=int, default=1, show_default=True, help="Measure every n-th picture.")
@click.option("--threads", type=int, default=0)
@click.option("--output", type=click.Path(path_type=Path), help="JSON file.")
def main(data: Path, model: str | None, every: int, threads: int, output: Path | None) -> None:
    """Run every slice kept out and print counts and Dice."""
    rows: dict[str, dict[str, Any]] = {}
    options = Options(engine=EngineOptions(threads=threads), any_plane=True)
    with Pipeline(model, options=options) as pipeline:
        for picture in kept_out(data / "spider_mid")[::every]:
            try:
                row = score(pipeline.run(slab(picture)), picture)
            except NoSpineError:
                row = {"vertebrae": 0, "discs": 0, "counted": [picture.vertebrae, picture.discs]}
            rows[str(picture.number)] = row
            click.echo(f"{picture.number}: {row}")
    found = summary(rows)
    click.echo(json.dumps(found))
    if output is not None:
        output.write_text(json.dumps({"model": model, **found, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
