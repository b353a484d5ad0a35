"""One scan through SPINEPS 2.1.3 on the CPU, with models of given folders; run by SPINEPS's Python.

``benchmarks.versus_scan`` starts it: ``PYTHON -m benchmarks.spineps_scan MODELS SCAN OUT``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click
from spineps import seg_run
from spineps.get_models import get_actual_model
from TPTBox import BIDS_FILE

from benchmarks.figures import cost


def sum_in_float32(predictor: Any) -> None:
    """Let the predictor of SPINEPS's nnU-Net sum tiles in float32, where it sums in float16."""
    allocate = predictor._allocate

    def wide(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        *tensors, device = allocate(*args, **kwargs)
        return (*(tensor.float() for tensor in tensors), device)

    predictor._allocate = wide


def keep_prepared(file: Path) -> None:
    """Let SPINEPS write the image that its N4 and its scaling made, margin included, before it goes on."""
    prepare = seg_run.preprocess_input

    def kept(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        image, code = prepare(*args, **kwargs)
        image.save(file)
        return image, code

    seg_run.preprocess_input = kept


@click.command()
@click.argument("models", type=click.Path(exists=True, path_type=Path))
@click.argument("scan", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--bias-field/--no-bias-field", default=True)
@click.option("--float32-sums", is_flag=True)
@click.option("--prepared", is_flag=True, help="Write OUT/prepared.nii.gz, the image before the networks.")
def main(
    models: Path, scan: Path, out: Path, *, bias_field: bool, float32_sums: bool, prepared: bool
) -> None:
    """Segment SCAN with MODELS/semantic and MODELS/instance; masks and cost.json go to OUT."""
    networks = [get_actual_model(models / kind, use_cpu=True).load() for kind in ("semantic", "instance")]
    if float32_sums:
        sum_in_float32(networks[0].predictor)
    out.mkdir(parents=True)
    if prepared:
        keep_prepared(out / "prepared.nii.gz")
    copied = shutil.copy(scan, out / scan.name)
    paths, code = seg_run.segment_image(
        BIDS_FILE(copied, out),
        *networks,
        proc_sem_n4_bias_correction=bias_field,
        ignore_compatibility_issues=True,
    )
    spent = cost()
    if not paths["out_vert"].exists():
        raise click.ClickException(f"SPINEPS says {code}.")
    for name in ("spine", "vert"):
        shutil.copy(paths[f"out_{name}"], out / f"{name}.nii.gz")
    (out / "cost.json").write_text(json.dumps(spent))


if __name__ == "__main__":
    main()
