"""Verdicts against truth: how many bad results are told, how many good ones are doubted.

``python -m benchmarks.quality DATA CACHE --save`` judges what ``benchmarks.quality_runs`` kept and writes
``benchmarks/results/quality.json``; ``python -m benchmarks.quality_page`` makes tables of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.quality_runs import bring_back, scan_of
from benchmarks.quality_scans import Case, Truth, cases
from spineps_rt.errors import SpinepsError
from spineps_rt.inference.predictors import Predictors
from spineps_rt.labels import CORPUS, DISC, SACRUM_INSTANCE, VERTEBRAE
from spineps_rt.models import resolve_models
from spineps_rt.pipeline import Pipeline
from spineps_rt.results import Result
from training.evaluate import dice

RESULTS = Path(__file__).parent / "results" / "quality.json"
BAD_DICE = 0.7
"""A body or disc below is bad."""
WHOLE = 0.5
"""A drawn body or disc below this share of the median one is cut, or drawn in part: it is left out."""


@dataclass(frozen=True)
class Stored:
    """A network whose answers lie on the disk."""

    model: Any
    provider: str = "stored"


def stored_pipeline() -> Pipeline:
    """A pipeline that finishes what networks once answered."""
    models = resolve_models(None)
    return Pipeline(predictors=Predictors(Stored(models.semantic), Stored(models.instance)))  # type: ignore[arg-type]


def score(result: Result, truth: Truth) -> dict[str, Any]:
    """Worst Dice of a body or disc, whether the vertebrae are counted right, and whether that is bad."""
    found: dict[str, Any] = {}
    dices = []
    if truth.bodies is not None:
        body = np.where(result.semantic.array == CORPUS, result.instances.array, 0)
        dices += _dices(body, truth.bodies)
    if truth.discs is not None:
        dices += _dices(np.where(result.semantic.array == DISC, result.instances.array, 0), truth.discs)
    if dices:
        found["worst_dice"] = round(min(dices), 3)
    found["counted"] = _counted(result, truth)
    found["bad"] = bool(found.get("worst_dice", 1) < BAD_DICE or not found["counted"])
    return found


def _dices(labels: np.ndarray, truth: np.ndarray) -> list[float]:
    answer = []
    values, sizes = np.unique(truth[truth > 0], return_counts=True)
    for value in values[sizes >= WHOLE * np.median(sizes)] if len(values) else ():
        inside = np.bincount(labels[truth == value].ravel(), minlength=1)
        inside[0] = 0
        best = int(inside.argmax())
        answer.append(dice(labels == best, truth == value) if inside[best] else 0.0)
    return answer


def _counted(result: Result, truth: Truth) -> bool:
    """Whether the number fits, where one is known: vertebrae that the edge cuts may count or not."""
    if truth.vertebrae is None:
        return True
    present = [v for v in result.volumes if v in VERTEBRAE and v != SACRUM_INSTANCE]
    cut = {reason.label for reason in result.quality.reasons if reason.kind == "cut"}
    whole = sum(v not in cut for v in present)
    return whole <= int(truth.vertebrae) <= len(present)


def judge_case(case: Case, cache: Path, pipeline: Pipeline) -> dict[str, Any] | None:
    """Finish, judge and score one scan; None where it was not run."""
    damage = case.damage or ("contrast" if case.other_contrast else "")
    row: dict[str, Any] = {"group": case.group, "damage": damage, "held_out": case.held_out}
    if (refused := cache / f"{case.key}.error").exists():
        return row | {"verdict": "error", "bad": True, "reasons": [refused.read_text()]}
    path = cache / f"{case.key}.npz"
    if not path.exists():
        return None
    image, truth = scan_of(path.with_suffix(".scan.npz"))
    try:
        result = pipeline.finish(bring_back(path, image))
    except SpinepsError as error:
        return row | {"verdict": "error", "bad": True, "reasons": [f"{type(error).__name__}: {error}"]}
    row |= score(result, truth) | {"verdict": result.quality.verdict}
    row["reasons"] = [
        f"{r.verdict} {r.kind} at {r.place}: {r.value:.3g} ({r.expected})" for r in result.quality.alarms
    ]
    return row | {"seconds": round(result.seconds["quality"], 3)}


def rates(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Bad results that are told and good ones that are doubted, in both halves."""
    answer: dict[str, Any] = {}
    for half, held_out in (("tuning", False), ("held out", True)):
        some = [row for row in rows.values() if row["held_out"] == held_out]
        bad = [row for row in some if row["bad"]]
        good = [row for row in some if not row["bad"] and not row["damage"]]
        answer[half] = {
            "bad": len(bad),
            "bad_told": sum(row["verdict"] != "good" for row in bad),
            "bad_rejected": sum(row["verdict"] in ("reject", "error") for row in bad),
            "good": len(good),
            "good_doubted": sum(row["verdict"] != "good" for row in good),
            "good_rejected": sum(row["verdict"] == "reject" for row in good),
            "damaged_but_good": sum(bool(row["damage"]) and not row["bad"] for row in some),
        }
    return answer


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("cache", type=click.Path(exists=True, path_type=Path))
@click.option("--save/--no-save", default=False)
def main(data: Path, cache: Path, *, save: bool) -> None:
    """Judge everything in CACHE and print the rates and each scan's reasons."""
    pipeline, rows = stored_pipeline(), {}
    for case in sorted(cases(data), key=lambda case: case.key):
        if row := judge_case(case, cache, pipeline):
            rows[case.key] = row
            state = "BAD " if row["bad"] else "good"
            click.echo(
                f"{case.key:28} {state} {row.get('worst_dice', '-')!s:5} {row['verdict']:6} {row['reasons']}"
            )
    found = rates(rows)
    click.echo(json.dumps(found, indent=1))
    if save:
        known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        document = {"masks": known.get("masks", {})} | {
            "benchmark": "quality",
            "date": str(date.today()),
            "rates": found,
            "scans": rows,
        }
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
