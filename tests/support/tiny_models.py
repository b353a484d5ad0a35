"""Tiny real ONNX models with known answers, as complete model folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEMANTIC_LABELS = {
    1: 26,
    2: 41,
    3: 42,
    4: 43,
    5: 44,
    6: 45,
    7: 46,
    8: 47,
    9: 48,
    10: 49,
    11: 60,
    12: 61,
    13: 62,
    14: 100,
}
"""Class index -> label id, the 14 structures."""

MAPPING = {26: 0, **{label: label - 40 for label in range(41, 50)}, 50: 9, 51: 9}


def write_semantic(
    folder: Path,
    *,
    levels: Sequence[float] = (-1.0, 0.0, 1.0),
    labels: dict[int, int] | None = None,
    patch: tuple[int, int, int] = (8, 16, 16),
    spacing: tuple[float, float, float] = (1.0, 1.0, 2.0),
    field: np.ndarray | None = None,
    **manifest: Any,
) -> Path:
    """Write a semantic model whose class is the index of the nearest level to the z-scored intensity.

    Args:
        folder: Made if need be.
        levels: One z-scored intensity per class, background first; see :func:`zscore_levels`.
        labels: Class index -> label id; by default the first ``len(levels) - 1`` of SEMANTIC_LABELS.
        patch: Tile in network order (R, I, P).
        spacing: mm along P, I, R.
        field: float32 (1, classes, *patch) added to the logits, so that tiles disagree; its NaN answers NaN.
        manifest: Fields that replace the manifest's.

    Returns:
        The folder.
    """
    table = labels or dict(list(SEMANTIC_LABELS.items())[: len(levels) - 1])
    classes = len(levels)
    level = np.asarray(levels, np.float64)
    # -(x - l)² without the x² that all classes share: a 1x1x1 convolution.
    weight = (2 * level).astype(np.float32).reshape(classes, 1, 1, 1, 1)
    bias = (-(level**2)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["image", "weight", "bias"], ["logits" if field is None else "raw"])]
    constants = {"weight": weight, "bias": bias}
    if field is not None:
        nodes.append(helper.make_node("Add", ["raw", "field"], ["logits"]))
        constants["field"] = np.asarray(field, np.float32)
    shapes = {"image": [1, 1, *patch], "logits": [1, classes, *patch]}
    fields = {
        "kind": "semantic",
        "axes": ["R", "I", "P"],
        "patch": list(patch),
        "step": 0.5,
        "normalisation": {"scheme": "zscore"},
        "input": {"name": "image", "dtype": "float32", "shape": shapes["image"]},
        "output": {"name": "logits", "dtype": "float32", "shape": shapes["logits"]},
        "labels": {str(k): v for k, v in table.items()},
        "sacrum_ids": [26],
    }
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    return _write(
        Path(folder), nodes, ends, constants, {**_common("semantic", spacing), **fields, **manifest}
    )


def write_instance(
    folder: Path,
    *,
    cutout: tuple[int, int, int] = (16, 24, 8),
    band: int = 8,
    spacing: tuple[float, float, float] = (1.0, 1.0, 2.0),
    axes: Sequence[str] = ("P", "I", "R"),
    first_class: int = 1,
    **manifest: Any,
) -> Path:
    """Write an instance model that answers by height along I: 1, then 2 in the middle ``band`` rows, then 3.

    Args:
        folder: Made if need be.
        cutout: (P, I, R) voxels.
        band: Distance from one vertebra to the next, voxels.
        spacing: mm along P, I, R.
        axes: Order of the network's axes.
        first_class: Class of the topmost rows; the others follow.
        manifest: Fields that replace the manifest's.

    Returns:
        The folder.
    """
    rows = np.arange(cutout[1])
    low = (cutout[1] - band) // 2
    answer = (first_class + (rows >= low) + (rows >= low + band)).astype(np.uint8)
    order = ["PIR".index(axis) for axis in axes]
    where = np.ascontiguousarray(np.broadcast_to(answer[None, :, None], cutout).transpose(order))
    constants = {
        "where": where[None],
        "zero": np.zeros((1, 1, 1, 1), np.uint8),
        "shape": np.array([1, *where.shape], np.int64),
    }
    nodes = [
        helper.make_node("Reshape", ["labels", "shape"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["inside"], to=TensorProto.BOOL),
        helper.make_node("Where", ["inside", "where", "zero"], ["classes"]),
    ]
    shapes = {"labels": [1, 1, *where.shape], "classes": [1, *where.shape]}
    fields = _instance_fields(cutout, axes, where.shape)
    ends = [helper.make_tensor_value_info(n, TensorProto.UINT8, s) for n, s in shapes.items()]
    return _write(
        Path(folder), nodes, ends, constants, {**_common("instance", spacing), **fields, **manifest}
    )


def write_one_hot_instance(folder: Path, **manifest: Any) -> Path:
    """Write an instance model of one convolution of one-hot labels and an arg-max; its first layer is named.

    Args:
        folder: Made if need be.
        manifest: Fields that replace the manifest's.

    Returns:
        The folder.
    """
    cutout = (10, 12, 6)
    rng = np.random.default_rng(8)
    constants = {
        "ids": np.arange(10, dtype=np.int32).reshape(1, 10, 1, 1, 1),
        "weight": rng.normal(size=(4, 10, 3, 3, 3)).astype(np.float32),
        "bias": rng.normal(size=4).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["labels"], ["wide"], to=TensorProto.INT32),
        helper.make_node("Equal", ["wide", "ids"], ["hot"]),
        helper.make_node("Cast", ["hot"], ["channels"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["channels", "weight", "bias"], ["features"], pads=[1] * 6),
        helper.make_node("ArgMax", ["features"], ["best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], ["classes"], to=TensorProto.UINT8),
    ]
    ends = [
        helper.make_tensor_value_info("labels", TensorProto.UINT8, [1, 1, *cutout]),
        helper.make_tensor_value_info("classes", TensorProto.UINT8, [1, *cutout]),
    ]
    first = {"weights": "weight", "bias": "bias", "output": "features"}
    fields = {**_instance_fields(cutout, ("P", "I", "R"), cutout), "first_layer": first}
    return _write(
        Path(folder), nodes, ends, constants, {**_common("instance", (1.0, 1.0, 2.0)), **fields, **manifest}
    )


def _instance_fields(
    cutout: Sequence[int], axes: Sequence[str], network_shape: Sequence[int]
) -> dict[str, Any]:
    return {
        "kind": "instance",
        "axes": list(axes),
        "cutout": list(cutout),
        "input": {"name": "labels", "dtype": "uint8", "shape": [1, 1, *network_shape]},
        "output": {"name": "classes", "dtype": "uint8", "shape": [1, *network_shape]},
        "mapping": {str(k): v for k, v in MAPPING.items()},
        "corpus_size_cleaning": 50,
        "vert_size_threshold": 50,
    }


def convolved(*, half: bool = True, patch: tuple[int, int, int] = (8, 16, 16)) -> bytes:
    """Serialise a graph with a 3x3x3 convolution in float16 or float32, a norm and a head in float32.

    It answers the z-scored image times 1, 2 and 3, plus 0, 1 and 2.
    """
    wide, head = np.zeros((4, 1, 3, 3, 3)), np.zeros((3, 4, 1, 1, 1), np.float32)
    wide[:, :, 1, 1, 1] = 1.0
    head[:, 0] = np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1)
    constants = {
        "wide": wide.astype(np.float16 if half else np.float32),
        "head": head,
        "bias": np.arange(3, dtype=np.float32),
        "one": np.ones(4, np.float32),
        "zero": np.zeros(4, np.float32),
    }
    first = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=first),
        helper.make_node("Conv", ["x", "wide"], ["c"], pads=[1] * 6),
        helper.make_node("Cast", ["c"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("InstanceNormalization", ["w", "one", "zero"], ["n"]),
        helper.make_node("Conv", ["n", "head", "bias"], ["logits"], name="the_head"),
    ]
    shapes = {"image": [1, 1, *patch], "logits": [1, 3, *patch]}
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    return _serialised(nodes, ends, constants)


def add_half_variant(folder: Path, **spec: Any) -> bytes:
    """Give a semantic model :func:`convolved` in float32, and in float16 as its variant fp16.

    Args:
        folder: A model with three classes and the default patch.
        spec: Fields that replace the variant's.

    Returns:
        The variant's graph.
    """
    graphs = {"model.onnx": convolved(half=False), "model.fp16.onnx": convolved()}
    for name, content in graphs.items():
        (Path(folder) / name).write_bytes(content)
    files = {n: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for n, c in graphs.items()}
    variant = {"file": "model.fp16.onnx", "batch": 1, "same_class": 1.0, "worst_dice": 1.0, **spec}
    edit_manifest(folder, files=files, variants={"fp16": variant})
    return graphs["model.fp16.onnx"]


def zscore_levels(image: np.ndarray, intensities: Sequence[float]) -> list[float]:
    """Z-score intensities as the runtime will see them in ``image``: over the box of its non-zero voxels."""
    hit = np.argwhere(image != 0)
    box = tuple(slice(a, b + 1) for a, b in zip(hit.min(0), hit.max(0)))
    inside = image[box].astype(np.float64)
    return [float((value - inside.mean()) / inside.std()) for value in intensities]


def edit_manifest(folder: Path, **changes: Any) -> None:
    """Replace top-level fields of a manifest; a value of None removes the field."""
    path = Path(folder) / "manifest.json"
    data = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


def replace_graph(folder: Path, content: bytes) -> None:
    """Put other bytes in the graph's place and let the manifest vouch for them."""
    (Path(folder) / "model.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_manifest(folder, files={"model.onnx": {"sha256": digest, "bytes": len(content)}})


def _common(kind: str, spacing: Sequence[float]) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": f"tiny-{kind}",
        "modalities": ["T2w"],
        "acquisition": "sag",
        "orientation": ["P", "I", "R"],
        "spacing": list(spacing),
        "licence": "Apache-2.0",
        "provenance": "made by a test",
        "intended_use": "tests",
    }


def _write(folder: Path, nodes: list, ends: list, constants: dict, manifest: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = _serialised(nodes, ends, constants)
    (folder / "model.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    files = {"model.onnx": {"sha256": digest, "bytes": len(content)}}
    (folder / "manifest.json").write_text(json.dumps({"files": files, **manifest}, indent=1))
    return folder


def _serialised(nodes: list, ends: list, constants: dict) -> bytes:
    values = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tiny", ends[:1], ends[1:], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
