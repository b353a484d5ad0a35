"""``spineps-rt models fetch``: an official release of SPINEPS into the store."""

from __future__ import annotations

import sys

import click

from spineps_rt.cli.models.install import install_exported
from spineps_rt.cli.options import overwrite
from spineps_rt.errors import EngineError


@click.command()
@click.argument("name", required=False)
@overwrite
def fetch(name: str | None, overwrite: bool) -> None:
    """Download and install an official release of SPINEPS; without NAME, list them.

    This is the only command that opens a connection. A download that breaks off is resumed by the same
    command. Its SHA-256 is recorded at the first time and must be the same ever after. The export needs
    PyTorch: pip install 'spineps-rt[export]'. What the networks' licences ask of you stands at their release.
    """
    from spineps_rt.export.download.releases import RELEASES, find_release  # noqa: PLC0415

    if name is None:
        for one, release in RELEASES.items():
            click.echo(f"{one:<28}{release.address}")
        return
    release = find_release(name)
    from spineps_rt.export.download.fetch import fetch as download  # noqa: PLC0415 (the network)
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
        install_exported(archive, name, overwrite=overwrite)
    except EngineError as error:
        raise EngineError(
            f"{error} The download is kept as {archive}; then run the same command again, or on a machine "
            f"with PyTorch: spineps-rt models import {archive.name} --name {name}."
        ) from error
    archive.unlink()
