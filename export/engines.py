"""Engines of a model, into the private cache."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spineps_rt.export.tensorrt import BuildOptions, build_engine, targets

from spineps_rt._version import __version__
from spineps_rt.backends.engine_cache import (
    FOLDER_VARIABLE,
    EngineKey,
    cache_folder,
    read_own,
    require_private,
)
from spineps_rt.backends.folds import each_fold
from spineps_rt.backends.tensorrt import FULL, compatible_version, engine_key
from spineps_rt.backends.tensorrt_library import Library, load_library
from spineps_rt.errors import EngineError, ModelError, OutputError
from spineps_rt.io.streams import write_together
from spineps_rt.models.manifest import Model
from spineps_rt.models.resolve import read_graph


@dataclass(frozen=True)
class Stored:
    """An engine in the cache."""

    path: Path
    metadata: dict[str, Any]
    """What lies beside it as JSON."""


def build_engines(
    model: Model, *, library: str, sm: Sequence[str] = (), options: BuildOptions | None = None
) -> list[Stored]:
    """Build a model's engines and put them into the cache: all or none, in the place of former ones.

    Args:
        model: The model, in the variant that is to be built.
        library: ``tensorrt-rtx`` or ``tensorrt``.
        sm: Compute capabilities, for instance ``("75", "86")``; none for TensorRT, which builds for the GPU
            that is here.
        options: What only TensorRT has; its timing cache is replaced by the one that is kept beside the
            engines.

    Returns:
        What was stored.

    Raises:
        UnavailableError: The library is not installed, or TensorRT has no GPU.
        EngineError: A target is unknown, the cache is not private, or the library cannot build the graph.
        ModelError: The graph cannot be read, or is not what the manifest says.
        OutputError: The cache cannot be written.
    """
    loaded, options = load_library(library), options or BuildOptions()
    wanted = _wanted(loaded, sm, options)
    folder = private_folder()
    stored, items = [], []
    for one, target in itertools.product(each_fold(model), wanted):
        timing = folder / f"timing-{target}-{library}-{loaded.version}.cache"
        known = read_own(timing) if timing.is_file() else b""
        key = _key(one, loaded, target, options)
        built = build_engine(
            read_graph(one),
            library=loaded,
            target=target,
            precision=_precision(key.precision),
            options=replace(options, timing_cache=known),
        )
        _require_ends(one, built.report)
        path = folder / f"{key.name}.engine"
        metadata = _metadata(key, built.engine, built.report)
        text = json.dumps(metadata, indent=1) + "\n"
        items += [(path, built.engine), (path.with_name(f"{key.name}.json"), text.encode())]
        items += [(timing, built.timing_cache)] if built.timing_cache else []
        stored.append(Stored(path, metadata))
    write_together(items)
    return stored


def private_folder() -> Path:
    """Make the cache if need be.

    Returns:
        The folder, which only this user can write.

    Raises:
        EngineError: It is there and not private.
        OutputError: It cannot be made.
    """
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The engine cache {folder} cannot be made ({error.strerror}); name another folder with "
            f"{FOLDER_VARIABLE}."
        ) from error
    require_private(folder)
    return folder


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
