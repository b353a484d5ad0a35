"""The graphs of a model folder as its manifest lists them: files, folds, variants, first layer and cost."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spineps_rt.models.fields import Fields, is_list, is_size

GRAPH = "model.onnx"
GPU = "gpu"
"""Stands for every engine of a GPU that a manifest does not name itself."""
GPU_ENGINES = ("cuda", "onnx-tensorrt", "tensorrt", "tensorrt-rtx")
ENGINES = ("onnx", "openvino", GPU, *GPU_ENGINES)
"""What a manifest may vouch for: the devices of a run, each an engine, and :data:`GPU`."""


@dataclass(frozen=True)
class FileSpec:
    """What a file of the model folder must be."""

    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Variant:
    """The same network in another precision or batch, and how far it answered as ``model.onnx`` does."""

    graphs: tuple[str, ...]
    """As of the model; its own where the engine itself makes the variant of them."""
    batch: int
    """Samples that the graph takes at once."""
    same_class: float
    """Smallest fraction of a tile's voxels that had the same class, over all tiles and the engines below."""
    worst_dice: float
    """Smallest Dice of a class in all tiles together, over the engines below."""
    engines: tuple[str, ...] = ENGINES
    """Those of :data:`ENGINES` on which it agreed; all where the manifest does not say."""

    def vouched(self, engine: str) -> bool:
        """Whether the export found it to agree on an engine."""
        return engine in self.engines or (engine in GPU_ENGINES and GPU in self.engines)


def read_files(fields: Fields) -> dict[str, FileSpec]:
    """Read ``files``, by name."""
    inner = fields.inside("files")
    # Plain names: a manifest must not make the runtime read outside its own folder.
    whole = GRAPH in inner.data or "folds" in fields.data
    if not whole or not all(re.fullmatch(r"\w[\w.-]*", name) for name in inner.data):
        raise fields.refuse("files", f"plain file names, {GRAPH!r} or the graphs of 'folds' among them")
    files = {}
    for name in inner.data:
        entry = inner.inside(name)
        digest = entry.take(
            "sha256", "64 hexadecimal digits", lambda v: bool(re.fullmatch("[0-9a-f]{64}", v))
        )
        files[name] = FileSpec(digest, entry.take("bytes", "a whole number above 0", is_size))
    return files


def read_folds(fields: Fields, files: dict[str, FileSpec]) -> tuple[str, ...]:
    """Read ``folds``: graphs among the files."""
    expected = f"two or more of the manifest's files ({', '.join(files)}), each once"
    names = fields.take("folds", expected, lambda v: type(v) is list and len(files.keys() & v) == len(v) > 1)
    return tuple(names)


def read_variants(fields: Fields, files: dict[str, FileSpec], folds: int) -> dict[str, Variant]:
    """Read ``variants``: each with a graph among the files, or one for every fold."""
    inner = fields.inside("variants")
    if not all(re.fullmatch(r"[a-z]\w*(\.b\d+)?", name) for name in inner.data):
        raise fields.refuse("variants", "names such as fp16, b4 or fp16.b4")
    variants = {}
    for name in inner.data:
        entry = inner.inside(name)
        graphs = read_folds(entry, files) if folds > 1 else (entry.text("file", tuple(files)),)
        if len(graphs) != folds:
            raise entry.refuse("folds", f"{folds} files, as many as the model has folds")
        variants[name] = Variant(
            graphs,
            entry.take("batch", "a whole number above 0", is_size),
            entry.number("same_class"),
            entry.number("worst_dice"),
            _engines(entry),
        )
    return variants


def _engines(entry: Fields) -> tuple[str, ...]:
    if "engines" not in entry.data:
        return ENGINES
    expected = f"a list of some of {', '.join(ENGINES)}"
    return tuple(entry.take("engines", expected, lambda v: bool(v) and is_list(v, ENGINES.__contains__)))


@dataclass(frozen=True)
class FirstLayer:
    """A convolution of one-hot labels, stride 1, padded to keep the size: names of the graph's values."""

    weights: str
    bias: str
    output: str


def read_first_layer(fields: Fields) -> FirstLayer | None:
    """Read ``first_layer`` where the manifest has it."""
    if "first_layer" not in fields.data:
        return None
    inner = fields.inside("first_layer")
    return FirstLayer(inner.text("weights"), inner.text("bias"), inner.text("output"))


@dataclass(frozen=True)
class Cost:
    """What one sample in float32 asks for; of folds in turn all operations, and the bytes of the largest."""

    flops: int
    """Operations of convolutions and matrix products; a multiplication and an addition are two."""
    activation_bytes: int
    """Most memory that values between input and output take at once."""


def read_cost(fields: Fields) -> Cost | None:
    """Read ``cost`` where the manifest has it."""
    if "cost" not in fields.data:
        return None
    inner = fields.inside("cost")
    return Cost(
        *(inner.take(key, "a whole number above 0", is_size) for key in ("flops", "activation_bytes"))
    )
