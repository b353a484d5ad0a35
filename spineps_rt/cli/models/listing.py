"""``spineps-rt models list``: what is there to run."""

from __future__ import annotations

import click

from spineps_rt.cli.models.describe import kind_of, model_folders, spacing_of
from spineps_rt.errors import ModelError


@click.command("list")
def list_models() -> None:
    """List the embedded and the installed models; their files are not verified."""
    from spineps_rt.models.manifest import read_manifest  # noqa: PLC0415 (numpy; --help needs none)

    for folder, place in model_folders().items():
        try:
            model = read_manifest(folder)
        except ModelError as error:
            click.echo(f"{folder.name:<28}{place:<11}damaged: {error}")
            continue
        made_for = f"{kind_of(model):<10}{', '.join(model.modalities):<12}{spacing_of(model)}"
        click.echo(f"{folder.name:<28}{place:<11}{made_for}")
