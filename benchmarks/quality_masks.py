"""Masks that were damaged on purpose: what is told of them.

``python -m benchmarks.quality_masks DATA CACHE`` adds the figures to ``benchmarks/results/quality.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.quality import RESULTS, stored_pipeline
from benchmarks.quality_runs import bring_back, scan_of
from benchmarks.quality_scans import cases
from spineps_rt.labels import CORPUS, DISC_OFFSET, ENDPLATE_OFFSET, SACRUM, SACRUM_INSTANCE
from spineps_rt.quality.judge import judge
from spineps_rt.quality.networks import NetworkEvidence
from spineps_rt.quality.verdict import GOOD
from spineps_rt.results import Result, place_names
from spineps_rt.volume import reorient

LOWEST, MIDDLE, NEXT = 24, 21, 22
"""L5, which a sacrum swallows; L2 and L3, which fuse."""
MASK_DAMAGES = ("L5 to the sacrum", "L5 but a fifth to the sacrum", "L2 and L3 fused", "L2 lost", "L2 halved",
                "L2 in two", "disc L2/L3 lost")  # fmt: skip


def spoilt(semantic: np.ndarray, instances: np.ndarray, damage: str) -> tuple[np.ndarray, np.ndarray]:
    """Do to the masks (P, I, R) of a lumbar spine what a network may do."""
    sem, inst = semantic.copy(), instances.copy()
    body = (inst == MIDDLE) & (sem == CORPUS)
    rows = np.flatnonzero(body.any(axis=(0, 2)))
    half = np.zeros(sem.shape, np.bool_)
    half[:, (rows[0] + rows[-1]) // 2 :] = True
    below = np.isin(inst, (DISC_OFFSET + MIDDLE, ENDPLATE_OFFSET + MIDDLE))
    if damage.startswith("L5"):
        gone = np.isin(inst, (LOWEST, DISC_OFFSET + LOWEST, ENDPLATE_OFFSET + LOWEST))
        if "fifth" in damage:
            depth = np.flatnonzero(((inst == LOWEST) & (sem == CORPUS)).any(axis=(0, 2)))
            gone[:, : depth[0] + len(depth) // 5] = False
        sem[gone], inst[gone] = SACRUM, SACRUM_INSTANCE
    elif damage == "L2 and L3 fused":
        sem[below], inst[below] = CORPUS, MIDDLE
        inst[inst == NEXT] = MIDDLE
        inst[inst == DISC_OFFSET + NEXT] = DISC_OFFSET + MIDDLE
    elif damage == "L2 lost":
        sem[inst == MIDDLE], inst[inst == MIDDLE] = 0, 0
    elif damage == "L2 halved":
        gone = body & half
        sem[gone], inst[gone] = 0, 0
    elif damage == "L2 in two":
        for v in range(2, MIDDLE + 1):  # the ones above make room
            inst[inst == v] = v - 1
        inst[(inst == MIDDLE - 1) & half] = MIDDLE
    elif damage == "disc L2/L3 lost":
        sem[below], inst[below] = 0, 0
    return sem, inst


def verdict_of(result: Result, damage: str) -> str:
    """What is said of a good result whose masks were spoilt; the networks' doubts are left out."""
    image, sem, inst = (reorient(v, "PIR") for v in (result.image, result.semantic, result.instances))
    masks = spoilt(sem.array, inst.array, damage)
    names = place_names(np.unique(masks[1]).tolist(), anatomical=True)
    return judge(image, masks, names=names, evidence=NetworkEvidence(None, ())).verdict


def complete(result: Result) -> bool:
    """Whether L1 to L5 with their discs and a sacrum are there, and nothing is doubted."""
    wanted = {SACRUM_INSTANCE, *(v + n for v in range(20, LOWEST + 1) for n in (0, DISC_OFFSET))}
    return wanted <= set(result.volumes) and result.quality.verdict == GOOD


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("cache", type=click.Path(exists=True, path_type=Path))
def main(data: Path, cache: Path) -> None:
    """Spoil the masks of every good lumbar result and count what is told."""
    pipeline = stored_pipeline()
    counts: dict[str, dict[str, Any]] = {
        damage: {"scans": 0, "check": 0, "reject": 0} for damage in MASK_DAMAGES
    }
    for case in sorted(cases(data), key=lambda case: case.key):
        path = cache / f"{case.key}.npz"
        if case.damage or case.other_contrast or not path.exists():
            continue
        image, _ = scan_of(path.with_suffix(".scan.npz"))
        result = pipeline.finish(bring_back(path, image))
        if not complete(result):
            continue
        for damage, count in counts.items():
            count["scans"] += 1
            if (verdict := verdict_of(result, damage)) != GOOD:
                count[verdict] += 1
    click.echo(json.dumps(counts, indent=1))
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    RESULTS.write_text(json.dumps(document | {"masks": counts}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
