"""``spineps-rt export``: models of SPINEPS for this runtime, their check, and engines for GPUs."""

from __future__ import annotations

import click

from spineps_rt.cli.export.engine import build_engine
from spineps_rt.cli.export.model import export_model
from spineps_rt.cli.export.verify import verify_model

__all__ = ["export"]


class _ExportGroup(click.Group):
    """A group that tells whoever leaves the command out which one there is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse a first word that is no command with a sentence that names all of them."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            raise click.UsageError(
                f"{args[0]!r} is no command of export. Type: spineps-rt export model SOURCE -o MODEL_DIR, "
                "spineps-rt export verify MODEL, or spineps-rt export engine MODEL --library LIBRARY.",
                ctx,
            )
        return super().parse_args(ctx, args)


@click.group(cls=_ExportGroup)
def export() -> None:
    """Turn SPINEPS models into models of this runtime.

    Only `export model` of a folder of SPINEPS needs PyTorch; nothing needs a GPU.
    """


for _command in (export_model, verify_model, build_engine):
    export.add_command(_command)
