"""SPINEPS's ``inference_config.json``: what of it a manifest says, with SPINEPS 2.1.3's defaults."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spineps_rt.export.checkpoints.source import read_json

from spineps_rt.errors import ModelError
from spineps_rt.labels import VERTEBRA_IDS

INTENDED_USE = "Research. Not a medical device, not for clinical use."
LICENCE = "that of the checkpoint; see where it came from"

_DEFAULT_MAPPING = {**{label: label - 40 for label in range(41, 50)}, 50: 9, 51: 9, 26: 0}
_DEFAULT_CUTOUT = (248, 304, 64)
_NAMES = {
    "Vertebra_Full": 40,
    "Arcus_Vertebrae": 41,
    "Spinosus_Process": 42,
    "Costal_Process_Left": 43,
    "Costal_Process_Right": 44,
    "Superior_Articular_Left": 45,
    "Superior_Articular_Right": 46,
    "Inferior_Articular_Left": 47,
    "Inferior_Articular_Right": 48,
    "Vertebra_Corpus_border": 49,
    "Vertebra_Corpus": 50,
    "Dens_axis": 51,
    "Vertebral_Body_Endplate_Superior": 52,
    "Vertebral_Body_Endplate_Inferior": 53,
    "Vertebra_Disc_Superior": 58,
    "Vertebra_Disc_Inferior": 59,
    "Spinal_Cord": 60,
    "Spinal_Canal": 61,
    "Endplate": 62,
    "Rib_Left": 63,
    "Rib_Right": 64,
    "Metal": 80,
    "Vertebra_Disc": 100,
    **VERTEBRA_IDS,
}
"""Names that a configuration may use for label ids (TPTBox 1.1.0 ``Location`` and ``v_name2idx``)."""


@dataclass(frozen=True)
class Config:
    """A parsed configuration; every question refuses what it cannot answer, naming file and field."""

    path: Path
    data: dict[str, Any]

    def take(self, key: str, expected: str, fits: Callable[[Any], bool], default: Any = None) -> Any:
        """Value of a field, or the default where it is missing.

        Raises:
            ModelError: The value does not fit, or is missing and has no default.
        """
        value = self.data.get(key, default)
        try:
            right = fits(value)
        except (TypeError, ValueError, KeyError, AttributeError):
            right = False
        if not right:
            raise self.refuse(key, expected)
        return value

    def refuse(self, key: str, expected: str) -> ModelError:
        """Make the error for a field; the caller raises it."""
        came = repr(self.data[key]) if key in self.data else "missing"
        return ModelError(f"{self.path}: {key!r} is {came[:200]}; expected {expected}.")

    @property
    def modalities(self) -> list[str]:
        """As manifests spell them, too."""
        value = self.data.get("modality")
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise self.refuse("modality", "a modality or a list of them")
        return names

    @property
    def folds(self) -> list[str]:
        """Names of the folds; a number n means 0 to n - 1, as in SPINEPS."""
        value = self.take(
            "available_folds", "a count, a name or a list", lambda v: isinstance(v, int | str | list)
        )
        if isinstance(value, int):
            return [str(i) for i in range(value)]
        return [value] if isinstance(value, str) else [str(fold) for fold in value]

    @property
    def spacings(self) -> list[tuple[float, ...]]:
        """One spacing in mm, or the smallest and the largest."""
        value = self.data.get("resolution_range")
        rows = value if isinstance(value, list) and len(value) == 2 else [value]
        try:
            spacings = [tuple(float(mm) for mm in row) for row in rows]
            if all(len(s) == 3 and all(0 < mm < 100 for mm in s) for s in spacings):
                return spacings
        except (TypeError, ValueError):
            pass
        raise self.refuse("resolution_range", "three spacings in mm, or the smallest and the largest")

    @property
    def labels(self) -> dict[int, int]:
        """Class index to label id."""
        table = self.take("labels", "an object of class indices and labels", lambda v: isinstance(v, dict))
        try:
            return {int(k): _NAMES[v] if v in _NAMES else int(v) for k, v in table.items()}
        except (TypeError, ValueError) as error:
            raise self.refuse("labels", "label ids or names of TPTBox") from error

    def common(self, kind: str) -> dict[str, Any]:
        """Manifest fields that both kinds share, without axes, tensors and provenance."""
        name = re.sub(r"[^\w.-]+", "_", str(self.data.get("log_name") or self.path.parent.name)).strip("_")
        spacings = [list(s) for s in self.spacings]
        codes = self.take("model_expected_orientation", "three axis codes", lambda v: len(v) == 3)
        return {
            "schema": 1,
            "name": name or kind,
            "kind": kind,
            "modalities": self.modalities,
            "acquisition": self.take("acquisition", "sag, cor, ax or iso", lambda v: v in _PLANES),
            "orientation": list(codes),
            **({"spacing": spacings[0]} if len(spacings) == 1 else {"spacing_range": spacings}),
            "licence": LICENCE,
            "intended_use": INTENDED_USE,
        }

    def semantic(self) -> dict[str, Any]:
        """Manifest fields that only a semantic model has and the configuration knows."""
        sacrum = self.take("sacrum_ids", "label ids", lambda v: all(isinstance(i, int) for i in v), [26])
        return {
            "step": self.take("default_step_size", "a number above 0, at most 1", lambda v: 0 < v <= 1),
            "sacrum_ids": list(sacrum),
            "has_c1": bool(self.data.get("has_c1", False)),
        }

    def instance(self) -> dict[str, Any]:
        """Manifest fields that only an instance model has; the thresholds are those before any scaling."""
        cutout = self.take(
            "cutout_size",
            "three sizes that 8 divides",
            lambda v: len(v) == 3 and all(n > 0 and n % 8 == 0 for n in v),
            _DEFAULT_CUTOUT,
        )
        mapping = self.data.get("mapping") or _DEFAULT_MAPPING
        try:
            mapping = {str(int(label)): int(number) for label, number in mapping.items()}
        except (TypeError, ValueError, AttributeError) as error:
            raise self.refuse("mapping", "an object of label ids and numbers") from error
        limits = {"corpus_size_cleaning": 100, "corpus_border_threshold": 10, "vert_size_threshold": 250}
        return {
            "cutout": [int(n) for n in cutout],
            "mapping": mapping,
            **{
                key: self.take(key, "a number from 0", lambda v: 0 <= v < math.inf, default)
                for key, default in limits.items()
            },
        }


_PLANES = ("sag", "cor", "ax", "iso")


def read_config(path: Path) -> Config:
    """Read ``inference_config.json`` and refuse the kinds of model that this runtime does not run.

    Args:
        path: The file.

    Returns:
        The configuration; its ``modeltype`` is ``nnunet`` or ``unet``.

    Raises:
        ModelError: The file is damaged, or the model is one for CT, a classifier, or takes several inputs.
    """
    config = Config(path, read_json(path))
    kinds = {"nnunet": "img", "unet": "seg"}
    kind = config.data.get("modeltype")
    if kind not in kinds:
        why = " The runtime has no labelling network." if kind == "classifier" else ""
        raise ModelError(f"{path}: a model of type {kind!r} cannot be exported; nnunet and unet can.{why}")
    inputs = config.data.get("expected_inputs", ["img"])
    if inputs != [kinds[kind]]:
        raise ModelError(
            f"{path}: the model takes {inputs}; the runtime gives a {kind} network "
            f"{kinds[kind]!r} and nothing else."
        )
    if kind == "nnunet" and "SEG" in config.modalities:
        raise ModelError(f"{path}: an nnU-Net that takes masks cannot be exported; a unet can.")
    return config
