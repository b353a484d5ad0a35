"""SPINEPS 2.1.3 on a real scan, its stages timed: ``python -m tests.parity.peer_stages OUT SCAN MASK MASK``.

Its two networks answer from masks, which may come from anywhere: label ids of SPINEPS on any grid. To be run
in an environment that holds SPINEPS (see tests.parity.record), as :mod:`benchmarks.stages` does.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import nibabel as nib
import numpy as np
import spineps.seg_run
from TPTBox import NII

from spineps_rt.labels import SACRUM_INSTANCE
from spineps_rt.timing import peak_bytes
from tests.parity.record import Instance, Semantic, oracles, run

TIMERS = (
    "preprocess_input",
    "predict_semantic_mask",
    "predict_instance_mask",
    "phase_postprocess_combined",
    "predict_centroids_from_both",
    "mri_snapshot",
)


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("scan", type=click.Path(exists=True, path_type=Path))
@click.argument("semantic", type=click.Path(exists=True, path_type=Path))
@click.argument("vertebrae", type=click.Path(exists=True, path_type=Path))
def main(out: Path, scan: Path, semantic: Path, vertebrae: Path) -> None:
    """Run SPINEPS on SCAN into OUT, N4 included, and write OUT/timing.json."""
    raw = out / "rawdata"
    raw.mkdir(parents=True)
    copy = raw / "sub-scan_T2w.nii.gz"
    shutil.copy(scan, copy)
    seconds: dict[str, Any] = {}
    for name in TIMERS:
        setattr(spineps.seg_run, name, _timed(getattr(spineps.seg_run, name), name, seconds))
    for network in (Semantic, Instance):
        network.run = _timed(network.run, "oracle", seconds)  # type: ignore[method-assign]
    networks = oracles(_mask(semantic), _mask(vertebrae, below=SACRUM_INSTANCE), out)
    begin = time.perf_counter()
    code = run(copy, networks, bias_field=True)
    seconds["total"] = time.perf_counter() - begin
    seconds["total_without_oracle"] = seconds["total"] - seconds["oracle"]
    peak = peak_bytes() / 1e9
    header = nib.load(scan).header  # type: ignore[attr-defined]
    place = {"shape": list(header.get_data_shape()), "zoom": [float(mm) for mm in header.get_zooms()]}
    networks[1].save()
    document = {**seconds, "peak_rss_gb": peak, **place, "err": str(code)}
    (out / "timing.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _timed(function: Callable[..., Any], name: str, seconds: dict[str, Any]) -> Callable[..., Any]:
    def timed(*arguments: Any, **words: Any) -> Any:
        begin = time.perf_counter()
        try:
            return function(*arguments, **words)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin

    return timed


def _mask(path: Path, below: int = 256) -> NII:
    """A mask, its labels from ``below`` on left out."""
    image = nib.load(path)  # type: ignore[attr-defined]
    array = np.asarray(image.dataobj)
    return NII(nib.Nifti1Image(np.where(array < below, array, 0).astype(np.uint16), image.affine), True)


if __name__ == "__main__":
    main()
