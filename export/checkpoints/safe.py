"""Checkpoints without their danger: a pickle can call anything, and this one may call almost nothing.

PyTorch's own weights-only reader comes first. It refuses whatever is no tensor: the NumPy numbers in the log
of an nnU-Net checkpoint, the options of a Lightning one. For those there is a second reader, which knows the
few functions that rebuild tensors; every other name becomes an empty class that takes what it is given and
does nothing.
"""

from __future__ import annotations

import pickle
import types
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from spineps_rt.errors import ModelError
from spineps_rt.models.archive import check_archive

_REBUILDERS = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch", "Size"),
    ("torch.nn.parameter", "Parameter"),
}
"""What the second reader looks up for real; names that hold "Storage" PyTorch takes itself, as mere types."""


class StandIn:
    """An object of a class that was not loaded: takes every argument and keeps none."""

    def __new__(cls, *_: Any, **__: Any) -> StandIn:
        """Make one, whatever the arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> StandIn:
        """Do nothing: what is called was not loaded either."""
        return StandIn()

    def __setstate__(self, state: Any) -> None:
        """Take a state and drop it."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take an item and drop it."""

    def append(self, item: Any) -> None:
        """Take an item and drop it."""

    def extend(self, items: Any) -> None:
        """Take items and drop them."""

    def add(self, item: Any) -> None:
        """Take an item and drop it."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _REBUILDERS:
            return super().find_class(module, name)
        return type("StandIn", (StandIn,), {})


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU without running anything that is in it.

    Args:
        path: A file that ``torch.save`` wrote.

    Returns:
        Its content. Tensors, numbers, texts, lists and dictionaries are themselves; an object of any other
        class is a :class:`StandIn` or missing.

    Raises:
        ModelError: The file is missing, damaged, no checkpoint, or nothing but a program.
    """
    try:
        packed = zipfile.is_zipfile(path)
        if packed:
            check_archive(path)
        content = _weights_only(path)
        if content is None:
            content = _with_stand_ins(path, packed=packed)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}). Copy it again.") from error
    if not isinstance(content, dict):
        raise ModelError(
            f"{path} holds a {type(content).__name__}; expected the dictionary of a checkpoint of nnU-Net or "
            "Lightning. Nothing of it was run."
        )
    return content


def _weights_only(path: Path) -> Any:
    """Content, or None where the strict reader refuses it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what the second reader will tell as an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 (damaged or merely more than weights: the second reader tells)
        return None


def _with_stand_ins(path: Path, *, packed: bool) -> Any:
    if not packed:
        raise ModelError(
            f"{path} is damaged, or of the format before PyTorch 1.6 with more than weights in it. Save it "
            "again with a newer PyTorch, or keep only its state_dict."
        )
    with zipfile.ZipFile(path) as archive:
        if any(name.split("/")[-1] == "constants.pkl" for name in archive.namelist()):
            raise ModelError(f"{path} is a TorchScript program; expected a checkpoint with weights.")
    reader = types.SimpleNamespace(__name__="spineps_rt.export.checkpoints.safe", Unpickler=_Reader)
    try:
        return torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)
    except Exception as error:
        raise ModelError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}: {error}). Nothing of it was "
            "run. Copy it again, or keep only its state_dict."
        ) from error
