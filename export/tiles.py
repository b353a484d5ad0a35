"""What a network is tried on: tiles of a phantom at the model's spacing. Needs no PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from spineps_rt.engine.manifest import InstanceModel, Model, SemanticModel
from spineps_rt.engine.normalise import normalise
from spineps_rt.errors import ContractError
from spineps_rt.labels import CORPUS
from spineps_rt.phantom import PRESETS, PhantomOptions, make_phantom

_SEED = 20271
_FIELD_MM = {"P": 140.0, "A": 140.0, "I": 0.0, "S": 0.0, "R": 60.0, "L": 60.0}


def phantom_tile(model: Model) -> np.ndarray:
    """Cut the middle of a lumbar spine to what a network takes.

    Args:
        model: Semantic or instance.

    Returns:
        Of the shape and dtype of the model's input: a normalised tile of the image, or mapped labels around
        a vertebral body.

    Raises:
        ContractError: The model's spacing is one that no phantom has.
    """
    low = model.spacing or (model.spacing_range or ((1.0, 1.0, 1.0),))[0]
    along: dict[str, float] = {}
    for code, mm in zip(model.orientation, low):
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
    size = model.input.shape[2:]
    if isinstance(model, SemanticModel):
        image = normalise(phantom.image.array.transpose(model.axis_order), model.normalisation)
        return _window(image, [n // 2 for n in image.shape], size)[None, None].astype(model.input.dtype)
    if not isinstance(model, InstanceModel):
        raise ContractError(f"Model {model.name!r} is neither semantic nor instance.")
    table = np.zeros(256, np.uint8)
    table[list(model.mapping)] = list(model.mapping.values())
    semantic = phantom.semantic.array.transpose(model.axis_order)
    vertebra = phantom.instance.array.transpose(model.axis_order) == 22  # L3
    centre = np.argwhere(vertebra & (semantic == CORPUS)).mean(axis=0).astype(int)
    return _window(table[semantic], centre.tolist(), size)[None, None]


def _window(array: np.ndarray, centre: list[int], size: tuple[int, ...]) -> np.ndarray:
    """A window around a centre; zero where it leaves the array."""
    padded = np.pad(array, [(n, n) for n in size])
    cut = tuple(slice(c + n - n // 2, c + 2 * n - n // 2) for c, n in zip(centre, size))
    return np.ascontiguousarray(padded[cut])
