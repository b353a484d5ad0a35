"""Steps of ``benchmarks.gpu_acceptance`` for the inference libraries; what is not installed is skipped."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.checkout import ROOT
from benchmarks.gpu_acceptance import SkippedError, require, require_gpu
from benchmarks.gpu_basics import run_tests

RTX_TARGETS = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")
"""GPUs that TensorRT-RTX knows; it runs on no data-centre GPU of Hopper's or Blackwell's."""


def onnx_runtime() -> dict[str, Any]:
    """Whole stages, the self-test and a benchmark by ONNX Runtime's CUDA provider."""
    require_gpu()
    (onnxruntime,) = require("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise SkippedError("ONNX Runtime is installed as its build for processors")
    require("onnx", "pytest")
    return {"tests": run_tests("test_device_gpu.py"), **_commands("cuda")}


def tensorrt() -> dict[str, Any]:
    """Build engines of TensorRT on this GPU, compare them, and time them."""
    require_gpu()
    require("tensorrt", "onnx", "pytest")
    return {"tests": run_tests("test_engine_tensorrt.py"), **_built("tensorrt")}


def tensorrt_rtx() -> dict[str, Any]:
    """Build engines of TensorRT-RTX for this GPU, compare them, and time a first and a second start."""
    require_gpu()
    require("tensorrt_rtx", "onnx", "pytest")
    from spineps_rt.backends.gpu import compute_capability  # noqa: PLC0415

    here = compute_capability()
    if here not in RTX_TARGETS:
        raise SkippedError(f"TensorRT-RTX does not run on {here}; it knows {', '.join(RTX_TARGETS)}")
    return {"tests": run_tests("test_engine_tensorrt.py"), **_built("tensorrt-rtx")}


def _built(library: str) -> dict[str, Any]:
    """Build both embedded models' engines into the user's own cache; run self-test and benchmark twice."""
    require("click", "nibabel", "PIL")
    from spineps_rt.backends.gpu import compute_capability  # noqa: PLC0415
    from spineps_rt.models import resolve_models  # noqa: PLC0415

    words = ["export", "--engine", library]
    if library == "tensorrt-rtx":
        words += ["--sm", str(compute_capability()).removeprefix("sm")]
    models = resolve_models(None)
    for model in (models.semantic, models.instance):
        _command(*words, str(model.folder))
    return {"first": _commands(library), "second": _commands(library)}


def _commands(device: str) -> dict[str, Any]:
    """Self-test and benchmark of a device by the package's own commands."""
    require("click", "nibabel", "PIL")
    selftest = _command("selftest", "--device", device)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bench.json"
        _command("bench", "--engines", device, "--runs", "5", "--json", str(target))
        return {
            "selftest": selftest[-1500:],
            "bench": json.loads(target.read_text(encoding="utf-8"))["engines"],
        }


def _command(*words: str) -> str:
    script = (
        "import sys; from benchmarks.checkout import link_checkout; link_checkout(); "
        "from spineps_rt.cli.main import main; sys.argv[0] = 'spineps-rt'; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"spineps-rt {' '.join(words)}: exit code {done.returncode}: {done.stderr[-1500:]}"
        )
    return done.stdout
