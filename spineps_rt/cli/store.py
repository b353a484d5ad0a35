"""``spineps-rt models import``, ``fetch`` and ``remove``: what changes the store."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from spineps_rt.cli.export import export_model
from spineps_rt.cli.options import overwrite
from spineps_rt.errors import EngineError


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
    _install(source, name, overwrite=overwrite)


@click.command()
@click.argument("name", required=False)
@overwrite
def fetch(name: str | None, overwrite: bool) -> None:
    """Download and install an official release of SPINEPS; without NAME, list them.

    This is the only command that opens a connection. A download that breaks off is resumed by the same
    command. Its SHA-256 is recorded at the first time and must be the same ever after. The export needs
    PyTorch: pip install 'spineps-rt[export]'. What the networks' licences ask of you stands at their release.
    """
    from spineps_rt.export.releases import RELEASES, find_release  # noqa: PLC0415

    if name is None:
        for one, release in RELEASES.items():
            click.echo(f"{one:<28}{release.address}")
        return
    release = find_release(name)
    from spineps_rt.export.fetch import fetch as download  # noqa: PLC0415 (the network)
    from spineps_rt.models.install import place_for  # noqa: PLC0415
    from spineps_rt.models.store import store_folder  # noqa: PLC0415

    place_for(name, overwrite=overwrite)
    click.echo(release.address, err=True)
    with click.progressbar(length=100, label=name, file=sys.stderr) as bar:
        archive = download(
            release,
            store_folder() / ".downloads",
            report=lambda done, total: bar.update(100 * done // total - bar.pos),
        )
    try:
        _install(archive, name, overwrite=overwrite)
    except EngineError as error:
        raise EngineError(
            f"{error}. The download is kept as {archive}; then run the same command again, or on a machine "
            f"with PyTorch: spineps-rt models import {archive.name} --name {name}"
        ) from error
    archive.unlink()


@click.command()
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Delete an installed model."""
    from spineps_rt.models import install  # noqa: PLC0415 (numpy)

    folder = install.installed(name)
    if not (yes or click.confirm(f"Delete {folder}?", err=True)):
        click.echo(f"{folder} is kept", err=True)
        raise click.exceptions.Exit(1)
    install.remove(name)
    click.echo(f"{folder} is deleted", err=True)


def _install(source: Path, name: str | None, *, overwrite: bool) -> None:
    from spineps_rt.models.archive import opened  # noqa: PLC0415
    from spineps_rt.models.install import exported_folder, install  # noqa: PLC0415

    with opened(source) as folder, tempfile.TemporaryDirectory(prefix="spineps-rt-") as made:
        model = exported_folder(folder, source)
        if model is None:
            model = Path(made)
            export_model(folder, model)
        click.echo(install(model, name=name, overwrite=overwrite))
