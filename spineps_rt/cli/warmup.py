"""``spineps-rt warmup``: before the first patient."""

from __future__ import annotations

import click

from spineps_rt.cli import options as shared


@click.command()
@shared.model
@shared.device
@shared.threads
def warmup(*, model: str | None, device: str, threads: int) -> None:
    """Prepare this machine, so that the first scan takes no longer than the second.

    Compiles every kernel into the cache on disk and runs both networks once. Needed once after an
    installation or an update, and by each user whose cache it is (NUMBA_CACHE_DIR, else the package's folder
    where it can be written, else the user's own cache).
    """
    from spineps_rt.diagnostics.warmup import warm_up  # noqa: PLC0415 (numba and the engines; --help needs neither)
    from spineps_rt.options import EngineOptions  # noqa: PLC0415

    warmth = warm_up(model, engine=EngineOptions(device, threads))
    for name, provider in zip(("semantic", "instance"), warmth.providers):
        click.echo(f"{name:<10}{provider}")
    click.echo(f"{'engines':<10}{warmth.engine_seconds:.1f} s")
    click.echo(f"{'kernels':<10}{warmth.kernel_seconds:.1f} s")
    click.echo("ready: the first scan waits for nothing")
