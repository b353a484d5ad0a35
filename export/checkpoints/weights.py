"""Weights into a network: all of them, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spineps_rt.errors import ModelError


def load_exactly(network: nn.Module, state: Any, *, path: Path) -> None:
    """Copy a state into a network; float16 weights become float32.

    Args:
        network: Gets the weights.
        state: Parameter names and tensors, as a checkpoint holds them.
        path: The checkpoint, for messages.

    Raises:
        ModelError: The state is none; or a weight is missing, too much, of another shape, or not finite.
    """
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{path} holds no table of weights where nnU-Net and Lightning put it.")
    own = network.state_dict()
    shapes = [key for key in own if key in state and state[key].shape != own[key].shape]
    problems = {
        "missing": [key for key in own if key not in state],
        "too much": [key for key in state if key not in own],
        "of another shape": [
            f"{key} ({tuple(state[key].shape)}, expected {tuple(own[key].shape)})" for key in shapes
        ],
    }
    if any(problems.values()):
        said = "; ".join(f"{what}: {_listed(keys)}" for what, keys in problems.items() if keys)
        raise ModelError(
            f"{path} does not fit the network that its folder describes. {said[0].upper() + said[1:]}."
        )
    spoilt = [key for key, value in state.items() if not torch.isfinite(value.float()).all()]
    if spoilt:
        raise ModelError(f"{path} holds NaN or infinity in {_listed(spoilt)}; the training had failed.")
    network.load_state_dict(state)


def _listed(keys: Iterable[str]) -> str:
    keys = list(keys)
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{', '.join(keys[:3])}{more}"
