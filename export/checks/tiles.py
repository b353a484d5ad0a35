"""What a network is tried on: tiles of a phantom and of real scans. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spineps_rt.errors import ContractError, NoSpineError, SpinepsError
from spineps_rt.inference.normalise import normalise
from spineps_rt.io.nifti import read_nifti
from spineps_rt.labels import CORPUS
from spineps_rt.models import ModelPair, default_models
from spineps_rt.models.manifest import InstanceModel, Model, SemanticModel
from spineps_rt.phantom import PRESETS, PhantomOptions, make_phantom
from spineps_rt.pipeline import segment
from spineps_rt.scan import check_scan
from spineps_rt.stages.preprocess import preprocess
from spineps_rt.volume import reorient, rescale

_SEED = 20271
_FIELD_MM = {"P": 140.0, "A": 140.0, "I": 0.0, "S": 0.0, "R": 60.0, "L": 60.0}


def tiles_of(model: Model, scans: Sequence[Path] = ()) -> list[np.ndarray]:
    """Cut what a network is tried on: one tile of a phantom, then one of every scan.

    Args:
        model: Semantic or instance.
        scans: NIfTI files, T2w or whatever the model is made for. For an instance model each is segmented
            first, by the embedded semantic model.

    Returns:
        Of the shape of one sample of the model's input, and of its dtype.

    Raises:
        SpinepsError: A scan cannot be read, lies in another plane or shows no spine; the message names it. Or
            no phantom has the model's spacing.
    """
    tiles = [phantom_tile(model)]
    for scan in scans:
        try:
            tiles.append(_scan_tile(model, scan))
        except SpinepsError as error:
            raise type(error)(f"--scan {scan} cannot be used: {error}") from error
    return tiles


def phantom_tile(model: Model) -> np.ndarray:
    """Cut the middle of a lumbar spine to what a network takes.

    Args:
        model: Semantic or instance.

    Returns:
        Of the shape of one sample of the model's input, and of its dtype: a normalised tile of the image, or
        mapped labels around a vertebral body.

    Raises:
        ContractError: The model's spacing is one that no phantom has.
    """
    along: dict[str, float] = {}
    for code, mm in zip(model.orientation, _spacing(model)):
        along[{"A": "P", "S": "I", "L": "R"}.get(code, code)] = mm
    turned: Any = model.orientation
    options = PhantomOptions(
        ("L2", "L5"),
        spacing=(along["P"], along["I"], along["R"]),
        fov_mm=(_FIELD_MM["P"], 0.0, _FIELD_MM["R"]),
        orientation=turned,
    )
    contrast = PRESETS["t2w" if "T2w" in model.modalities else "t1w"]
    phantom = make_phantom(options, seed=_SEED, contrast=contrast)
    if isinstance(model, SemanticModel):
        return _image_tile(model, phantom.image.array)
    return _label_tile(model, phantom.semantic.array, phantom.instance.array == 22)  # L3


def _scan_tile(model: Model, scan: Path) -> np.ndarray:
    if isinstance(model, SemanticModel):
        found = read_nifti(scan)
        check_scan(found, model, any_plane=False)
        image = reorient(preprocess(found), model.orientation)
        return _image_tile(model, rescale(image, _spacing(model), labels=False).array)
    if not isinstance(model, InstanceModel):
        raise ContractError(f"Model {model.name!r} is neither semantic nor instance.")
    result = segment(scan, model=ModelPair(default_models().semantic, model))
    masks = (reorient(mask, model.orientation) for mask in (result.semantic, result.instances))
    semantic, instances = (rescale(mask, _spacing(model), labels=True).array for mask in masks)
    bodies = np.bincount(instances[semantic == CORPUS], minlength=1)
    bodies[0] = 0
    if not bodies.any():
        raise NoSpineError("No vertebral body belongs to a vertebra; take a scan that shows a spine.")
    return _label_tile(model, semantic, instances == bodies.argmax())


def _spacing(model: Model) -> tuple[float, ...]:
    return model.spacing or (model.spacing_range or ((1.0, 1.0, 1.0),))[0]


def _image_tile(model: SemanticModel, image: np.ndarray) -> np.ndarray:
    """The middle of an image in the model's orientation and spacing."""
    normal = normalise(image.transpose(model.axis_order), model.normalisation)
    cut = _window(normal, [n // 2 for n in normal.shape], model.input.shape[2:])
    return cut[None, None].astype(model.input.dtype)


def _label_tile(model: Model, semantic: np.ndarray, vertebra: np.ndarray) -> np.ndarray:
    """The surroundings of a vertebra's body in masks of the model's orientation and spacing."""
    if not isinstance(model, InstanceModel):
        raise ContractError(f"Model {model.name!r} is neither semantic nor instance.")
    table = np.zeros(256, np.uint8)
    table[list(model.mapping)] = list(model.mapping.values())
    body = (vertebra & (semantic == CORPUS)).transpose(model.axis_order)
    centre = np.argwhere(body).mean(axis=0).astype(int)
    labels = table[semantic.transpose(model.axis_order)]
    return _window(labels, centre.tolist(), model.input.shape[2:])[None, None]


def _window(array: np.ndarray, centre: list[int], size: tuple[int, ...]) -> np.ndarray:
    """A window around a centre; zero where it leaves the array."""
    padded = np.pad(array, [(n, n) for n in size])
    cut = tuple(slice(c + n - n // 2, c + 2 * n - n // 2) for c, n in zip(centre, size))
    return np.ascontiguousarray(padded[cut])
