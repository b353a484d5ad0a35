"""ONNX to an engine of TensorRT or TensorRT-RTX. Needs no PyTorch; TensorRT-RTX needs no GPU either."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spineps_rt.backends.base import UnavailableError
from spineps_rt.backends.gpu import compute_capability
from spineps_rt.backends.tensorrt import AMPERE_PLUS, DTYPES
from spineps_rt.backends.tensorrt_library import Library
from spineps_rt.errors import EngineError, ModelError
from spineps_rt.export.engines.layers import layer_report

_PRECISIONS = {"HALF": "fp16", "BF16": "bf16", "FLOAT": "fp32"}
"""TensorRT's name of a product's type -> precision; the first that a graph has names it."""
_PRODUCTS = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
_TURING = "sm75"
"""TensorRT-RTX has no convolutions and matrix products in float32 for it."""


class NoFloat32Error(EngineError):
    """The library has no products of float32 for a target, and the graph needs them."""

    def __init__(self, message: str, target: str) -> None:
        super().__init__(message)
        self.target = target


@dataclass(frozen=True)
class BuildOptions:
    """What only TensorRT has, because it builds on the GPU that it is for."""

    hardware_compatible: bool = False
    """For every GPU from sm80, not only the one at hand: one engine for all, slower on each."""
    version_compatible: bool = False
    """For every release of TensorRT's same major version."""
    timing_cache: bytes = b""
    """What an earlier build measured; empty for none."""


@dataclass(frozen=True)
class Built:
    """An engine and what there is to say about it."""

    engine: bytes
    report: dict[str, Any]
    """Settings, seconds, input and output, and what :mod:`~spineps_rt.export.engines.layers` reads."""
    timing_cache: bytes
    """For the next build; empty from TensorRT-RTX, which measures nothing while it builds."""


def targets(library: Library, options: BuildOptions) -> tuple[str, ...]:
    """List what a library can build for on this machine.

    Args:
        library: TensorRT-RTX builds for every GPU that it knows, TensorRT for the one that is here.
        options: A hardware-compatible engine has a target of its own.

    Returns:
        For instance ``("sm75", "sm80")``.

    Raises:
        UnavailableError: TensorRT has no GPU to build on.
        EngineError: TensorRT-RTX was asked for what only TensorRT has.
    """
    if library.name == "tensorrt-rtx":
        if options.hardware_compatible or options.version_compatible:
            raise EngineError(
                "Engines of tensorrt-rtx are neither hardware- nor version-compatible; name every target "
                "with --sm, or build with tensorrt."
            )
        known = library.module.ComputeCapability.__members__
        return tuple(name.lower() for name in known if name.startswith("SM"))
    here = compute_capability()
    if here is None:
        raise UnavailableError(
            "TensorRT builds on the GPU that the engine is for, and this machine shows none; tensorrt-rtx "
            "builds without."
        )
    return (AMPERE_PLUS if options.hardware_compatible else here,)


def build_engine(
    graph: bytes, *, library: Library, target: str, precision: str, options: BuildOptions | None = None
) -> Built:
    """Build an engine.

    Args:
        graph: A serialised ONNX model. Its types are taken as they are: engines are strongly typed. Only
            for sm75 TensorRT-RTX gets it as :mod:`~spineps_rt.export.engines.turing` writes it.
        library: What builds it.
        target: One of :func:`targets`.
        precision: What the graph computes in, by which it is checked, not changed: fp32, fp16, bf16 or int8.
        options: What only TensorRT has.

    Returns:
        The engine and its report.

    Raises:
        EngineError: The library cannot build this graph; the message holds its reason. A
            :class:`NoFloat32Error` where float16 would do.
        ModelError: The graph cannot be read, or computes in another precision.
    """
    options = options or BuildOptions()
    library.drain_messages()
    start = time.perf_counter()
    rewritten: list[str] = []
    if _without_float32(library, target):
        graph, rewritten = _for_turing(graph)
    builder = library.module.Builder(library.logger)
    network = _parsed(builder, library, graph)
    if (found := _precision(network)) != precision:
        raise ModelError(f"The graph computes in {found}; it was said to be {precision}.")
    if _without_float32(library, target):
        _require_half(network, library, target)
    config = _configured(builder, library, target, options)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineError(
            f"{library.name} {library.version} cannot build this graph for {target} in {precision}: "
            f"{library.error_text()}"
        )
    report = {
        "seconds": round(time.perf_counter() - start, 2),
        "settings": {**_settings(config, library), "rewritten": rewritten},
        "input": _end(network.get_input(0)),
        "output": _end(network.get_output(0)),
        **layer_report(library.drain_messages()),
    }
    times = config.get_timing_cache() if library.name == "tensorrt" else None
    return Built(bytes(engine), report, bytes(times.serialize()) if times else b"")


def _without_float32(library: Library, target: str) -> bool:
    return library.name == "tensorrt-rtx" and target == _TURING


def _for_turing(graph: bytes) -> tuple[bytes, list[str]]:
    try:
        from spineps_rt.export.engines.turing import heads_as_sums  # noqa: PLC0415 (onnx, which no other target needs)
    except ImportError as error:
        raise UnavailableError(
            f"Engines for {_TURING} need the package onnx ({error}): pip install onnx."
        ) from error
    return heads_as_sums(graph)


def _parsed(builder: Any, library: Library, graph: bytes) -> Any:
    flag = library.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    network = builder.create_network(1 << int(flag))
    parser = library.module.OnnxParser(network, library.logger)
    if not parser.parse(graph):
        errors = " ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise ModelError(f"{library.name} {library.version} cannot read the graph: {errors}")
    return network


def _require_half(network: Any, library: Library, target: str) -> None:
    """Refuse what the library would.

    TensorRT-RTX 1.7, once asked in vain, builds the next engine as if it were for Turing too.
    """
    single = [
        layer.name
        for layer in _layers(network)
        if layer.type.name in _PRODUCTS and layer.get_output(0).dtype.name == "FLOAT"
    ]
    if single:
        raise NoFloat32Error(
            f"{library.name} {library.version} has no convolutions and matrix products in float32 for "
            f"{target}; the graph holds {len(single)} ({', '.join(single[:3])}).",
            target,
        )


def _configured(builder: Any, library: Library, target: str, options: BuildOptions) -> Any:
    trt, config = library.module, builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # for the layers of the report
    config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits of the mantissa: float32 in name only
    if library.name == "tensorrt-rtx":
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.__members__[target.upper()], 0)
        return config
    config.set_timing_cache(config.create_timing_cache(options.timing_cache), ignore_mismatch=False)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    return config


def _settings(config: Any, library: Library) -> dict[str, Any]:
    """Say what the builder was set to, as it answers itself."""
    flags = library.module.BuilderFlag.__members__
    return {
        "strongly_typed": True,
        "flags": [name for name, flag in flags.items() if config.get_flag(flag)],
        "optimization_level": config.builder_optimization_level,
        "hardware_compatibility": config.hardware_compatibility_level.name,
    }


def _precision(network: Any) -> str:
    found = set()
    for layer in _layers(network):
        if layer.type.name in ("QUANTIZE", "DEQUANTIZE"):
            return "int8"
        if layer.type.name in _PRODUCTS:
            found.add(layer.get_output(0).dtype.name)
    return next((name for dtype, name in _PRECISIONS.items() if dtype in found), "fp32")


def _layers(network: Any) -> Iterator[Any]:
    return map(network.get_layer, range(network.num_layers))


def _end(tensor: Any) -> dict[str, Any]:
    dtype = tensor.dtype.name
    return {"name": tensor.name, "dtype": DTYPES.get(dtype, dtype), "shape": list(tensor.shape)}
