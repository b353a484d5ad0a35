"""``spineps-rt models``: what is there to run, and whether it is whole."""

from __future__ import annotations

import click

from spineps_rt.cli.models.fetch import fetch
from spineps_rt.cli.models.install import import_model
from spineps_rt.cli.models.listing import list_models
from spineps_rt.cli.models.remove import remove
from spineps_rt.cli.models.show import show
from spineps_rt.cli.models.verify import verify

__all__ = ["models"]


@click.group()
def models() -> None:
    """List, describe, verify, install and remove models.

    Installed models lie in the folder that SPINEPS_RT_MODELS names, else where this platform keeps a user's
    data. `spineps-rt run --model NAME` finds them by their names.
    """


for _command in (list_models, show, verify, import_model, fetch, remove):
    models.add_command(_command)
