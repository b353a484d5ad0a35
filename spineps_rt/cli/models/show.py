"""``spineps-rt models show``: one model, and what was measured of it."""

from __future__ import annotations

import click

from spineps_rt.cli.models.describe import kind_of, spacing_of


@click.command()
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
        "kind": kind_of(loaded),
        "folder": loaded.folder,
        "modalities": ", ".join(loaded.modalities),
        "plane": loaded.acquisition,
        "spacing": spacing_of(loaded),
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
