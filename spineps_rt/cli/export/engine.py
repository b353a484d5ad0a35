"""``spineps-rt export engine``: engines of a model for GPUs, which need not be there."""

from __future__ import annotations

import click

from spineps_rt.errors import EngineError


@click.command("engine")
@click.argument("name", metavar="NAME|MODEL_DIR[@VARIANT]")
@click.option(
    "--library",
    type=click.Choice(["tensorrt-rtx", "tensorrt"]),
    required=True,
    help="What builds and later runs the engines.",
)
@click.option(
    "--sm",
    metavar="75,86,...",
    default="",
    help="Compute capabilities that TensorRT-RTX builds for; TensorRT takes the GPU at hand.",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "fp16", "int8"]),
    multiple=True,
    help="Build this variant [default: fp16 where the model has it, else fp32]; may be repeated.",
)
@click.option("--hardware-compatible", is_flag=True, help="One TensorRT engine for every GPU from sm80.")
@click.option("--version-compatible", is_flag=True, help="For every TensorRT of the same major version.")
def build_engine(
    *,
    name: str,
    library: str,
    sm: str,
    precisions: tuple[str, ...],
    hardware_compatible: bool,
    version_compatible: bool,
) -> None:
    """Build engines of a model into the private cache (SPINEPS_RT_CACHE), in place of those of the same name.

    TensorRT-RTX needs no GPU to build; TensorRT builds on the GPU that the engine is for. What cannot be
    built is told target by target, and the exit code is 23; what was built stays.

    \b
    Examples:
      spineps-rt export engine models/t2w --library tensorrt-rtx --sm 86,89,120
      spineps-rt export engine t2w_semantic@b4 --library tensorrt --version-compatible
    """
    from spineps_rt.backends.tensorrt import FULL, HALF  # noqa: PLC0415 (numpy; --help needs none)
    from spineps_rt.export.engines.build import build_engines  # noqa: PLC0415
    from spineps_rt.export.engines.tensorrt import BuildOptions  # noqa: PLC0415
    from spineps_rt.models import load_model, select_variant  # noqa: PLC0415

    options = BuildOptions(hardware_compatible=hardware_compatible, version_compatible=version_compatible)
    numbers = [number.strip() for number in sm.split(",")] if sm else []
    model = load_model(name)
    default = model.variant or (HALF if HALF in model.variants else FULL)
    refused: list[str] = []
    for precision in precisions or (default,):
        variant = select_variant(model, "" if precision == FULL else precision)
        result = build_engines(variant, library=library, sm=numbers, options=options)
        refused += result.refused
        for one in result.stored:
            said = one.metadata
            click.echo(
                f"{one.path}  {said['seconds']:.1f} s  {said['engine_bytes'] / 1e6:.1f} MB  "
                f"{len(said['layers'])} layers"
            )
    if refused:
        raise EngineError(f"Not every engine was built. {' '.join(refused)}")
