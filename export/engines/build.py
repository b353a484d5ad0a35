"""Engines of a model, into the private cache."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spineps_rt._version import __version__
from spineps_rt.backends.engine_cache import (
    EngineKey,
    private_folder,
    read_own,
)
from spineps_rt.backends.folds import each_fold
from spineps_rt.backends.tensorrt import FULL, HALF, compatible_version, engine_key
from spineps_rt.backends.tensorrt_library import Library, load_library
from spineps_rt.errors import EngineError, ModelError
from spineps_rt.export.engines.tensorrt import BuildOptions, NoFloat32Error, build_engine, targets
from spineps_rt.io.atomic import write_together
from spineps_rt.models.manifest import Model
from spineps_rt.models.resolve import read_graph


@dataclass(frozen=True)
class Stored:
    """An engine in the cache."""

    path: Path
    metadata: dict[str, Any]
    """What lies beside it as JSON."""


@dataclass(frozen=True)
class BuildResult:
    """What came of one request."""

    stored: list[Stored]
    """The engines that are in the cache now."""
    refused: list[str]
    """A sentence for each target that was not built, with the reason."""


def build_engines(
    model: Model, *, library: str, sm: Sequence[str] = (), options: BuildOptions | None = None
) -> BuildResult:
    """Build a model's engines and put them into the cache, in the place of former ones, all at once.

    Args:
        model: The model, in the variant that is to be built.
        library: ``tensorrt-rtx`` or ``tensorrt``.
        sm: Compute capabilities, for instance ``("75", "86")``; none for TensorRT, which builds for the GPU
            that is here.
        options: What only TensorRT has; its timing cache is replaced by the one that is kept beside the
            engines.

    Returns:
        What was stored, and what the library cannot build: of a target, every fold or none.

    Raises:
        UnavailableError: The library is not installed, or TensorRT has no GPU.
        EngineError: The manifest does not vouch for the variant on the library, a target is unknown, or the
            cache is not private.
        ModelError: The graph cannot be read, or is not what the manifest says.
        OutputError: The cache cannot be written.
    """
    model.require_vouched(library)
    loaded, options = load_library(library), options or BuildOptions()
    wanted = _wanted(loaded, sm, options)
    folder = private_folder()
    stored: list[Stored] = []
    refused: list[str] = []
    items: list[tuple[Path, bytes]] = []
    for target in wanted:
        try:
            built = [_built(one, loaded, target, options, folder) for one in each_fold(model)]
        except EngineError as error:
            refused.append(f"{error}{_remedy(error, model)}")
            continue
        stored += [one for one, _ in built]
        items += [item for _, own in built for item in own]
    write_together(items)
    return BuildResult(stored, refused)


def _built(
    model: Model, library: Library, target: str, options: BuildOptions, folder: Path
) -> tuple[Stored, list[tuple[Path, bytes]]]:
    """One engine and the files that it is to be stored as."""
    timing = folder / f"timing-{target}-{library.name}-{library.version}.cache"
    known = read_own(timing) if timing.is_file() else b""
    key = _key(model, library, target, options)
    built = build_engine(
        read_graph(model),
        library=library,
        target=target,
        precision=_precision(key.precision),
        options=replace(options, timing_cache=known),
    )
    _require_ends(model, built.report)
    path = folder / f"{key.name}.engine"
    metadata = _metadata(key, built.engine, built.report)
    text = json.dumps(metadata, indent=1) + "\n"
    items = [(path, built.engine), (path.with_name(f"{key.name}.json"), text.encode())]
    items += [(timing, built.timing_cache)] if built.timing_cache else []
    return Stored(path, metadata), items


def _remedy(error: EngineError, model: Model) -> str:
    """What helps where the library lacks float32, of what this model has."""
    if not isinstance(error, NoFloat32Error):
        return ""
    if HALF in model.variants:
        return f" Build with --precision {HALF}."
    return f" This model has no {HALF}: leave {error.target.removeprefix('sm')} out of --sm."


def _wanted(library: Library, sm: Sequence[str], options: BuildOptions) -> list[str]:
    known = targets(library, options)
    if library.name != "tensorrt-rtx":
        if sm:
            raise EngineError(
                f"{library.name} builds for the GPU of this machine ({known[0]}); leave --sm out."
            )
        return list(known)
    wanted = [f"sm{number}" for number in dict.fromkeys(sm)]
    unknown = [target for target in wanted if target not in known]
    if unknown or not wanted:
        numbers = ",".join(target.removeprefix("sm") for target in known)
        came = f"does not know {', '.join(unknown)}" if unknown else "builds for the GPUs that --sm names"
        raise EngineError(f"{library.name} {library.version} {came}; choose of --sm {numbers}.")
    return wanted


def _precision(variant: str) -> str:
    """Without the batch: of ``fp16.b4`` fp16, of ``b4`` fp32."""
    first = variant.partition(".")[0]
    return FULL if re.fullmatch(r"b\d+", first) else first


def _key(model: Model, library: Library, target: str, options: BuildOptions) -> EngineKey:
    key = engine_key(model, library, target)
    return replace(key, version=compatible_version(key.version)) if options.version_compatible else key


def _require_ends(model: Model, report: dict[str, Any]) -> None:
    for end, spec in (("input", model.input), ("output", model.output)):
        expected = {**asdict(spec), "shape": list(spec.shape)}
        if report[end] != expected:
            raise ModelError(
                f"The graph of model {model.name!r} ({model.folder}) has the {end} {report[end]}; its "
                f"manifest says {expected}. Export the model again."
            )


def _metadata(key: EngineKey, engine: bytes, report: dict[str, Any]) -> dict[str, Any]:
    return {
        **asdict(key),
        "engine_sha256": hashlib.sha256(engine).hexdigest(),
        "engine_bytes": len(engine),
        "spineps_rt": __version__,
        **report,
    }
