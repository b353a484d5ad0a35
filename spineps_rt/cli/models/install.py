"""``spineps-rt models import``: a model from a folder or a zip file into the store."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from spineps_rt.cli.export.model import write_model_folder
from spineps_rt.cli.options import overwrite


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--name", help="What to call the model [default: as its manifest does].")
@overwrite
def import_model(source: Path, name: str | None, overwrite: bool) -> None:
    """Install a model from a folder or a zip file, without a network.

    SOURCE is a model of this runtime (manifest.json) or of SPINEPS (inference_config.json); the latter is
    exported first, which needs PyTorch: pip install 'spineps-rt[export]'.

    \b
    Examples:
      spineps-rt models import t2w.zip --name my-t2w
      spineps-rt run sub-x_T2w.nii.gz --model my-t2w
    """
    from spineps_rt.models.install import place_for  # noqa: PLC0415 (numpy; --help needs none)

    if name is not None:
        place_for(name, overwrite=overwrite)  # refused before the long export
    install_exported(source, name, overwrite=overwrite)


def install_exported(source: Path, name: str | None, *, overwrite: bool) -> None:
    """Install a model, exported first where it is one of SPINEPS.

    Args:
        source: A folder or a zip file.
        name: What to call the model; None takes the manifest's name.
        overwrite: A model of that name may be replaced.

    Raises:
        ModelError: The source holds no model, or a damaged one.
        EngineError: What the export needs is not installed.
        OutputError: The model cannot be written.
    """
    from spineps_rt.models.archive import opened  # noqa: PLC0415
    from spineps_rt.models.install import exported_folder, install  # noqa: PLC0415

    with opened(source) as folder, tempfile.TemporaryDirectory(prefix="spineps-rt-") as made:
        model = exported_folder(folder, source)
        if model is None:
            model = Path(made)
            write_model_folder(folder, model)
        click.echo(install(model, name=name, overwrite=overwrite))
