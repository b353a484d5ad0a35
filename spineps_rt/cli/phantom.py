"""``spineps-rt phantom``: a scan whose truth is known."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spineps_rt.cli.options import overwrite
from spineps_rt.errors import ContractError, OutputError, OutputExistsError

if TYPE_CHECKING:
    from spineps_rt.phantom import Phantom, Variants


@click.command()
@click.argument("output", metavar="OUT.nii.gz", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--levels", default="T11-L5", show_default=True, metavar="FIRST-LAST", help="Vertebrae in view."
)
@click.option(
    "--spacing", nargs=3, type=float, default=(0.9, 0.9, 4.0), show_default=True, metavar="P I R",
    help="Voxel size in mm along posterior, inferior and right.",
)  # fmt: skip
@click.option(
    "--fov", nargs=3, type=float, default=(180.0, 0.0, 70.0), show_default=True, metavar="P I R",
    help="Field of view in mm; I = 0: as the levels need.",
)  # fmt: skip
@click.option("--orientation", default="PIR", show_default=True, metavar="CODES", help="Axes of the files.")
@click.option("--contrast", type=click.Choice(["t2w", "t1w", "fatsat"]), default="t2w", show_default=True)
@click.option(
    "--variant", "variants", multiple=True, metavar="NAME=VALUE",
    help="Anatomy, again and again: transitional=T13|L6|no_T12|sacralised_L5, collapsed=L1,L2, fused=, "
    "missing_discs=, bridged=, degenerated=, herniated=, scoliosis_deg=12, curvature=, scale=, ...",
)  # fmt: skip
@click.option(
    "--random", "is_random", is_flag=True, help="Draw levels, view, anatomy and contrast from the seed."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@overwrite
def phantom(
    output: Path,
    levels: str,
    spacing: tuple[float, float, float],
    fov: tuple[float, float, float],
    orientation: str,
    contrast: str,
    variants: tuple[str, ...],
    is_random: bool,
    seed: int,
    overwrite: bool,
) -> None:
    """Make an artificial spine scan and its truth.

    Beside OUT.nii.gz it writes OUT_seg-spine_truth.nii.gz (structures) and OUT_seg-vert_truth.nii.gz
    (vertebrae, discs, endplates).

    \b
    Example:
      spineps-rt phantom demo.nii.gz --levels T11-L5 --seed 7 --variant collapsed=L1
    """
    paths = _paths(output, overwrite=overwrite)
    import numpy as np  # noqa: PLC0415 (--help needs neither numpy nor numba)

    from spineps_rt import phantom as lib  # noqa: PLC0415

    rng, look = np.random.default_rng(seed), lib.PRESETS[contrast]
    if is_random:
        options, look = lib.random_options(rng, spacing=spacing), lib.random_contrast(rng, base=look)
    else:
        first, _, last = levels.partition("-")
        options = lib.PhantomOptions(
            (first, last or first), spacing=spacing, fov_mm=fov, variants=_parse(variants)
        )
    options = replace(options, orientation=tuple(orientation.upper()))  # type: ignore[arg-type]
    _write(lib.make_phantom(options, seed=seed, contrast=look), paths, overwrite=overwrite)
    click.echo("\n".join(str(path) for path in paths))


def _paths(output: Path, *, overwrite: bool) -> list[Path]:
    """Image, structures and vertebrae; refuse what cannot be written before time is spent on it."""
    ending = next((e for e in (".nii.gz", ".nii") if output.name.endswith(e) and output.name != e), None)
    if ending is None:
        raise OutputError(f"{output.name}: give a name that ends in .nii.gz or .nii.")
    if not output.parent.is_dir():
        raise OutputError(f"{output.parent} is no folder; create it first.")
    stem = output.name[: -len(ending)]
    paths = [output, *(output.with_name(f"{stem}_seg-{kind}_truth{ending}") for kind in ("spine", "vert"))]
    there = [path.name for path in paths if path.exists()]
    if there and not overwrite:
        raise OutputExistsError(
            f"{output.parent} already holds {', '.join(there)}; pass --overwrite to replace."
        )
    return paths


def _parse(settings: tuple[str, ...]) -> Variants:
    """Anatomy from ``NAME=VALUE`` settings, checked against the fields of ``Variants``."""
    from spineps_rt.phantom import Variants  # noqa: PLC0415

    defaults = {field.name: field.default for field in fields(Variants)}
    found: dict[str, object] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in defaults or not value:
            raise ContractError(f"Variant {setting!r}: give NAME=VALUE, NAME one of {', '.join(defaults)}.")
        found[name] = _value(name, value, defaults[name])
    return Variants(**found)  # type: ignore[arg-type]


def _value(name: str, value: str, default: object) -> object:
    if isinstance(default, bool):
        return value.lower() in ("1", "true", "yes")
    if isinstance(default, tuple):
        return tuple(level.strip().upper() for level in value.split(","))
    if isinstance(default, str):
        return value
    try:
        return float(value)
    except ValueError as error:
        raise ContractError(f"Variant {name}={value!r}: give a number.") from error


def _write(phantom: Phantom, paths: list[Path], *, overwrite: bool) -> None:
    """Write image and truth, all of them or none."""
    from spineps_rt.io.atomic import write_together  # noqa: PLC0415
    from spineps_rt.io.nifti import encode_nifti  # noqa: PLC0415

    image = phantom.image.array.round().clip(0, 32767).astype("int16")
    arrays = (image, phantom.semantic.array, phantom.instance.array)
    compress = paths[0].name.endswith(".gz")
    write_together(
        [(path, encode_nifti(a, like=phantom.image, compress=compress)) for path, a in zip(paths, arrays)],
        overwrite=overwrite,
    )
