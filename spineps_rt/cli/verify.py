"""``spineps-rt verify``: whether results are whole."""

from __future__ import annotations

from pathlib import Path

import click

from spineps_rt.errors import IncompleteSetError, MissingFileError


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...", type=click.Path(path_type=Path))
def verify(folders: tuple[Path, ...]) -> None:
    """Check the results in each FOLDER, and in derivatives_seg below it, against their run records.

    A set is complete if every file is there and has the SHA-256 that was written into the record. It is
    incomplete if one is missing or another; running the scan again mends that. Files that look like results
    and which no record vouches for are foreign. Exit code 0 if all are complete, 26 if
    not, 10 for a FOLDER that cannot be read; the first counts.

    \b
    Examples:
      spineps-rt verify results
    """
    from spineps_rt.io.naming import FOLDER  # noqa: PLC0415
    from spineps_rt.io.sets import check_folder  # noqa: PLC0415
    from spineps_rt.io.streams import printable  # noqa: PLC0415

    code = 0
    for folder in folders:
        below = folder / FOLDER
        try:
            found = [*check_folder(folder), *(check_folder(below) if below.is_dir() else [])]
        except MissingFileError as error:  # the other folders are checked all the same
            click.echo(f"error: {printable(str(error))}", err=True)
            code = code or error.exit_code
            continue
        if not found:
            click.echo(f"{printable(str(folder))}: no results", err=True)
        if not found or any(one.state != "complete" for one in found):
            code = code or IncompleteSetError.exit_code
        for one in found:
            click.echo(f"{one.state:<12}{printable(one.name)}{'  ' if one.problem else ''}{one.problem}")
    if code:
        raise click.exceptions.Exit(code)
