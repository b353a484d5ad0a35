"""Both networks of a pipeline with an engine behind each."""

from __future__ import annotations

from contextlib import ExitStack

from spineps_rt.backends import open_engine
from spineps_rt.inference.instance import InstanceNetwork
from spineps_rt.inference.predictors import Predictors
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.models import ModelPair
from spineps_rt.options import EngineOptions


def open_predictors(models: ModelPair, options: EngineOptions) -> Predictors:
    """Open an engine for each model.

    Args:
        models: Both models.
        options: Device and threads.

    Returns:
        The predictors, to be closed.

    Raises:
        ModelError: A graph is damaged or not what its manifest says.
        EngineError: The device cannot be had.
    """
    with ExitStack() as stack:
        semantic, instance = (
            stack.enter_context(open_engine(model, device=options.device, threads=options.threads))
            for model in (models.semantic, models.instance)
        )
        return Predictors(SemanticNetwork(semantic), InstanceNetwork(instance), stack.pop_all())
