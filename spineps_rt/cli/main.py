"""``spineps-rt``: one file a command, loaded when it is asked for."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from spineps_rt._version import __version__
from spineps_rt.cli.process import INTERRUPTED, UNHEARD, listen, steady_streams, stop_listening
from spineps_rt.errors import SpinepsError
from spineps_rt.io.streams import printable

_COMMANDS = {
    "run": ("spineps_rt.cli.run", "Segment scans: masks, centroids, a snapshot and a run record."),
    "verify": ("spineps_rt.cli.verify", "Check that results are whole and those that were written."),
    "phantom": ("spineps_rt.cli.phantom", "Make an artificial spine scan with its truth."),
    "warmup": ("spineps_rt.cli.warmup", "Compile and load everything before the first scan."),
    "selftest": ("spineps_rt.cli.selftest", "Check every engine of this machine with a stored phantom."),
    "bench": ("spineps_rt.cli.bench", "Time a scan on this machine, or plan a GPU's memory."),
    "export": ("spineps_rt.cli.export", "Turn SPINEPS models into models of this runtime."),
    "models": ("spineps_rt.cli.models", "List, describe, verify, install and remove models."),
}
"""Name -> module and one line for ``--help``, so that help loads no command."""


class _LazyGroup(click.Group):
    """A group that imports a command's module only to run it or to print its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        return getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="spineps-rt")
def cli() -> None:
    """Segment the spine in MR scans, offline and without PyTorch.

    Not a medical device; not for clinical use.
    """


def main() -> NoReturn:
    """Run the command line; every error becomes one line on standard error and its own exit code."""
    lost = steady_streams()
    try:
        listen()
        code = _run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        stop_listening()
    sys.exit(code or (UNHEARD if sys.stdout in lost else 0))


def _run() -> int:
    try:
        return cli.main(standalone_mode=False)
    except SpinepsError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):  # click makes the one of the other
        stop_listening()
        click.echo("interrupted: a scan that was not finished left no file.", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
