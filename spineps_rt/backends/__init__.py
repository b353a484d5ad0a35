"""Inference libraries behind one contract: ``with open_engine(model) as engine: engine.infer(batch)``."""

from spineps_rt.backends.base import Engine
from spineps_rt.backends.registry import open_engine

__all__ = ["Engine", "open_engine"]
