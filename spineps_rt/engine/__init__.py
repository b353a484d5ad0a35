"""Run a model: ``with open_engine(model) as engine: engine.infer(batch)``."""

from spineps_rt.engine.base import Engine
from spineps_rt.engine.models import (
    InstanceModel,
    Model,
    ModelPair,
    SemanticModel,
    default_models,
    embedded_models,
    load_model,
    resolve_models,
    select_variant,
)
from spineps_rt.engine.providers import open_engine

__all__ = [
    "Engine",
    "InstanceModel",
    "Model",
    "ModelPair",
    "SemanticModel",
    "default_models",
    "embedded_models",
    "load_model",
    "open_engine",
    "resolve_models",
    "select_variant",
]
