"""Steps of ``benchmarks.gpu_acceptance`` with PyTorch as the network between our buffers."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.checkout import ROOT
from benchmarks.gpu_acceptance import SkippedError, require, require_gpu

MODELS = ("t2w_semantic", "instance")
LEAST_SAME = {"fp32": 0.9999, "tf32": 0.995, "fp16": 0.99}
"""Share of voxels with the class that the processor gives."""
VOLUME = (60, 200, 160)
"""Of the synthetic scan in the semantic network's axes: four tiles and more."""
GROWTH = 8 << 20
"""Bytes that scans may add to what is taken."""


def network() -> dict[str, Any]:
    """Run both embedded networks between buffers in three precisions; compare and time them."""
    torch = with_torch()
    from benchmarks.torch_network import PRECISIONS, TorchEngine  # noqa: PLC0415

    figures: dict[str, Any] = {}
    for name in MODELS:
        model = embedded(name)
        batch = _batch(model)
        with TorchEngine(model, on_gpu=False) as host:
            expected = _classes(host.infer(batch))
        for precision in PRECISIONS:
            with TorchEngine(model, precision=precision) as engine:
                run = engine.device_buffers()
                same = float((_classes(run.run(batch)) == expected).mean())
                milliseconds = _milliseconds(run, torch)
            figures[f"{name} {precision}"] = {"ms": milliseconds, "same_class": same}
            if same < LEAST_SAME[precision]:
                raise RuntimeError(f"{name} in {precision}: {same:.5f} of the classes are the processor's")
    return figures


def window() -> dict[str, Any]:
    """Sum tiles on the GPU: plain, mirrored, in batches and in float16, against the host's sums."""
    with_torch()
    from benchmarks.torch_network import TorchEngine  # noqa: PLC0415
    from spineps_rt.inference.device_window import DeviceAccumulator  # noqa: PLC0415
    from spineps_rt.inference.host_window import HostAccumulator  # noqa: PLC0415
    from spineps_rt.inference.normalise import measured, normalise  # noqa: PLC0415
    from spineps_rt.inference.tiling import plan_tiles  # noqa: PLC0415
    from spineps_rt.inference.window import sliding_window  # noqa: PLC0415

    model, image = embedded(MODELS[0]), _volume()
    plan = plan_tiles(image.shape, model.patch, model.step)
    figures: dict[str, Any] = {"tiles": len(plan.tiles)}
    ways: dict[str, tuple[int, tuple[int, ...], str]] = {
        "plain": (1, (), "float32"),
        "again": (1, (), "float32"),
        "mirrored": (1, (2,), "float32"),
        "batch of 3": (3, (), "float32"),
        "float16 sums": (1, (), "float16"),
    }
    answers: dict[str, np.ndarray] = {}
    for way, (batch, axes, sums) in ways.items():
        with TorchEngine(_batched(model, batch)) as engine:
            gpu = DeviceAccumulator(engine, measured(image, "zscore"), plan, mirror_axes=axes, sums=sums)
            answers[way] = sliding_window(gpu, plan)
            figures[way] = {"seconds": gpu.seconds}
            # the network's own rounding is not what is compared: the host's sums are of the GPU's logits
            host = HostAccumulator(engine, normalise(image, "zscore"), plan, mirror_axes=axes)
            same = float((answers[way] == sliding_window(host, plan)).mean())
        figures[way]["same_class"] = same
        if same < (0.998 if sums == "float16" else 0.9999):
            raise RuntimeError(f"{way}: {same:.5f} of the classes are those of the host's sums")
    if not np.array_equal(answers["plain"], answers["again"]):
        raise RuntimeError("two runs gave different classes")
    return figures


def memory() -> dict[str, Any]:
    """Look at the GPU's memory over 30 scans, then leave too little of it."""
    with_torch()
    from benchmarks.torch_network import TorchEngine  # noqa: PLC0415
    from spineps_rt.backends.gpu import memory_used  # noqa: PLC0415

    model, image = embedded(MODELS[0]), _volume()
    taken: list[int] = []
    with TorchEngine(model) as engine:
        for _ in range(30):
            _classify(engine, image)
            taken.append(memory_used() or 0)
    if taken[-1] - taken[4] > GROWTH:
        raise RuntimeError(f"25 scans took {(taken[-1] - taken[4]) >> 20} MB more of the GPU: {taken}")
    figures: dict[str, Any] = {"after_scans": {"1": taken[0], "5": taken[4], "30": taken[-1]}}
    with _variants(model, 4) as four:
        return {**figures, **_too_little(model, four, image)}


def _too_little(model: Any, four: Any, image: np.ndarray) -> dict[str, Any]:
    """Fill the GPU until a batch of 4 does not fit, and then until nothing does."""
    torch = with_torch()
    from benchmarks.torch_network import TorchEngine  # noqa: PLC0415

    need, answers = {}, {}
    for batch, one in ((1, model), (4, four)):
        torch.cuda.reset_peak_memory_stats()
        with TorchEngine(one) as engine:
            answers[batch] = _classify(engine, image)
        need[batch] = torch.cuda.max_memory_reserved() + _ours(one, image)
    answer, batch = _cramped(four, image, (need[1] + need[4]) // 2)
    same = 0.0 if answer is None else float((answer == answers[1]).mean())
    if batch != 1 or same < LEAST_SAME["fp32"]:
        raise RuntimeError(f"with room for one tile a batch of {batch} ran, {same:.5f} as before; {need}")
    answer, said = _cramped(four, image, need[1] // 3)
    if answer is not None:
        raise RuntimeError(f"with a third of what is needed it ran: {need}")
    return {"need": need, "one_by_one": same, "refusal": said}


def _cramped(model: Any, image: np.ndarray, left: int) -> tuple[np.ndarray | None, Any]:
    """Classes and the batch that gave them with so many bytes left, or None and what was said."""
    torch = with_torch()
    (cuda,) = require("numba.cuda")
    from benchmarks.torch_network import TorchEngine  # noqa: PLC0415
    from spineps_rt.backends.gpu import free_memory  # noqa: PLC0415
    from spineps_rt.errors import OutOfMemoryError  # noqa: PLC0415

    free_memory()
    torch.cuda.empty_cache()
    with TorchEngine(model) as engine:  # its weights are part of what is needed
        free, _ = cuda.current_context().get_memory_info()
        ballast = cuda.device_array(max(free - left, 1), np.uint8)
        try:
            return _classify(engine, image), engine.model.batch
        except OutOfMemoryError as error:
            return None, str(error)[:500]
        finally:
            del ballast
            free_memory()


def with_torch() -> Any:
    """PyTorch, or a step that is skipped."""
    require_gpu()
    torch, _ = require("torch", "onnx")
    if not torch.cuda.is_available():
        raise SkippedError(f"PyTorch {torch.__version__} finds no GPU")
    return torch


def embedded(name: str) -> Any:
    """An embedded model."""
    from spineps_rt.models import load_model  # noqa: PLC0415

    return load_model(ROOT / "engines" / name)


def _batch(model: Any) -> np.ndarray:
    rng, dtype = np.random.default_rng(1), np.dtype(model.input.dtype)
    if dtype.kind == "f":
        return rng.normal(size=model.input.shape).astype(dtype)
    blocks = rng.integers(0, 10, [-(-size // 8) for size in model.input.shape[2:]], dtype=dtype)
    for axis in range(3):
        blocks = blocks.repeat(8, axis)
    return np.ascontiguousarray(blocks[tuple(map(slice, model.input.shape[2:]))])[None, None]


def _volume() -> np.ndarray:
    """Blobs on a gradient: smooth enough that classes do not all tie, and no patient."""
    axes = np.meshgrid(*(np.linspace(0, 9, size) for size in VOLUME), indexing="ij")
    noise = np.random.default_rng(2).normal(0, 20, VOLUME)
    return (400 + 200 * np.sin(axes[1]) * np.cos(axes[2]) + 100 * axes[0] + noise).astype(np.float32)


def _classes(answer: np.ndarray) -> np.ndarray:
    return answer.argmax(axis=1) if answer.dtype.kind == "f" else answer


def _milliseconds(run: Any, torch: Any) -> float:
    """Of one of ten runs after two, without copies."""
    for _ in range(2):
        run.launch()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(10):
        run.launch()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) * 100


def _batched(model: Any, batch: int) -> Any:
    """The model with ends of a batch: PyTorch takes any, its graph stays."""
    ends = {
        end: replace(spec, shape=(batch, *spec.shape[1:]))
        for end, spec in (("input", model.input), ("output", model.output))
    }
    return replace(model, **ends)


@contextmanager
def _variants(model: Any, batch: int) -> Iterator[Any]:
    """The model in a variant of a batch, in a folder of its own."""
    from spineps_rt.models import load_model  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        shutil.copytree(model.folder, folder)
        content = (folder / "model.onnx").read_bytes()  # PyTorch takes any batch
        (folder / "wide.onnx").write_bytes(content)
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        digest = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        manifest["files"]["wide.onnx"] = digest
        variant = {"file": "wide.onnx", "batch": batch, "same_class": 1.0, "worst_dice": 1.0}
        manifest["variants"] = {**manifest.get("variants", {}), f"b{batch}": variant}
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        yield load_model(f"{folder}@b{batch}")


def _ours(model: Any, image: np.ndarray) -> int:
    """Bytes that the sliding window takes beside PyTorch's."""
    from spineps_rt.inference.device_window import window_bytes  # noqa: PLC0415
    from spineps_rt.inference.tiling import plan_tiles  # noqa: PLC0415

    plan = plan_tiles(image.shape, model.patch, model.step)
    ends = sum(4 * int(np.prod(end.shape)) for end in (model.input, model.output))
    return sum(window_bytes(model, plan, sums="float32").values()) + ends


def _classify(engine: Any, image: np.ndarray) -> np.ndarray:
    """Classes of an image, as the semantic stage gets them, lack of memory survived."""
    from spineps_rt.inference.device_window import DeviceAccumulator  # noqa: PLC0415
    from spineps_rt.inference.normalise import measured  # noqa: PLC0415
    from spineps_rt.inference.out_of_memory import within_memory  # noqa: PLC0415
    from spineps_rt.inference.tiling import plan_tiles  # noqa: PLC0415
    from spineps_rt.inference.window import sliding_window  # noqa: PLC0415

    plan = plan_tiles(image.shape, engine.model.patch, engine.model.step)
    values = measured(image, "zscore")
    answer = within_memory(engine, lambda: sliding_window(DeviceAccumulator(engine, values, plan), plan))
    engine.release_buffers()
    return answer
