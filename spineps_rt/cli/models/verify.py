"""``spineps-rt models verify``: whether files are what their manifests say."""

from __future__ import annotations

import click

from spineps_rt.cli.models.describe import model_folders
from spineps_rt.errors import ModelError


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|FOLDER]...")
def verify(names: tuple[str, ...]) -> None:
    """Hash every file of the models, of all where none is named; the exit code tells whether one is wrong."""
    from spineps_rt.models.resolve import find_model, verify_folder  # noqa: PLC0415

    wrong = False
    for folder in [find_model(name) for name in names] or model_folders():
        problems = verify_folder(folder)
        wrong = wrong or bool(problems)
        for line in problems or ["OK"]:
            click.echo(f"{folder.name:<28}{line}")
    if wrong:
        raise click.exceptions.Exit(ModelError.exit_code)
