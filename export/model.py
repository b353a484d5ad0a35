"""From a source to a model folder: staged, tried, and only then written where it was asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path

from spineps_rt.backends.onnxruntime import load_onnxruntime
from spineps_rt.backends.openvino import BF16, require_bfloat16
from spineps_rt.errors import ModelError, OutputExistsError
from spineps_rt.export.extra import export_extra
from spineps_rt.export.folder import read_folder, write_folder
from spineps_rt.export.variants import Wanted, add_variants
from spineps_rt.models import embedded_models, load_model
from spineps_rt.models.manifest import MANIFEST, Model
from spineps_rt.models.resolve import read_file, select_variant


def export(source: Path, output: Path, *, overwrite: bool = False, wanted: Wanted | None = None) -> list[str]:
    """Make a model folder.

    Args:
        source: A model of SPINEPS, as :mod:`~spineps_rt.export.checkpoints.source` takes it; or a model
            folder of this runtime or an embedded model's name, whose graphs are taken over as they are.
        output: The model folder, created if missing; may be the source.
        overwrite: A model there may be replaced.
        wanted: How to make it of folds, and which variants as well.

    Returns:
        What to tell the user, a line each: how every engine agrees, and notes.

    Raises:
        ModelError: The source cannot be read or run, a graph does not answer as it must or is too large, or
            there are no folds to run in turn.
        EngineError: PyTorch or another library is missing, or the processor has not the bfloat16 wanted.
        OutputExistsError: A model is there already.
        OutputError: The folder cannot be written.
    """
    if (output / MANIFEST).exists() and not overwrite:
        raise OutputExistsError(f"{output} already holds a model; pass --overwrite to replace it.")
    wanted = wanted or Wanted()
    load_onnxruntime()  # before minutes of work are in vain
    if BF16 in wanted.precisions:
        require_bfloat16()
    with tempfile.TemporaryDirectory(prefix="spineps-rt-") as staging:
        staged = Path(staging)
        present = _present(source)
        if present is not None and wanted.in_turn:
            raise ModelError(
                f"{source} is a model of this runtime already, and its graphs are taken over as they are: "
                "leave --folds out, or export SPINEPS's folder again with it."
            )
        if present is not None:
            lines = _taken_over(present, staged)
        else:
            with export_extra():
                from spineps_rt.export.convert import convert  # noqa: PLC0415 (PyTorch)

            lines = convert(source, staged, in_turn=wanted.in_turn)
        if wanted.precisions or wanted.batch > 1:
            lines += add_variants(staged, wanted)
        load_model(staged)
        manifest, graphs = read_folder(staged)
        write_folder(output, graphs, manifest)
    return lines


def _present(source: Path) -> Model | None:
    """The source as a model of this runtime, if it is one."""
    if (source / MANIFEST).is_file():
        return load_model(source)
    for model in () if source.exists() else embedded_models():
        if str(source) in (model.name, model.folder.name):
            return model
    return None


def _taken_over(model: Model, staged: Path) -> list[str]:
    """Copy a model, every graph of it verified."""
    manifest, _ = read_folder(model.folder)
    names = [name for key in ("", *model.variants) for name in select_variant(model, key).graphs]
    write_folder(staged, {name: read_file(model, name) for name in dict.fromkeys(names)}, manifest)
    return [f"{', '.join(model.graphs)} as in {model.folder} (SHA-256 {model.sha256[:12]}...)"]
