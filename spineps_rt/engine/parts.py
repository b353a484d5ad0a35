"""Parts of a graph, as a manifest names them."""

from __future__ import annotations

from dataclasses import dataclass

from spineps_rt.engine.fields import Fields


@dataclass(frozen=True)
class FirstLayer:
    """A convolution of one-hot labels, stride 1, padded to keep the size: names of the graph's values."""

    weights: str
    bias: str
    output: str


def first_layer(fields: Fields) -> FirstLayer | None:
    """Read ``first_layer`` where the manifest has it."""
    if "first_layer" not in fields.data:
        return None
    inner = fields.inside("first_layer")
    return FirstLayer(inner.text("weights"), inner.text("bias"), inner.text("output"))
