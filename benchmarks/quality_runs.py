"""Run the networks once over all scans and keep their raw answers, so that verdicts can be tuned offline.

``python -m benchmarks.quality_runs DATA CACHE`` goes on where it was stopped.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import click
import numpy as np

from benchmarks.quality_scans import Truth, cases, make
from spineps_rt.errors import SpinepsError
from spineps_rt.options import EngineOptions, Options
from spineps_rt.pipeline import Pipeline
from spineps_rt.quality.networks import MarginTable, NetworkEvidence, SeenTogether
from spineps_rt.results import Network, Predicted, Source
from spineps_rt.timing import Clock
from spineps_rt.volume import Volume


def keep(path: Path, predicted: Predicted) -> None:
    """Store a scan after the networks, its image left out."""
    margins = predicted.evidence.margins
    facts = {
        "warnings": predicted.warnings,
        "networks": [asdict(one) for one in predicted.networks],
        "vertebrae": [asdict(one) for one in predicted.evidence.vertebrae],
    }
    arrays = {f"mask{n}": mask.array for n, mask in enumerate(predicted.masks)}
    arrays |= {f"affine{n}": mask.affine for n, mask in enumerate(predicted.masks)}
    arrays |= {"labels": margins.labels, "table": margins.table, "to_row": margins.to_row} if margins else {}
    np.savez_compressed(path, facts=json.dumps(facts), **arrays)


def keep_scan(path: Path, image: Volume, truth: Truth) -> None:
    """Store a scan and its truth, because phantoms take long to make."""
    known = {name: value for name, value in vars(truth).items() if value is not None}
    np.savez(path, image=image.array, affine=image.affine, **known)


def scan_of(path: Path) -> tuple[Volume, Truth]:
    """Load what :func:`keep_scan` stored."""
    stored = np.load(path)
    known = {name: stored[name] for name in ("bodies", "discs", "vertebrae") if name in stored.files}
    return Volume(stored["image"], stored["affine"]), Truth(**known)


def bring_back(path: Path, image: Volume) -> Predicted:
    """Load what :func:`keep` stored."""
    stored = np.load(path)
    facts = json.loads(str(stored["facts"]))
    masks = [Volume(stored[f"mask{n}"], stored[f"affine{n}"]) for n in range(2)]
    seen = [SeenTogether(tuple(one["point"]), one["cutouts"], one["dice"]) for one in facts["vertebrae"]]
    margins = MarginTable(stored["labels"], stored["table"], stored["to_row"])
    return Predicted(
        image,
        Source("volume", None),
        Clock(None),
        masks,
        tuple(facts["warnings"]),
        tuple(Network(**one) for one in facts["networks"]),
        NetworkEvidence(margins, tuple(seen)),
    )


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("cache", type=click.Path(path_type=Path))
@click.option("--minutes", type=float, default=4, show_default=True, help="Stop after so long.")
def main(data: Path, cache: Path, minutes: float) -> None:
    """Run what is not there yet; exit code 3 where something is left."""
    begun = perf_counter()
    cache.mkdir(parents=True, exist_ok=True)
    with Pipeline(options=Options(engine=EngineOptions("cpu"), any_plane=True)) as pipeline:
        for case in cases(data):
            path = cache / f"{case.key}.npz"
            refused = path.with_suffix(".error")
            if path.exists() or refused.exists():
                continue
            if perf_counter() - begun > 60 * minutes:
                sys.exit(3)
            image, truth = make(case, data)
            keep_scan(path.with_suffix(".scan.npz"), image, truth)
            try:
                keep(path, pipeline.predict(pipeline.prepare(image)))
            except SpinepsError as error:
                refused.write_text(f"{type(error).__name__}: {error}")
            click.echo(f"{case.key} {perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
