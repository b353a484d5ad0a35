"""What the commands of models have in common: where models lie, and how one is described."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spineps_rt.models import InstanceModel, SemanticModel


def model_folders() -> dict[Path, str]:
    """Folders of the embedded and of the installed models, and which of the two they are."""
    from spineps_rt.models.resolve import embedded_folders  # noqa: PLC0415
    from spineps_rt.models.store import installed_folders  # noqa: PLC0415

    return {
        **dict.fromkeys(embedded_folders(), "embedded"),
        **dict.fromkeys(installed_folders(), "installed"),
    }


def kind_of(model: SemanticModel | InstanceModel) -> str:
    """Word for what a model answers."""
    return "semantic" if hasattr(model, "patch") else "instance"


def spacing_of(model: SemanticModel | InstanceModel) -> str:
    """The spacing, or the smallest and the largest, in mm."""
    if model.spacing is not None:
        return " x ".join(f"{mm:g}" for mm in model.spacing) + " mm"
    low, high = model.spacing_range or ((), ())
    return f"{' x '.join(f'{mm:g}' for mm in low)} to {' x '.join(f'{mm:g}' for mm in high)} mm"
