"""SPINEPS's ``inference_config.json``: what of it a manifest says, with SPINEPS 2.1.3's defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from spineps_rt.errors import ModelError
from spineps_rt.export.checkpoints.source import read_json
from spineps_rt.labels import VERTEBRA_IDS
from spineps_rt.models.fields import Fields, is_list, is_size

INTENDED_USE = "Research. Not a medical device, not for clinical use."
LICENCE = "that of the checkpoint; see where it came from"

_PLANES = ("sag", "cor", "ax", "iso")
_LIMITS = {"corpus_size_cleaning": 100, "vert_size_threshold": 250}
_DEFAULTS: dict[str, Any] = {
    "expected_inputs": ["img"],
    "sacrum_ids": [26],
    "cutout_size": [248, 304, 64],
    "mapping": {**{label: label - 40 for label in range(41, 50)}, 50: 9, 51: 9, 26: 0},
    **_LIMITS,
}
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


class Config(Fields):
    """A parsed configuration, SPINEPS's defaults where it says nothing."""

    remedy = "Take the file as SPINEPS ships it."

    def __init__(self, data: dict[str, Any], path: Path) -> None:
        super().__init__({**_DEFAULTS, **data}, path)

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
        rows: list[Any] = value if isinstance(value, list) and len(value) == 2 else [value]
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
        return {
            "schema": 1,
            "name": name or kind,
            "kind": kind,
            "modalities": self.modalities,
            "acquisition": self.text("acquisition", _PLANES),
            "orientation": list(self.axes("model_expected_orientation")),
            **({"spacing": spacings[0]} if len(spacings) == 1 else {"spacing_range": spacings}),
            "licence": LICENCE,
            "intended_use": INTENDED_USE,
        }

    def semantic(self) -> dict[str, Any]:
        """Manifest fields that only a semantic model has and the configuration knows."""
        return {
            "step": self.take("default_step_size", "a number above 0, at most 1", lambda v: 0 < v <= 1),
            "sacrum_ids": self.take("sacrum_ids", "label ids", lambda v: is_list(v, is_size)),
        }

    def instance(self) -> dict[str, Any]:
        """Manifest fields that only an instance model has; the thresholds are those before any scaling."""
        cutout = self.take(
            "cutout_size",
            "three sizes that 8 divides",
            lambda v: len(v) == 3 and all(n > 0 and n % 8 == 0 for n in v),
        )
        mapping = self.data["mapping"] or _DEFAULTS["mapping"]
        try:
            mapping = {str(int(label)): int(number) for label, number in mapping.items()}
        except (TypeError, ValueError, AttributeError) as error:
            raise self.refuse("mapping", "an object of label ids and numbers") from error
        return {
            "cutout": [int(n) for n in cutout],
            "mapping": mapping,
            **{key: self.number(key) for key in _LIMITS},
        }


def read_config(path: Path) -> Config:
    """Read ``inference_config.json`` and refuse the kinds of model that this runtime does not run.

    Args:
        path: The file.

    Returns:
        The configuration; its ``modeltype`` is ``nnunet`` or ``unet``.

    Raises:
        ModelError: The file is damaged, or the model is one for CT, a classifier, or takes several inputs.
    """
    config = Config(read_json(path), path)
    kinds = {"nnunet": "img", "unet": "seg"}
    kind = config.data.get("modeltype")
    if kind not in kinds:
        why = " The runtime has no labelling network." if kind == "classifier" else ""
        raise ModelError(f"{path}: a model of type {kind!r} cannot be exported; nnunet and unet can.{why}")
    inputs = config.data["expected_inputs"]
    if inputs != [kinds[kind]]:
        raise ModelError(
            f"{path}: the model takes {inputs}; the runtime gives a {kind} network "
            f"{kinds[kind]!r} and nothing else."
        )
    if kind == "nnunet" and "SEG" in config.modalities:
        raise ModelError(f"{path}: an nnU-Net that takes masks cannot be exported; a unet can.")
    return config
