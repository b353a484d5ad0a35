"""``spineps-rt models``: what is there to run, and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spineps_rt.cli import store
from spineps_rt.errors import ModelError

if TYPE_CHECKING:
    from spineps_rt.models.resolve import InstanceModel, SemanticModel


@click.group()
def models() -> None:
    """List, describe, verify, install and remove models.

    Installed models lie in the folder that SPINEPS_RT_MODELS names, else where this platform keeps a user's
    data. `spineps-rt run --model NAME` finds them by their names.
    """


for _command in (store.import_model, store.fetch, store.remove):
    models.add_command(_command)


@models.command("list")
def list_models() -> None:
    """List the embedded and the installed models; their files are not verified."""
    from spineps_rt.models.manifest import read_manifest  # noqa: PLC0415 (numpy; --help needs none)

    for folder, place in _folders().items():
        try:
            model = read_manifest(folder)
        except ModelError as error:
            click.echo(f"{folder.name:<28}{place:<11}damaged: {error}")
            continue
        made_for = f"{_kind(model):<10}{', '.join(model.modalities):<12}{_spacing(model)}"
        click.echo(f"{folder.name:<28}{place:<11}{made_for}")


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME|FOLDER]...")
def verify(names: tuple[str, ...]) -> None:
    """Hash every file of the models, of all where none is named; the exit code tells whether one is wrong."""
    from spineps_rt.models.resolve import damage, find_model  # noqa: PLC0415

    wrong = False
    for folder in [find_model(name) for name in names] or _folders():
        problems = damage(folder)
        wrong = wrong or bool(problems)
        for line in problems or ["OK"]:
            click.echo(f"{folder.name:<28}{line}")
    if wrong:
        raise click.exceptions.Exit(ModelError.exit_code)


@models.command()
@click.argument("model", metavar="NAME|FOLDER")
def show(model: str) -> None:
    """Describe one model; its files are verified against their SHA-256.

    Of the embedded models it tells what was measured and what they cannot do, too.
    """
    from spineps_rt.models.resolve import embedded_folders, load_model, read_file  # noqa: PLC0415

    loaded = load_model(model)
    for name in loaded.files:
        read_file(loaded, name)
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
        "graphs": ", ".join(loaded.graphs),
        "size": f"{size:.1f} MB",
        "sha256": loaded.sha256,
        "licence": loaded.licence,
        "provenance": loaded.provenance,
        "intended use": loaded.intended_use,
    }
    for key, value in rows.items():
        click.echo(f"{key:<14}{value}")
    card = loaded.folder.parent / "README.md"
    if loaded.folder in embedded_folders() and card.is_file():
        _, _, figures = card.read_text(encoding="utf-8").partition("\n## Figures\n")
        click.echo(f"{'card':<14}{card}\n{figures.rstrip()}")


def _folders() -> dict[Path, str]:
    from spineps_rt.models.resolve import embedded_folders  # noqa: PLC0415
    from spineps_rt.models.store import installed_folders  # noqa: PLC0415

    return {
        **dict.fromkeys(embedded_folders(), "embedded"),
        **dict.fromkeys(installed_folders(), "installed"),
    }


def _kind(model: SemanticModel | InstanceModel) -> str:
    return "semantic" if hasattr(model, "patch") else "instance"


def _spacing(model: SemanticModel | InstanceModel) -> str:
    if model.spacing is not None:
        return " x ".join(f"{mm:g}" for mm in model.spacing) + " mm"
    low, high = model.spacing_range or ((), ())
    return f"{' x '.join(f'{mm:g}' for mm in low)} to {' x '.join(f'{mm:g}' for mm in high)} mm"
