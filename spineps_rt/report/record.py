"""The run record: what ran, on what, with what, for how long. It holds no patient's name, only the file's."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from spineps_rt._version import __version__
from spineps_rt.io.sets import encode_record
from spineps_rt.labels import structure_name
from spineps_rt.machine import cores, now
from spineps_rt.results import Result

SCHEMA = 2
_PACKAGES = (
    *("numpy", "numba", "nibabel", "pillow"),
    *("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx"),
)


def run_record(result: Result, *, name: str, files: Mapping[str, bytes]) -> bytes:
    """Describe a run, and vouch for its files.

    Args:
        result: The finished run.
        name: The record's file name.
        files: Name -> content of the files written beside the record.

    Returns:
        A JSON document, UTF-8.
    """
    image = result.image
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "spineps_rt": __version__,
        "finished": now().isoformat(timespec="seconds"),
        "notice": "Not a medical device; not for clinical use.",
        "input": {
            "file": result.source.name,
            "sha256": result.source.sha256,
            "shape": list(image.shape),
            "spacing_mm": [round(mm, 6) for mm in image.spacing],
            "orientation": "".join(image.orientation),
            "affine": image.affine.tolist(),
        },
        "models": [asdict(network) for network in result.networks],
        "options": asdict(result.options),
        "found": {
            "vertebrae": list(result.vertebrae),
            "levels": "counted from the sacrum" if result.anatomical else "counted from the top",
            "names": {str(v): name for v, name in result.names.items()},
            "instance_ml": {str(v): round(ml, 3) for v, ml in result.volumes.items()},
            "structure_ml": {structure_name(v): round(ml, 3) for v, ml in result.structure_volumes.items()},
        },
        "quality": result.quality.as_record(result.places),
        "warnings": list(result.warnings),
        "seconds": {stage.stage: round(stage.seconds, 3) for stage in result.stages},
        "total_seconds": round(sum(stage.seconds for stage in result.stages), 3),
        "peak_memory_mb": round(result.peak_bytes / 2**20, 1),
        "platform": platform_facts(),
        "exit": 0,
    }
    return encode_record(document, name, files)


@lru_cache(maxsize=1)
def platform_facts() -> dict[str, Any]:
    """Name the system, the processor and the packages that decide speed and answers."""
    return {
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "cpu": cpu_name(),
        "cpu_count": cores(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """Name the processor, as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
