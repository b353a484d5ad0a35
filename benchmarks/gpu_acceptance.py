"""One command for a rented GPU: ``python -m benchmarks.gpu_acceptance --out FILE --budget 420``.

Runs in a bare checkout on Python 3.10 or newer without a network; what is not installed is skipped by name.
docs/gpu-acceptance.md tells how to read the answer. Every step is a process of its own with a time limit, and
the file is written anew after each, so that what was found outlives whatever happens next.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.checkout import ROOT, link_checkout

SCHEMA = 1
LEAST_SECONDS = 5.0
"""A step is not begun with less."""


class SkippedError(Exception):
    """A step that this machine cannot take; the text says what is missing."""


@dataclass(frozen=True)
class Step:
    """Something that a GPU must show."""

    name: str
    function: str
    """Module of ``benchmarks`` and function, a colon between; it returns figures as JSON knows them."""
    seconds: float
    """Time limit."""
    proves: str
    """What is proved if it passes."""


STEPS = (
    Step("env", "gpu_basics:environment", 60, "which machine and libraries these figures are of"),
    Step("kernels", "gpu_basics:kernel_tests", 120, "every kernel answers as its twin on the processor"),
    Step("speed", "gpu_basics:kernel_speed", 90, "kernels at full size, compiled once, and their speed"),
    Step("sanitizer", "gpu_basics:sanitizer", 90, "no kernel reads or writes beside its arrays"),
    Step("context", "gpu_basics:one_context", 60, "libraries share one context, memory and stream order"),
    Step("network", "gpu_networks:network", 120, "networks between our buffers, in fp32, TF32 and fp16"),
    Step("window", "gpu_networks:window", 90, "tiles, mirrored tiles and batches summed as on the host"),
    Step("pipeline", "gpu_scans:pipeline", 150, "masks of whole scans, twice the same"),
    Step("memory", "gpu_networks:memory", 120, "memory is given back, and too little of it is survived"),
    Step("latency", "gpu_scans:latency", 90, "seconds of every stage, and the host's share of them"),
    Step("onnxruntime", "gpu_libraries:onnx_runtime", 120, "ONNX Runtime on our stream and buffers"),
    Step("tensorrt", "gpu_libraries:tensorrt", 180, "engines of TensorRT: built, run and compared"),
    Step("tensorrt-rtx", "gpu_libraries:tensorrt_rtx", 180, "engines of TensorRT-RTX, kept kernels included"),
)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_acceptance", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file, written after every step")
    parser.add_argument("--budget", type=float, default=420, help="seconds for everything (default 420)")
    parser.add_argument("--only", default="", help="names of steps with commas between; all by default")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.step:
        return _in_this_process(asked.step, asked.out)
    names = [name for name in asked.only.split(",") if name]
    if unknown := set(names) - {step.name for step in STEPS}:
        parser.error(f"there is no step {', '.join(sorted(unknown))}")
    chosen = [step for step in STEPS if not names or step.name in names]
    document = run_steps(chosen, out=asked.out, budget=asked.budget)
    for line in summary(document):
        print(line, flush=True)
    return int(any(step["status"] == "failed" for step in document["steps"].values()))


def run_steps(steps: Sequence[Step], *, out: Path, budget: float) -> dict[str, Any]:
    """Take the steps, one process after the other.

    Args:
        steps: What to do.
        out: Written before the first and after every step.
        budget: Seconds for all.

    Returns:
        What was written.
    """
    begun = time.monotonic()
    document: dict[str, Any] = {"schema": SCHEMA, "budget_seconds": budget, "seconds": 0.0, "steps": {}}
    for step in steps:
        document["steps"][step.name] = _answer("skipped", "it was not reached", proves=step.proves)
    _write(out, document)
    for step in steps:
        left = budget - (time.monotonic() - begun)
        if left < LEAST_SECONDS:
            found = _answer("skipped", f"the budget of {budget:g} s is spent")
        else:
            found = _in_a_process(step, min(step.seconds, left), cut=left < step.seconds)
        document["steps"][step.name].update(found)
        document["seconds"] = round(time.monotonic() - begun, 1)
        _write(out, document)
        print(f"{step.name}: {found['status']} {found['reason']}".rstrip(), flush=True)
    return document


def summary(document: dict[str, Any]) -> list[str]:
    """Count the steps and list what stays unproven, a line each."""
    steps = document["steps"]
    counts = {s: [n for n in steps if steps[n]["status"] == s] for s in ("passed", "failed", "skipped")}
    lines = ["", ", ".join(f"{len(names)} {status}" for status, names in counts.items())]
    for name in (*counts["failed"], *counts["skipped"]):
        lines.append(f"unproven: {steps[name]['proves']} ({name}: {steps[name]['reason']})")
    return lines


def require(*modules: str) -> list[Any]:
    """Import libraries, or skip the step by their name."""
    loaded = []
    for name in modules:
        try:
            loaded.append(importlib.import_module(name))
        except Exception as error:
            raise SkippedError(f"{name} cannot be imported ({type(error).__name__}: {error})") from error
    return loaded


def require_gpu() -> None:
    """Skip the step where there is no GPU, and fail it where no kernel runs on the one that is there."""
    from spineps_rt.backends import gpu  # noqa: PLC0415 (after the checkout is linked)

    if not gpu.cuda_devices():
        raise SkippedError("the driver shows no NVIDIA GPU")
    require("numba.cuda")
    if fault := gpu.kernels_fault():
        raise RuntimeError(f"no kernel runs on the GPU: {fault}")


def _answer(status: str, reason: str = "", **more: Any) -> dict[str, Any]:
    return {"status": status, "reason": reason, "seconds": 0.0, "figures": {}, **more}


def _write(path: Path, document: dict[str, Any]) -> None:
    """Put the file there whole."""
    staged = path.with_name(f"{path.name}.part")
    with staged.open("w", encoding="utf-8") as handle:
        handle.write(json.dumps(document, indent=1) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    staged.replace(path)


def _in_a_process(step: Step, limit: float, *, cut: bool) -> dict[str, Any]:
    """Take one step in a process that is ended, with its own processes, when its time is up."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        answer, log = Path(folder) / "answer.json", Path(folder) / "log"
        words = [sys.executable, "-m", "benchmarks.gpu_acceptance", "--out", str(answer), "--step", step.name]
        with log.open("wb") as handle:
            process = subprocess.Popen(
                words, cwd=ROOT, stdout=handle, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                _end(process)
                code = None
        seconds = round(time.monotonic() - start, 2)
        said = log.read_text(encoding="utf-8", errors="replace")[-4000:]
        if code is None:
            reason = f"the budget ended after {limit:.0f} s" if cut else f"it did not end in {limit:.0f} s"
            found = _answer("skipped" if cut else "failed", reason, log=said)
        elif code or not answer.is_file():
            found = _answer("failed", f"its process ended with {code} and no answer", log=said)
        else:
            found = json.loads(answer.read_text(encoding="utf-8"))
    return {**found, "seconds": seconds}


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _in_this_process(name: str, out: Path) -> int:
    """Take one step and write its answer."""
    link_checkout()
    # the module that other modules import is not the one that runs as __main__
    skipped = importlib.import_module("benchmarks.gpu_acceptance").SkippedError
    step = next(step for step in STEPS if step.name == name)
    module, _, function = step.function.partition(":")
    try:
        run: Callable[[], dict[str, Any]] = getattr(importlib.import_module(f"benchmarks.{module}"), function)
        found = _answer("passed", figures=run())
    except skipped as error:
        found = _answer("skipped", str(error))
    except BaseException as error:  # noqa: BLE001 (an interrupt or sys.exit in a step is its failure)
        reason = f"{type(error).__name__}: {error}".strip()
        found = _answer("failed", reason[:500], log=traceback.format_exc()[-4000:])
    _write(out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
