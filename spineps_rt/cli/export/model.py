"""``spineps-rt export model``: a model folder of this runtime, with its variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spineps_rt.cli.options import overwrite


@click.command("model")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="MODEL_DIR",
    help="Folder for the model.",
)
@click.option(
    "--folds",
    type=click.Choice(["together", "in-turn"]),
    default="together",
    help="One graph of all folds [default], or a graph of each, run one after the other.",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp16", "bf16", "int8"]),
    multiple=True,
    help="Make a variant of this precision beside float32; may be repeated.",
)
@click.option(
    "--batch", type=click.IntRange(min=2), metavar="N", help="Make variants that take N samples at once too."
)
@click.option(
    "--scan",
    "scans",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="NIFTI",
    help="Try variants, and calibrate int8, on this scan beside a phantom; may be repeated.",
)
@overwrite
def export_model(
    *,
    source: Path,
    output: Path,
    folds: str,
    precisions: tuple[str, ...],
    batch: int | None,
    scans: tuple[Path, ...],
    overwrite: bool,
) -> None:
    """Turn a SPINEPS model into a model folder of this runtime, or add variants to one.

    SOURCE is a folder with inference_config.json and an nnU-Net v2 or an instance checkpoint of SPINEPS, or
    a zip file of one: this needs PyTorch (pip install 'spineps-rt[export]'), no GPU, and runs nothing that is
    in a checkpoint. Or SOURCE is a model folder or an embedded model's name, which needs no PyTorch.

    A graph is written only if it answers as float32 does; else nothing is.

    \b
    Examples:
      spineps-rt export model T2w_semantic.zip -o models/t2w --precision fp16
      spineps-rt export model t2w_semantic -o models/t2w --precision fp16 --batch 4 --scan real_T2w.nii.gz
    """
    if scans and not (precisions or batch):
        raise click.UsageError("--scan is what variants are tried on; give --precision or --batch too.")
    wanted = {"in_turn": folds == "in-turn", "precisions": precisions, "batch": batch or 1, "scans": scans}
    write_model_folder(source, output, overwrite=overwrite, **wanted)
    click.echo(output)


def write_model_folder(source: Path, output: Path, *, overwrite: bool = False, **wanted: Any) -> None:
    """Export a model and print what there is to tell of it.

    Args:
        source: Of the model.
        output: The model folder.
        overwrite: A model there may be replaced.
        wanted: Fields of ``export.variants.Wanted``.

    Raises:
        EngineError: What the export needs is not installed.
    """
    from spineps_rt.export.extra import export_extra  # noqa: PLC0415 (--help needs nothing)

    with export_extra():
        from spineps_rt.export.model import export  # noqa: PLC0415 (onnx)
        from spineps_rt.export.variants import Wanted  # noqa: PLC0415

    for line in export(source, output, overwrite=overwrite, wanted=Wanted(**wanted)):
        click.echo(line)
