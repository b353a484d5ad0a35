"""What a model folder's ``manifest.json`` says, checked field by field.

A manifest is the contract between the export step and the runtime: the runtime takes every property of a
network from it and never guesses one from the graph.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spineps_rt.errors import EngineError, ModelError
from spineps_rt.models.fields import Fields, is_list, is_number, is_spacing
from spineps_rt.models.graphs import (
    GRAPH,
    Cost,
    FileSpec,
    FirstLayer,
    Variant,
    read_cost,
    read_files,
    read_first_layer,
    read_folds,
    read_variants,
)

SCHEMA = 1
"""The manifest version this runtime reads."""

MANIFEST = "manifest.json"
NORMALISATIONS = ("zscore",)


@dataclass(frozen=True)
class TensorSpec:
    """Name, numpy dtype name and static shape of a network's input or output."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """One network and its contract, as both kinds share it."""

    folder: Path
    name: str
    modalities: tuple[str, ...]
    acquisition: str
    """Plane of the slices: sag, cor, ax or iso."""
    orientation: tuple[str, ...]
    """Axis codes of the stage's arrays, for instance P, I, R."""
    axes: tuple[str, ...]
    """Axis codes of the network's tensors, a permutation of ``orientation``."""
    spacing: tuple[float, ...] | None
    """mm along ``orientation``; None where the model takes a range."""
    spacing_range: tuple[tuple[float, ...], tuple[float, ...]] | None
    """Smallest and largest mm along ``orientation``; None where the spacing is fixed."""
    input: TensorSpec
    output: TensorSpec
    files: dict[str, FileSpec]
    folds: tuple[str, ...]
    """Graphs that run in turn and whose answers are averaged; ``model.onnx`` where one graph is all."""
    variants: dict[str, Variant]
    """By name: a precision (``fp16``), a batch (``b4``) or both (``fp16.b4``)."""
    variant: str
    """The one that an engine is to run; empty for the model's own graphs: float32, batch 1."""
    cost: Cost | None
    """What a run asks for; None where the export did not say."""
    licence: str
    provenance: str
    intended_use: str

    @property
    def graphs(self) -> tuple[str, ...]:
        """Names of the files that engines are to run, one after the other."""
        return self.variants[self.variant].graphs if self.variant else self.folds

    @property
    def sha256(self) -> str:
        """SHA-256 of the graph, for the run record; of several, that of their digests in a row."""
        digests = [self.files[name].sha256 for name in self.graphs]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    @property
    def batch(self) -> int:
        """Samples that the graph takes at once."""
        return self.input.shape[0]

    @property
    def axis_order(self) -> tuple[int, ...]:
        """``array.transpose(axis_order)`` brings a stage's array into the network's axis order."""
        return tuple(self.orientation.index(axis) for axis in self.axes)

    def require_vouched(self, engine: str) -> None:
        """Refuse an engine on which the export did not find the model's variant to agree.

        Args:
            engine: One of ``models.graphs.ENGINES``.

        Raises:
            EngineError: The manifest does not vouch for it.
        """
        variant = self.variants.get(self.variant)
        if variant and not variant.vouched(engine):
            raise EngineError(
                f"Variant {self.variant!r} of model {self.name!r} ({self.folder}) was not found to agree on "
                f"{engine}; it was on {', '.join(variant.engines)}. Choose one of these, or export the "
                f"variant again on a machine with {engine}."
            )


@dataclass(frozen=True)
class SemanticModel(Model):
    """A network that answers one logit per class and voxel, run tile by tile."""

    patch: tuple[int, ...]
    """Tile size in the network's axis order, voxels."""
    step: float
    """Distance of neighbouring tiles as a fraction of the patch, above 0 and at most 1."""
    normalisation: str
    """One of :data:`NORMALISATIONS`."""
    mirror_axes: tuple[int, ...]
    """Tiles are also run mirrored along every combination of these of the three ``axes``, and averaged."""
    labels: dict[int, int]
    """Class index, from 1, to semantic label id; class 0 is background."""
    sacrum_ids: tuple[int, ...]

    @property
    def label_table(self) -> np.ndarray:
        """uint8 array of length classes: ``label_table[class_map]`` is the label map."""
        return np.array([0, *(self.labels[i + 1] for i in range(len(self.labels)))], dtype=np.uint8)


@dataclass(frozen=True)
class InstanceModel(Model):
    """A network that finds a vertebra and its neighbours in a cutout of a semantic mask."""

    cutout: tuple[int, ...]
    """Cutout size in the order of ``orientation``, voxels."""
    mapping: dict[int, int]
    """Semantic label id to the label that the network takes; labels it does not name become 0."""
    corpus_size_cleaning: float
    """Smaller vertebral bodies are removed before cutouts are placed; voxels of the model's spacing."""
    vert_size_threshold: float
    """Smaller vertebrae are removed from the answer; voxels of the model's spacing, as SPINEPS."""
    first_layer: FirstLayer | None
    """What an engine on the CPU may leave to a kernel (``kernels/one_hot.py``); None: nothing."""


def read_manifest(folder: Path) -> SemanticModel | InstanceModel:
    """Read and check ``manifest.json``; the other files are not touched.

    Args:
        folder: The model folder.

    Returns:
        The model.

    Raises:
        ModelError: The manifest is missing, no JSON, of another schema version, or contradicts itself.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} is no model folder: it holds no {MANIFEST}.") from error
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read as JSON: {error}. Copy or export the model again."
        ) from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds a {type(data).__name__}; expected a JSON object.")
    if data.get("schema") != SCHEMA:
        raise ModelError(
            f"{path} has schema version {data.get('schema')!r}; this runtime reads version {SCHEMA}. "
            "Export the model again, or update spineps-rt."
        )
    fields = Fields(data, path)
    if fields.text("kind", ("semantic", "instance")) == "semantic":
        return _semantic(fields, folder)
    return _instance(fields, folder)


def _common(fields: Fields, folder: Path, dtypes: tuple[str, ...]) -> dict[str, Any]:
    orientation, axes = fields.axes("orientation"), fields.axes("axes")
    if sorted(axes) != sorted(orientation):
        raise fields.refuse("axes", f"an order of the orientation's axes {', '.join(orientation)}")
    fixed = ranged = None
    if "spacing_range" in fields.data:
        expected = "the smallest and the largest spacing, three mm each"
        low_high = fields.take("spacing_range", expected, lambda v: is_list(v, is_spacing) and len(v) == 2)
        ranged = (tuple(map(float, low_high[0])), tuple(map(float, low_high[1])))
    if "spacing" in fields.data or ranged is None:
        fixed = tuple(map(float, fields.take("spacing", "three spacings in mm below 100", is_spacing)))
    files = read_files(fields)
    folds = read_folds(fields, files) if "folds" in fields.data else (GRAPH,)
    return {
        "folder": folder,
        **{key: fields.text(key) for key in ("name", "licence", "provenance", "intended_use")},
        "modalities": fields.texts("modalities"),
        "acquisition": fields.text("acquisition", ("sag", "cor", "ax", "iso")),
        "orientation": orientation,
        "axes": axes,
        "spacing": fixed,
        "spacing_range": ranged,
        "input": _tensor(fields, "input", dtypes),
        "output": _tensor(fields, "output", dtypes),
        "files": files,
        "folds": folds,
        "variants": read_variants(fields, files, len(folds)) if "variants" in fields.data else {},
        "variant": "",
        "cost": read_cost(fields),
    }


def _tensor(fields: Fields, key: str, dtypes: tuple[str, ...]) -> TensorSpec:
    inner = fields.inside(key)
    return TensorSpec(inner.text("name"), inner.text("dtype", dtypes), inner.sizes("shape"))


def _semantic(fields: Fields, folder: Path) -> SemanticModel:
    common = _common(fields, folder, ("float32", "float16"))
    patch, labels = fields.sizes("patch", 3), fields.table("labels")
    if sorted(labels) != list(range(1, len(labels) + 1)):
        raise fields.refuse("labels", "the classes 1, 2, 3 ... without a gap")
    _expect_shape(fields, "input", common["input"], (1, 1, *patch))
    _expect_shape(fields, "output", common["output"], (1, len(labels) + 1, *patch))
    return SemanticModel(
        **common,
        patch=patch,
        step=float(
            fields.take("step", "a number above 0 and at most 1", lambda v: is_number(v) and 0 < v <= 1)
        ),
        normalisation=fields.inside("normalisation").text("scheme", NORMALISATIONS),
        mirror_axes=_mirror_axes(fields, "mirror_axes"),
        labels=labels,
        sacrum_ids=fields.sizes("sacrum_ids"),
    )


def _mirror_axes(fields: Fields, key: str) -> tuple[int, ...]:
    if key not in fields.data:
        return ()
    return tuple(fields.take(key, "some of 0, 1, 2, ascending", lambda v: v == sorted(set(v) & {0, 1, 2})))


def _instance(fields: Fields, folder: Path) -> InstanceModel:
    common = _common(fields, folder, ("uint8",))
    if len(common["folds"]) > 1:
        raise fields.refuse("folds", "no such field: an instance model answers classes, which have no mean")
    cutout = fields.sizes("cutout", 3)
    sizes = tuple(cutout[common["orientation"].index(axis)] for axis in common["axes"])
    _expect_shape(fields, "input", common["input"], (1, 1, *sizes))
    _expect_shape(fields, "output", common["output"], (1, *sizes))
    return InstanceModel(
        **common,
        cutout=cutout,
        mapping=fields.table("mapping"),
        corpus_size_cleaning=fields.number("corpus_size_cleaning"),
        vert_size_threshold=fields.number("vert_size_threshold"),
        first_layer=read_first_layer(fields),
    )


def _expect_shape(fields: Fields, key: str, spec: TensorSpec, shape: tuple[int, ...]) -> None:
    if spec.shape != shape:
        raise fields.refuse(key, f"the shape {list(shape)}, which follows from the manifest's other fields")
