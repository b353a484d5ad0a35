"""``spineps-rt models remove``: a model out of the store."""

from __future__ import annotations

import click


@click.command()
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Delete an installed model."""
    from spineps_rt.models import install  # noqa: PLC0415 (numpy)

    folder = install.installed(name)
    if not (yes or _confirmed(f"Delete {folder}?")):
        click.echo(f"{folder} is kept. Answer y, or pass --yes, to delete it.", err=True)
        raise click.exceptions.Exit(1)
    install.remove(name)
    click.echo(f"{folder} is deleted.", err=True)


def _confirmed(question: str) -> bool:
    """Ask; where nobody can answer, the answer is no."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            return False
        raise
