"""``spineps-rt selftest``: whether this machine answers as it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spineps_rt.cli import options as shared
from spineps_rt.options import DEVICES

if TYPE_CHECKING:
    from spineps_rt.diagnostics.selftest import Check


@click.command()
@shared.model
@click.option(
    "--device",
    "--engine",
    "device",
    type=click.Choice(DEVICES),
    help="Test this one only [default: every engine that can be had].",
)
@shared.threads
def selftest(*, model: str | None, device: str | None, threads: int) -> None:
    """Segment a stored phantom on every engine and compare the masks with the stored answer.

    The acceptance check of a new machine and of an engine that was built. It fails where an engine answers
    NaN or infinity, finds nothing, misses a structure or a vertebra of the answer, or departs from it. For
    other models than the embedded ones there is no stored answer; then ONNX Runtime on the CPU is the
    reference. On a new machine the first engine's seconds hold the compiling of kernels: run warmup before.
    """
    from spineps_rt.diagnostics.selftest import ENGINES, REFERENCE, require_passed, self_test  # noqa: PLC0415 (numba and engines)

    checks, stored = self_test(model, devices=ENGINES if device is None else (device,), threads=threads)
    reference = "the stored answer" if stored else f"{REFERENCE} (no answer of these models is stored)"
    click.echo(f"Dice with {reference}:\n\n{_table(checks)}\n")
    for check in checks:
        if not check.provider and any(one.provider for one in checks):  # else the error tells it
            click.echo(f"{check.device}: {', '.join(check.faults)}")
    require_passed(checks)


def _table(checks: list[Check]) -> str:
    from spineps_rt.diagnostics.selftest import GROUPS, INSTANCES  # noqa: PLC0415

    groups = (*GROUPS, INSTANCES)
    lines = [f"{'engine':<15}{'provider':<41}{'seconds':>7}{''.join(f'{g:>10}' for g in groups)}  verdict"]
    for check in checks:
        if check.same_as:
            lines.append(f"{check.device:<15}the same as {check.same_as}")
        elif check.provider:
            cells = [f"{check.dice[group]:.4f}" if group in check.dice else "-" for group in groups]
            verdict = "passed" if check.passed else "FAILED"
            row = f"{check.provider:<41}{check.seconds:>7.1f}{''.join(f'{cell:>10}' for cell in cells)}"
            lines.append(f"{check.device:<15}{row}  {verdict}")
        else:
            lines.append(f"{check.device:<15}not to be had, see below")
    return "\n".join(lines)
