"""``spineps-rt export``: models of SPINEPS for this runtime."""

from __future__ import annotations

from pathlib import Path

import click

from spineps_rt.cli.options import overwrite
from spineps_rt.errors import EngineError


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="MODEL_DIR")
@click.option("--verify", "verified", metavar="NAME|MODEL_DIR", help="Compare engines on a model instead.")
@overwrite
def export(source: Path | None, output: Path | None, verified: str | None, overwrite: bool) -> None:
    """Turn a SPINEPS model into a model folder of this runtime.

    SOURCE is a folder with inference_config.json and an nnU-Net v2 or an instance checkpoint of SPINEPS, or
    a zip file of one. Needs PyTorch (pip install 'spineps-rt[export]'), no GPU; nothing in a checkpoint is
    run. --verify needs no PyTorch.

    \b
    Examples:
      spineps-rt export T2w_semantic.zip -o models/t2w
      spineps-rt export --verify models/t2w
    """
    if (verified is None) == (source is None) or (source is None) != (output is None):
        raise click.UsageError("Give SOURCE and -o MODEL_DIR, or --verify MODEL_DIR.")
    if verified is not None:
        from spineps_rt.export.verify import verify  # noqa: PLC0415 (numpy; --help needs none)

        for one in verify(verified):
            click.echo(f"{one.provider:<36}{one.seconds:8.3f} s  {one.agreement}")
        return
    if source is not None and output is not None:
        export_model(source, output, overwrite=overwrite)
        click.echo(output)


def export_model(source: Path, output: Path, *, overwrite: bool = False) -> None:
    """Export a model and print what there is to tell of it.

    Raises:
        EngineError: PyTorch is not installed.
    """
    try:
        from spineps_rt.export.convert import export as run  # noqa: PLC0415 (PyTorch)
    except ImportError as error:
        raise EngineError(
            f"The export needs PyTorch and more ({error}): pip install 'spineps-rt[export]'"
        ) from error
    for line in run(source, output, overwrite=overwrite):
        click.echo(line)
