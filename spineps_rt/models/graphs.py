"""The graphs of a model folder as its manifest lists them: files, folds and variants."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spineps_rt.models.fields import Fields, is_size

GRAPH = "model.onnx"


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
    """Smallest fraction of a tile's voxels that had the same class, over all engines and tiles tried."""
    worst_dice: float
    """Smallest Dice of a class in all tiles together, over all engines tried."""


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
        )
    return variants
