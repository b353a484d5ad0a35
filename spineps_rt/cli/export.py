"""``spineps-rt export``: models of SPINEPS for this runtime, in several precisions and batches."""

from __future__ import annotations

from pathlib import Path

import click

from spineps_rt.cli.options import overwrite


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="MODEL_DIR")
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp16", "int8"]),
    multiple=True,
    help="Make a variant of this precision too; may be given twice.",
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
    help="Try, and calibrate int8, on this scan beside a phantom; may be repeated.",
)
@click.option("--verify", "verified", metavar="NAME|MODEL_DIR", help="Compare engines on a model instead.")
@overwrite
def export(
    *,
    source: Path | None,
    output: Path | None,
    precisions: tuple[str, ...],
    batch: int | None,
    scans: tuple[Path, ...],
    verified: str | None,
    overwrite: bool,
) -> None:
    """Turn a SPINEPS model into a model folder of this runtime, or add variants to one.

    SOURCE is a folder with inference_config.json and an nnU-Net v2 or an instance checkpoint of SPINEPS, or
    a zip file of one: this needs PyTorch (pip install 'spineps-rt[export]'), no GPU, and runs nothing that is
    in a checkpoint. Or SOURCE is a model folder or an embedded model's name, which needs no PyTorch.

    A graph is written only if it answers as float32 does; else nothing is.

    \b
    Examples:
      spineps-rt export T2w_semantic.zip -o models/t2w --precision fp16
      spineps-rt export t2w_semantic -o models/t2w --precision fp16 --batch 4 --scan real_T2w.nii.gz
      spineps-rt export --verify models/t2w
    """
    if (verified is None) == (source is None) or (source is None) != (output is None):
        raise click.UsageError("Give SOURCE and -o MODEL_DIR, or --verify MODEL_DIR.")
    if verified is not None and (precisions or batch):
        raise click.UsageError("--verify makes nothing; leave --precision and --batch out.")
    if verified is not None:
        _print_verified(verified, scans)
        return
    if source is not None and output is not None:
        export_model(source, output, overwrite=overwrite, precisions=precisions, batch=batch, scans=scans)
        click.echo(output)


def export_model(
    source: Path,
    output: Path,
    *,
    overwrite: bool = False,
    precisions: tuple[str, ...] = (),
    batch: int | None = None,
    scans: tuple[Path, ...] = (),
) -> None:
    """Export a model and print what there is to tell of it.

    Raises:
        EngineError: What the export needs is not installed.
    """
    from spineps_rt.export.extra import export_extra  # noqa: PLC0415 (--help needs nothing)

    with export_extra():
        from spineps_rt.export import build  # noqa: PLC0415 (onnx)

    wanted = build.Wanted(precisions, batch or 1, scans)
    for line in build.export(source, output, overwrite=overwrite, wanted=wanted):
        click.echo(line)


def _print_verified(model: str, scans: tuple[Path, ...]) -> None:
    from spineps_rt.export.extra import export_extra  # noqa: PLC0415

    with export_extra():
        from spineps_rt.export.verify import verify  # noqa: PLC0415 (onnx)

    for one in verify(model, scans):
        speed = f"{one.seconds:8.3f} s {one.gflops / one.seconds:8.1f} GFLOP/s"
        click.echo(f"{one.variant or 'fp32':<8}{one.provider:<36}{speed}  {one.agreement}")
