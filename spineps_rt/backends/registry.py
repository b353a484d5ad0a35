"""Choose and open the engine for a device."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import metadata

from spineps_rt.backends.base import Engine, UnavailableError
from spineps_rt.backends.folds import FoldsEngine
from spineps_rt.errors import EngineError
from spineps_rt.machine import has
from spineps_rt.models.manifest import Model
from spineps_rt.models.resolve import select_variant

_LOG = logging.getLogger(__name__)


def _openvino(model: Model, threads: int, *, bf16: bool | None = False) -> Engine:
    from spineps_rt.backends.openvino import OpenVinoEngine  # noqa: PLC0415 (each back end loads on demand)

    return OpenVinoEngine(model, threads=threads, bf16=bf16)


def _onnx(model: Model, threads: int) -> Engine:
    from spineps_rt.backends.onnxruntime import CPU, OnnxEngine  # noqa: PLC0415

    return OnnxEngine(model, provider=CPU, threads=threads)


def _cuda(model: Model, threads: int) -> Engine:
    from spineps_rt.backends.onnxruntime import CUDA, OnnxEngine  # noqa: PLC0415

    return OnnxEngine(model, provider=CUDA, threads=threads)


def _onnx_tensorrt(model: Model, threads: int) -> Engine:
    from spineps_rt.backends.onnxruntime import TENSORRT, OnnxEngine  # noqa: PLC0415

    return OnnxEngine(model, provider=TENSORRT, threads=threads)


def _tensorrt(model: Model, threads: int) -> Engine:  # noqa: ARG001 (it has no threads)
    from spineps_rt.backends.tensorrt import TensorRtEngine  # noqa: PLC0415

    return TensorRtEngine(model, library="tensorrt")


def _tensorrt_rtx(model: Model, threads: int) -> Engine:  # noqa: ARG001 (it has no threads)
    from spineps_rt.backends.tensorrt import TensorRtEngine  # noqa: PLC0415

    return TensorRtEngine(model, library="tensorrt-rtx")


_OPENERS: dict[str, Callable[..., Engine]] = {
    "openvino": _openvino,
    "openvino-bf16": partial(_openvino, bf16=True),
    "onnx": _onnx,
    "cuda": _cuda,
    "onnx-tensorrt": _onnx_tensorrt,
    "tensorrt": _tensorrt,
    "tensorrt-rtx": _tensorrt_rtx,
}

_VOUCHED = "openvino, vouched"
_CHOICES: dict[str, tuple[str, ...]] = {
    "auto": ("cuda", _VOUCHED, "onnx"),
    "cpu": (_VOUCHED, "onnx"),
    **{name: (name,) for name in _OPENERS},
}
"""Device to the engines that may serve it, best first; the devices are those of ``options.DEVICES``."""
_OPENERS[_VOUCHED] = partial(_openvino, bf16=None)


def open_engine(
    model: Model, *, device: str = "auto", threads: int = 0, variant: str | None = None
) -> Engine:
    """Open an engine for a model.

    Args:
        model: The model.
        device: One of :data:`spineps_rt.options.DEVICES`. ``auto`` and ``cpu`` take the best engine
            that works; any other is taken at its word.
        threads: CPU threads; 0 leaves it to the engine.
        variant: One of ``model.variants``, or empty for float32 with a batch of one; None takes the one that
            the model stands for.

    Returns:
        The engine, to be closed or used in a ``with``; its ``provider`` says what really runs.

    Raises:
        EngineError: The device is unknown or cannot be had; the message says why and how to get it.
        ModelError: The graph is damaged or not what its manifest says, or there is no such variant.
    """
    if device not in _CHOICES:
        raise EngineError(f"There is no device {device!r}; choose one of {', '.join(_CHOICES)}.")
    if threads < 0:
        raise EngineError(f"{threads} threads were asked for; expected 0 (automatic) or more.")
    if variant is not None:
        model = select_variant(model, variant)
    reasons = []
    for name in _CHOICES[device]:
        try:
            model.require_vouched(name.partition(",")[0].removesuffix("-bf16"))
            one = partial(_OPENERS[name], threads=threads)
            return one(model) if len(model.folds) == 1 else FoldsEngine(model, one)
        except EngineError as error:
            # What is merely absent is no news; what is there and fails is.
            if len(_CHOICES[device]) > 1 and not isinstance(error, UnavailableError):
                _LOG.warning("Trying the next engine, because %s", error)
            reasons.append(str(error))
    details = " ".join([*reasons, installed()])
    raise EngineError(f"Device {device!r} cannot be had. {details}")


_PACKAGES = {
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "tensorrt-rtx": ("tensorrt-rtx", "tensorrt-rtx-cu12"),
}
"""Library to the packages that may hold it."""
_INSTALL = (
    "Install one: pip install openvino on a processor of Intel's or AMD's kind or Arm; "
    "pip install 'spineps-rt[gpu13]' on an NVIDIA GPU with a driver of CUDA 13, [gpu12] with an older one; "
    "pip install 'spineps-rt[onnx]' elsewhere."
)


def installed() -> str:
    """Name the inference libraries that are installed, with their versions, or say how to get one."""
    found = []
    for library, packages in _PACKAGES.items():
        for name in packages if has(library) else ():
            with suppress(metadata.PackageNotFoundError):
                found.append(f"{name} {metadata.version(name)}")
    return f"Installed: {', '.join(found)}." if found else f"No inference library is installed. {_INSTALL}"
