"""``spineps-rt export verify``: every variant of a model on every engine of this machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("verify")
@click.argument("model", metavar="NAME|MODEL_DIR")
@click.option(
    "--scan",
    "scans",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="NIFTI",
    help="Compare on this scan beside a phantom; may be repeated.",
)
def verify_model(*, model: str, scans: tuple[Path, ...]) -> None:
    """Compare every variant on every engine of this machine with float32 on ONNX Runtime's CPU provider.

    Prints seconds, GFLOP/s and agreement, a line an engine; it judges nothing and needs no PyTorch.

    \b
    Example:
      spineps-rt export verify models/t2w --scan real_T2w.nii.gz
    """
    from spineps_rt.export.extra import export_extra  # noqa: PLC0415 (--help needs nothing)

    with export_extra():
        from spineps_rt.export.checks.verify import verify  # noqa: PLC0415 (onnx)

    for one in verify(model, scans):
        speed = f"{one.seconds:8.3f} s {one.gflops / one.seconds:8.1f} GFLOP/s"
        click.echo(f"{one.variant or 'fp32':<8}{one.provider:<36}{speed}  {one.agreement}")
