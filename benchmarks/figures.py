"""Figures: the files in results/, what each begins with, and what a process has cost."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import nibabel as nib
import numpy as np

from spineps_rt._version import __version__
from spineps_rt.io.naming import OutputPaths
from spineps_rt.kernels.threads import cores
from spineps_rt.report.record import platform_facts
from spineps_rt.timing import peak_bytes, process_seconds

RESULTS = Path(__file__).parent / "results"


def circumstances(benchmark: str, *packages: str) -> dict[str, Any]:
    """Begin a document; called before anything is measured, because it tells the machine's load.

    Args:
        benchmark: Name under which ``benchmarks.report`` knows it.
        packages: What else than the runtime's own packages is measured.
    """
    facts = platform_facts()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "benchmark": benchmark,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": {
            "cpu": facts["cpu"],
            "cores": cores(),
            "memory_gb": round(memory),
            "system": facts["system"],
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {
            "spineps_rt": __version__,
            "python": facts["python"],
            **facts["packages"],
            **{name: metadata.version(name) for name in packages},
        },
    }


def output(name: str, folder: Path = RESULTS) -> Callable[[Any], Any]:
    """Option ``--output`` of a command that writes figures."""
    kind = click.Path(path_type=Path)
    return click.option("--output", type=kind, default=folder / f"{name}.json", show_default=True)


def load(path: Path) -> dict[str, Any]:
    """Read figures; those of a benchmark that never ran are empty."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save(document: dict[str, Any], path: Path, *, page: str = "benchmarks.report") -> None:
    """Write figures, and name the module that lays them out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    click.echo(f"wrote {path}; now: python -m {page}")


def cost() -> dict[str, float]:
    """Seconds since this process began, processor seconds of its threads, its peak memory in MB."""
    return {
        "seconds": round(process_seconds() or float("nan"), 2),
        "processor_seconds": round(time.process_time(), 2),
        "peak_mb": round(peak_bytes() / 2**20, 1),
    }


def digest(*results: OutputPaths) -> str:
    """Hash of the voxels of both masks of every result."""
    voxels = hashlib.sha256()
    for paths in results:
        for path in (paths.semantic, paths.instances):
            voxels.update(np.asanyarray(nib.load(path).dataobj).tobytes())  # type: ignore[attr-defined]
    return voxels.hexdigest()
