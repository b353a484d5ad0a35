"""``spineps-rt models``: what is there to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from spineps_rt.engine.models import InstanceModel, SemanticModel


@click.group()
def models() -> None:
    """List and describe models."""


@models.command("list")
def list_models() -> None:
    """List the embedded models."""
    from spineps_rt.engine.models import embedded_models  # noqa: PLC0415 (numpy; --help needs none)

    found = embedded_models()
    if not found:
        click.echo("no models are embedded in this installation", err=True)
    for model in found:
        click.echo(f"{model.name:<28}{_kind(model):<10}{', '.join(model.modalities):<12}{_spacing(model)}")


@models.command()
@click.argument("model", metavar="NAME|FOLDER")
def show(model: str) -> None:
    """Describe one model; its files are verified against their SHA-256."""
    from spineps_rt.engine.models import load_model, read_graph, select_variant  # noqa: PLC0415

    loaded = load_model(model)
    for name in loaded.variants:
        read_graph(select_variant(loaded, name))
    size = sum(spec.size for spec in loaded.files.values()) / 1e6
    rows = {
        "name": loaded.name,
        "kind": _kind(loaded),
        "folder": loaded.folder,
        "modalities": ", ".join(loaded.modalities),
        "plane": loaded.acquisition,
        "spacing": _spacing(loaded),
        "input": f"{loaded.input.dtype} {list(loaded.input.shape)}",
        "output": f"{loaded.output.dtype} {list(loaded.output.shape)}",
        "variants": ", ".join(loaded.variants) or "none",
        "size": f"{size:.1f} MB",
        "sha256": loaded.sha256,
        "licence": loaded.licence,
        "provenance": loaded.provenance,
        "intended use": loaded.intended_use,
    }
    for key, value in rows.items():
        click.echo(f"{key:<14}{value}")


def _kind(model: SemanticModel | InstanceModel) -> str:
    return "semantic" if hasattr(model, "patch") else "instance"


def _spacing(model: SemanticModel | InstanceModel) -> str:
    if model.spacing is not None:
        return " x ".join(f"{mm:g}" for mm in model.spacing) + " mm"
    low, high = model.spacing_range or ((), ())
    return f"{' x '.join(f'{mm:g}' for mm in low)} to {' x '.join(f'{mm:g}' for mm in high)} mm"
