"""PyTorch as the network between our buffers: an ONNX interpreter that needs no inference library.

It proves kernels, streams, memory and masks on a GPU where neither ONNX Runtime nor TensorRT is installed. It
is no engine of the package: the runtime never imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

from spineps_rt.backends.base import Engine
from spineps_rt.backends.device_buffers import Buffers, DeviceRun
from spineps_rt.backends.gpu import free_memory
from spineps_rt.errors import ModelError
from spineps_rt.models.manifest import Model, TensorSpec
from spineps_rt.models.resolve import read_graph

GPU = "cuda"
"""PyTorch's name of the device; a test without a GPU puts another in its place."""
PRECISIONS = ("fp32", "tf32", "fp16")
_TYPES = {1: torch.float32, 2: torch.uint8, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16}
Values = list[Any]
Attributes = dict[str, Any]


def _spatial(x: Values, a: Attributes) -> tuple[list[int], list[int], list[int], list[int]]:
    """Padding before and behind every axis, strides and dilations."""
    axes = x[1].ndim - 2
    pads = list(a.get("pads") or [0] * 2 * axes)
    return (
        pads[:axes],
        pads[axes:],
        list(a.get("strides") or [1] * axes),
        list(a.get("dilations") or [1] * axes),
    )


def _convolve(x: Values, a: Attributes) -> torch.Tensor:
    before, behind, strides, dilations = _spatial(x, a)
    image, bias = x[0], x[2] if len(x) > 2 else None
    if before != behind:
        sides = zip(reversed(before), reversed(behind))
        image, before = F.pad(image, [n for side in sides for n in side]), [0] * len(before)
    function = getattr(F, f"conv{len(before)}d")
    return function(image, x[1], bias, strides, before, dilations, a.get("group", 1))


def _deconvolve(x: Values, a: Attributes) -> torch.Tensor:
    before, behind, strides, dilations = _spatial(x, a)
    if before != behind:
        raise ModelError(f"ConvTranspose has uneven pads {a['pads']}; this interpreter takes even ones.")
    extra = a.get("output_padding") or [0] * len(before)
    bias = x[2] if len(x) > 2 else None
    function = getattr(F, f"conv_transpose{len(before)}d")
    return function(x[0], x[1], bias, strides, before, extra, a.get("group", 1), dilations)


def _reshape(x: Values, _: Attributes) -> torch.Tensor:
    sizes = [x[0].shape[n] if size == 0 else size for n, size in enumerate(x[1].tolist())]
    return x[0].reshape(sizes)


def _depth_to_space(x: Values, a: Attributes) -> torch.Tensor:
    size, (n, channels, height, width) = a["blocksize"], x[0].shape
    rest = channels // size**2
    if a.get("mode", b"DCR") == b"DCR":
        split = x[0].reshape(n, size, size, rest, height, width).permute(0, 3, 4, 1, 5, 2)
    else:
        split = x[0].reshape(n, rest, size, size, height, width).permute(0, 1, 4, 2, 5, 3)
    return split.reshape(n, rest, height * size, width * size)


def _arg_max(x: Values, a: Attributes) -> torch.Tensor:
    return x[0].argmax(dim=a["axis"], keepdim=bool(a.get("keepdims", 1)))


OPERATORS: dict[str, Callable[[Values, Attributes], torch.Tensor]] = {
    "Conv": _convolve,
    "ConvTranspose": _deconvolve,
    "InstanceNormalization": lambda x, a: F.instance_norm(x[0], weight=x[1], bias=x[2], eps=a["epsilon"]),
    "BatchNormalization": lambda x, a: F.batch_norm(x[0], x[3], x[4], x[1], x[2], eps=a["epsilon"]),
    "LeakyRelu": lambda x, a: F.leaky_relu(x[0], a.get("alpha", 0.01)),
    "Relu": lambda x, _: F.relu(x[0]),
    "Concat": lambda x, a: torch.cat(x, a["axis"]),
    "Add": lambda x, _: x[0] + x[1],
    "Sub": lambda x, _: x[0] - x[1],
    "Mul": lambda x, _: x[0] * x[1],
    "Div": lambda x, _: x[0] / x[1],
    "Less": lambda x, _: x[0] < x[1],
    "Equal": lambda x, _: x[0] == x[1],
    "Where": lambda x, _: torch.where(x[0], x[1], x[2]),
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
    "Identity": lambda x, _: x[0],
    "Reshape": _reshape,
    "DepthToSpace": _depth_to_space,
    "ArgMax": _arg_max,
}


class Graph:
    """A model's graph on a device of PyTorch's."""

    def __init__(self, content: bytes, *, device: str, precision: str = "fp32") -> None:
        """Read it.

        Args:
            content: A serialised ONNX model.
            device: ``cpu`` or ``cuda``.
            precision: One of :data:`PRECISIONS`; TF32 is a switch of the process.

        Raises:
            ModelError: It holds an operator that is not in :data:`OPERATORS`.
        """
        graph = onnx.load_from_string(content).graph
        self._float = torch.float16 if precision == "fp16" else torch.float32
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        self._input, self._output = graph.input[0].name, graph.output[0].name
        self._nodes = [
            (node, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute})
            for node in graph.node
        ]
        unknown = {node.op_type for node, _ in self._nodes} - {*OPERATORS, "Cast", "Constant"}
        if unknown:
            raise ModelError(f"The graph holds {', '.join(sorted(unknown))}; this interpreter does not.")
        self._constants = {
            v.name: self._constant(numpy_helper.to_array(v), device) for v in graph.initializer
        }
        for node, attributes in self._nodes:
            if node.op_type == "Constant":
                array = numpy_helper.to_array(attributes["value"])
                self._constants[node.output[0]] = self._constant(array, device)
        self._last = {name: n for n, (node, _) in enumerate(self._nodes) for name in node.input}

    def _constant(self, array: np.ndarray, device: str) -> torch.Tensor:
        tensor = torch.from_numpy(np.array(array))
        if tensor.dtype == torch.int64:  # a shape, which the host reads
            return tensor
        return tensor.to(device, self._float if tensor.dtype.is_floating_point else tensor.dtype)

    @torch.inference_mode()
    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Run it; what is not needed any more is let go of at once."""
        values = {self._input: batch.to(self._float) if batch.dtype.is_floating_point else batch}
        for n, (node, attributes) in enumerate(self._nodes):
            if node.op_type == "Constant":
                continue
            x = [values[name] if name in values else self._constants[name] for name in node.input]
            if node.op_type == "Cast":
                kind = _TYPES[attributes["to"]]
                answer = x[0].to(self._float if kind.is_floating_point else kind)
            else:
                answer = OPERATORS[node.op_type](x, attributes)
            values[node.output[0]] = answer
            for name in node.input:
                if self._last[name] == n:
                    values.pop(name, None)
        return values[self._output]


def shown(buffer: Any) -> torch.Tensor:
    """A device array of numba's as a tensor over the same memory."""
    return torch.as_tensor(buffer, device=GPU)


class TorchRun(DeviceRun):
    """A graph between the buffers, on our stream."""

    def __init__(self, graph: Graph, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._graph, self._ends = graph, (shown(self.input), shown(self.output))
        self._theirs: Any = torch.cuda.ExternalStream(int(self.stream)) if torch.cuda.is_available() else None

    def launch(self) -> None:
        """Put one run on the stream."""
        with torch.cuda.stream(self._theirs):
            self._ends[1].copy_(self._graph(self._ends[0]))


class TorchEngine(Engine):
    """An engine of the package whose network PyTorch runs."""

    def __init__(self, model: Model, *, on_gpu: bool = True, precision: str = "fp32") -> None:
        """Read the model's graph.

        Args:
            model: The model.
            on_gpu: Between buffers of the GPU, or else on arrays of the host.
            precision: One of :data:`PRECISIONS`.
        """
        self._on_gpu, self._where, self._precision = on_gpu, GPU if on_gpu else "cpu", precision
        self._device: TorchRun | None = None
        self._graph = Graph(read_graph(model), device=self._where, precision=precision)
        self._ends = [model.input], [model.output]
        super().__init__(model, provider=f"PyTorch {torch.__version__} {self._where} {precision}")

    def _signature(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        return self._ends

    def _run(self, batch: np.ndarray) -> np.ndarray:
        answer = self._graph(torch.from_numpy(batch).to(self._where))
        return answer.cpu().numpy().astype(self.model.output.dtype, copy=False)

    def device_buffers(self, shared: Buffers | None = None) -> TorchRun | None:
        """Return the network between buffers of the GPU; None on the host."""
        if self._on_gpu and self._device is None:
            with self.explained():
                self._device = TorchRun(self._graph, shared or Buffers((self.model.input, self.model.output)))
        return self._device

    def switch_variant(self, model: Model) -> bool:
        """Read another variant's graph."""
        self._graph = Graph(read_graph(model), device=self._where, precision=self._precision)
        self._ends = [model.input], [model.output]
        self._adopt(model)
        return True

    def release_buffers(self) -> None:
        """Give everything back, PyTorch's own store included."""
        if self._device is not None:
            self._device = None
            free_memory()
            torch.cuda.empty_cache()
