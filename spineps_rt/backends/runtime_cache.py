"""Kernels that TensorRT-RTX has compiled for this GPU, kept in the private cache beside the engines.

TensorRT-RTX compiles an engine's kernels when its execution context is made, which takes seconds. What it
compiled is code, like an engine: it lies in the same private folder and is taken only if it was made for this
engine, library, GPU and driver and is undamaged. Anything else is refused with a warning and made anew; a
scan never fails for it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spineps_rt.backends.engine_cache import (
    EngineKey,
    cache_folder,
    private_folder,
    read_own,
    require_private,
)
from spineps_rt.errors import EngineError, OutputError
from spineps_rt.io.atomic import write_together

GRAPHS_VARIABLE = "SPINEPS_RT_CUDA_GRAPHS"
"""Environment variable: ``1`` lets TensorRT-RTX record a network's launches as a CUDA graph. Off, as long as
nobody has measured it."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RuntimeKey:
    """What compiled kernels are for."""

    engine: str
    """Name of the engine's key: model, target, precision, library and its version."""
    onnx_sha256: str
    """Of the graph that the engine was built from."""
    gpu: str
    """The GPU's name."""
    driver: str
    """The newest CUDA that its driver runs."""

    @property
    def name(self) -> str:
        """File name without suffix."""
        return f"{self.engine}-{re.sub(r'[^A-Za-z0-9]+', '_', self.gpu)}-{self.driver}"


def runtime_key(engine: EngineKey, gpu_and_driver: tuple[str, str]) -> RuntimeKey:
    """Say what compiled kernels of an engine must be for."""
    return RuntimeKey(engine.name, engine.onnx_sha256, *gpu_and_driver)


def read_runtime_cache(key: RuntimeKey) -> bytes:
    """Read what was compiled.

    Args:
        key: What it shall be for.

    Returns:
        What :func:`write_runtime_cache` was given, or nothing where there is none or it is refused.
    """
    path, beside = _paths(key)
    if not path.is_file():
        return b""
    try:
        require_private(path.parent)
        said, blob = json.loads(read_own(beside)), read_own(path)
    except (OSError, ValueError, EngineError) as error:
        return _refused(path, f"it cannot be read safely ({error})")
    if not isinstance(said, dict):
        return _refused(path, "its metadata are no table")
    for field, expected in asdict(key).items():
        if said.get(field) != expected:
            return _refused(path, f"its {field} is {said.get(field)}, expected {expected}")
    if hashlib.sha256(blob).hexdigest() != said.get("sha256"):
        return _refused(path, "its SHA-256 is not that of its metadata")
    return blob


def write_runtime_cache(key: RuntimeKey, blob: bytes) -> None:
    """Keep what was compiled, in the place of what was kept before.

    Args:
        key: What it is for.
        blob: As the library serialises it.
    """
    path, beside = _paths(key)
    text = json.dumps({**asdict(key), "sha256": hashlib.sha256(blob).hexdigest()}, indent=1) + "\n"
    try:
        private_folder()
        write_together([(path, blob), (beside, text.encode())])
    except (EngineError, OutputError) as error:
        _LOG.warning("Compiled kernels are not kept, so that the next start compiles them again: %s", error)


def context_config(engine: Any, trt: Any, kept: bytes) -> tuple[Any, Any]:
    """Say how an execution context is to be made: in memory that its user gives it, with kept kernels.

    Args:
        engine: An ICudaEngine.
        trt: The library's module.
        kept: From :func:`read_runtime_cache`.

    Returns:
        What ``create_execution_context`` takes, and the library's own cache, which the context fills; None
        in a library without one. Both must live as long as the context.
    """
    strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    if not hasattr(engine, "create_runtime_config"):
        return strategy, None
    config = engine.create_runtime_config()
    config.set_execution_context_allocation_strategy(strategy)
    if os.environ.get(GRAPHS_VARIABLE) == "1" and hasattr(trt, "CudaGraphStrategy"):
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    if not hasattr(config, "create_runtime_cache"):
        return config, None
    cache = config.create_runtime_cache()
    if kept and not cache.deserialize(kept):
        _LOG.warning("The library refuses the kernels kept for this GPU; they are compiled again.")
    config.set_runtime_cache(cache)
    return config, cache


def _paths(key: RuntimeKey) -> tuple[Path, Path]:
    folder = cache_folder()
    return folder / f"{key.name}.runtime", folder / f"{key.name}.runtime.json"


def _refused(path: Path, reason: str) -> bytes:
    _LOG.warning("The compiled kernels in %s are refused: %s; they are compiled again.", path, reason)
    return b""
