"""Options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path

import click

from spineps_rt.errors import OutputError
from spineps_rt.options import DEVICES


def _folder(_context: click.Context, _option: click.Parameter, value: str | None) -> Path | None:
    if value is not None and not value.strip():
        raise OutputError(
            "An empty name came with -o; give a folder for the results, . for the one you are in."
        )
    return None if value is None else Path(value)


output_folder = click.option(
    "-o",
    "--output",
    callback=_folder,
    metavar="DIR",
    help="Folder for the results [default: derivatives_seg beside each scan].",
)
model = click.option(
    "--model",
    metavar="NAME|FOLDER[@VARIANT]",
    help="Model to use, or a variant of it; of two, with a comma between [default: embedded models].",
)
device = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where the networks run; auto takes the fastest that works here.",
)
threads = click.option(
    "--threads", type=click.IntRange(min=0), default=0, metavar="N", help="CPU threads [default: every core]."
)
overwrite = click.option("--overwrite", is_flag=True, help="Replace what is already there.")
verbose = click.option("-v", "--verbose", is_flag=True, help="Say more on standard error.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
