"""``spineps-rt export``: models of SPINEPS for this runtime, and engines of models for a GPU."""

from __future__ import annotations

from pathlib import Path

import click

from spineps_rt.cli.options import overwrite
from spineps_rt.errors import EngineError


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="MODEL_DIR")
@click.option("--verify", "verified", metavar="NAME|MODEL_DIR", help="Compare engines on a model instead.")
@click.option(
    "--engine", type=click.Choice(["tensorrt-rtx", "tensorrt"]), help="Build engines of a model instead."
)
@click.option("--sm", metavar="75,86,...", help="GPUs that TensorRT-RTX builds for; it needs none itself.")
@click.option("--precision", metavar="NAME", help="Variant of the model to build [default: fp16, else fp32].")
@click.option("--hardware-compatible", is_flag=True, help="One TensorRT engine for every GPU from sm80.")
@click.option("--version-compatible", is_flag=True, help="For every TensorRT of the same major version.")
@overwrite
def export(
    source: Path | None,
    output: Path | None,
    verified: str | None,
    engine: str | None,
    sm: str | None,
    precision: str | None,
    hardware_compatible: bool,
    version_compatible: bool,
    overwrite: bool,
) -> None:
    """Turn a SPINEPS model into a model folder of this runtime.

    SOURCE is a folder with inference_config.json and an nnU-Net v2 or an instance checkpoint of SPINEPS, or
    a zip file of one. Needs PyTorch (pip install 'spineps-rt[export]'), no GPU; nothing in a checkpoint is
    run.

    With --engine, SOURCE is a model folder or an embedded model's name. Its engines go into the private cache
    (SPINEPS_RT_CACHE) and replace those of the same name. Neither --engine nor --verify needs PyTorch.

    \b
    Examples:
      spineps-rt export T2w_semantic.zip -o models/t2w
      spineps-rt export --verify models/t2w
      spineps-rt export --engine tensorrt-rtx --sm 86,89,120 models/t2w
    """
    if engine is not None:
        if source is None or output is not None or verified is not None:
            raise click.UsageError("Give --engine NAME and a model; engines go into the cache.")
        numbers = [number.strip() for number in sm.split(",")] if sm else []
        compatible = {"hardware_compatible": hardware_compatible, "version_compatible": version_compatible}
        _build(str(source), precision, library=engine, sm=numbers, compatible=compatible)
        return
    if sm or precision or hardware_compatible or version_compatible:
        raise click.UsageError("--sm, --precision and --...-compatible belong to --engine.")
    if (verified is None) == (source is None) or (source is None) != (output is None):
        raise click.UsageError("Give SOURCE and -o MODEL_DIR, or --verify MODEL_DIR.")
    if verified is not None:
        from spineps_rt.export.verify import verify  # noqa: PLC0415 (numpy; --help needs none)

        for one in verify(verified):
            click.echo(f"{one.provider:<36}{one.seconds:8.3f} s  {one.agreement}")
        return
    try:
        from spineps_rt.export.convert import export as run  # noqa: PLC0415 (PyTorch)
    except ImportError as error:
        raise EngineError(
            f"The export needs PyTorch and more ({error}): pip install 'spineps-rt[export]'"
        ) from error
    if source is not None and output is not None:
        for line in run(source, output, overwrite=overwrite):
            click.echo(line)
        click.echo(output)


def _build(
    name: str, precision: str | None, *, library: str, sm: list[str], compatible: dict[str, bool]
) -> None:
    from spineps_rt.engine import load_model, select_variant  # noqa: PLC0415 (numpy; --help needs none)
    from spineps_rt.engine.tensorrt import FULL, HALF  # noqa: PLC0415
    from spineps_rt.export.engines import build_engines  # noqa: PLC0415
    from spineps_rt.export.tensorrt import BuildOptions  # noqa: PLC0415

    model = load_model(name)
    precision = precision or (HALF if HALF in model.variants else FULL)
    model = select_variant(model, "" if precision == FULL else precision)
    for one in build_engines(model, library=library, sm=sm, options=BuildOptions(**compatible)):
        said = one.metadata
        click.echo(
            f"{one.path}  {said['seconds']:.1f} s  {said['engine_bytes'] / 1e6:.1f} MB  "
            f"{len(said['layers'])} layers"
        )
