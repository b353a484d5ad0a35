"""``spineps-rt export``: models of SPINEPS for this runtime, variants, and engines for a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spineps_rt.cli.options import overwrite


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="MODEL_DIR")
@click.option(
    "--folds",
    type=click.Choice(["together", "in-turn"]),
    default="together",
    help="One graph of all folds [default], or a graph of each, run one after the other.",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "fp16", "bf16", "int8"]),
    multiple=True,
    help="Make a variant of this precision too, or build an engine of it; may be repeated.",
)
@click.option(
    "--batch", type=click.IntRange(min=2), metavar="N", help="Make variants that take N samples at once too."
)
@click.option(
    "--scan",
    "scans",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="NIFTI",
    help="Try, and calibrate int8, on this scan beside a phantom; may be repeated.",
)
@click.option("--verify", "verified", metavar="NAME|MODEL_DIR", help="Compare engines on a model instead.")
@click.option(
    "--engine", type=click.Choice(["tensorrt-rtx", "tensorrt"]), help="Build engines of a model instead."
)
@click.option("--sm", metavar="75,86,...", help="GPUs that TensorRT-RTX builds for; it needs none itself.")
@click.option("--hardware-compatible", is_flag=True, help="One TensorRT engine for every GPU from sm80.")
@click.option("--version-compatible", is_flag=True, help="For every TensorRT of the same major version.")
@overwrite
def export(
    *,
    source: Path | None,
    output: Path | None,
    folds: str,
    precisions: tuple[str, ...],
    batch: int | None,
    scans: tuple[Path, ...],
    verified: str | None,
    engine: str | None,
    sm: str | None,
    hardware_compatible: bool,
    version_compatible: bool,
    overwrite: bool,
) -> None:
    """Turn a SPINEPS model into a model folder of this runtime, add variants to one, or build its engines.

    SOURCE is a folder with inference_config.json and an nnU-Net v2 or an instance checkpoint of SPINEPS, or
    a zip file of one: this needs PyTorch (pip install 'spineps-rt[export]'), no GPU, and runs nothing that is
    in a checkpoint. Or SOURCE is a model folder or an embedded model's name, which needs no PyTorch.

    A graph is written only if it answers as float32 does; else nothing is.

    With --engine, SOURCE is a model folder or an embedded model's name. Its engines go into the private cache
    (SPINEPS_RT_CACHE) and replace those of the same name; without --precision they are in fp16 where the
    model has it, else in fp32. MODEL@VARIANT builds that variant.

    \b
    Examples:
      spineps-rt export T2w_semantic.zip -o models/t2w --precision fp16
      spineps-rt export t2w_semantic -o models/t2w --precision fp16 --batch 4 --scan real_T2w.nii.gz
      spineps-rt export --verify models/t2w
      spineps-rt export --engine tensorrt-rtx --sm 86,89,120 models/t2w
    """
    in_turn = folds == "in-turn"
    building = bool(sm or hardware_compatible or version_compatible)
    if engine is not None:
        if source is None or output is not None or verified is not None or batch or scans or in_turn:
            raise click.UsageError("Give --engine NAME and a model; engines go into the cache.")
        numbers = [number.strip() for number in sm.split(",")] if sm else []
        compatible = {"hardware_compatible": hardware_compatible, "version_compatible": version_compatible}
        _build(str(source), precisions, library=engine, sm=numbers, compatible=compatible)
        return
    if building:
        raise click.UsageError("--sm and --...-compatible belong to --engine.")
    if (verified is None) == (source is None) or (source is None) != (output is None):
        raise click.UsageError("Give SOURCE and -o MODEL_DIR, or --verify MODEL_DIR.")
    if verified is not None:
        if precisions or batch or in_turn:
            raise click.UsageError("--verify makes nothing; leave --folds, --precision and --batch out.")
        _print_verified(verified, scans)
    elif source is not None and output is not None:
        if scans and not (set(precisions) - {"fp32"} or batch):
            raise click.UsageError("--scan is what variants are tried on; give --precision or --batch too.")
        made = tuple(one for one in precisions if one != "fp32")  # which is always there
        wanted = {"in_turn": in_turn, "precisions": made, "batch": batch or 1, "scans": scans}
        export_model(source, output, overwrite=overwrite, **wanted)
        click.echo(output)


def export_model(source: Path, output: Path, *, overwrite: bool = False, **wanted: Any) -> None:
    """Export a model and print what there is to tell of it.

    Args:
        source: Of the model.
        output: The model folder.
        overwrite: A model there may be replaced.
        wanted: Fields of ``export.variants.Wanted``.

    Raises:
        EngineError: What the export needs is not installed.
    """
    from spineps_rt.export.extra import export_extra  # noqa: PLC0415 (--help needs nothing)

    with export_extra():
        from spineps_rt.export import build  # noqa: PLC0415 (onnx)

    for line in build.export(source, output, overwrite=overwrite, wanted=build.Wanted(**wanted)):
        click.echo(line)


def _print_verified(model: str, scans: tuple[Path, ...]) -> None:
    from spineps_rt.export.extra import export_extra  # noqa: PLC0415

    with export_extra():
        from spineps_rt.export.verify import verify  # noqa: PLC0415 (onnx)

    for one in verify(model, scans):
        speed = f"{one.seconds:8.3f} s {one.gflops / one.seconds:8.1f} GFLOP/s"
        click.echo(f"{one.variant or 'fp32':<8}{one.provider:<36}{speed}  {one.agreement}")


def _build(
    name: str, precisions: tuple[str, ...], *, library: str, sm: list[str], compatible: dict[str, bool]
) -> None:
    from spineps_rt.backends.openvino import BF16  # noqa: PLC0415
    from spineps_rt.backends.tensorrt import FULL, HALF  # noqa: PLC0415
    from spineps_rt.export.engines import build_engines  # noqa: PLC0415
    from spineps_rt.export.tensorrt import BuildOptions  # noqa: PLC0415
    from spineps_rt.models import load_model, select_variant  # noqa: PLC0415 (numpy; --help needs none)

    if BF16 in precisions:
        raise click.UsageError("bf16 is how OpenVINO may compute; engines are fp32, fp16 or int8.")
    model = load_model(name)
    default = model.variant or (HALF if HALF in model.variants else FULL)
    for precision in precisions or (default,):
        variant = select_variant(model, "" if precision == FULL else precision)
        for one in build_engines(variant, library=library, sm=sm, options=BuildOptions(**compatible)):
            said = one.metadata
            click.echo(
                f"{one.path}  {said['seconds']:.1f} s  {said['engine_bytes'] / 1e6:.1f} MB  "
                f"{len(said['layers'])} layers"
            )
