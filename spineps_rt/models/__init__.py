"""Model folders: the manifest, where models are found, how they are installed."""

from spineps_rt.models.manifest import InstanceModel, Model, SemanticModel
from spineps_rt.models.resolve import (
    ModelPair,
    default_models,
    embedded_models,
    load_model,
    resolve_models,
    select_variant,
)

__all__ = [
    "InstanceModel",
    "Model",
    "ModelPair",
    "SemanticModel",
    "default_models",
    "embedded_models",
    "load_model",
    "resolve_models",
    "select_variant",
]
