"""Parts of a graph and its cost, as a manifest names them."""

from __future__ import annotations

from dataclasses import dataclass

from spineps_rt.models.fields import Fields, is_size


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


@dataclass(frozen=True)
class Cost:
    """What one sample in float32 asks for; of folds in turn all operations, and the bytes of the largest."""

    flops: int
    """Operations of convolutions and matrix products; a multiplication and an addition are two."""
    activation_bytes: int
    """Most memory that values between input and output take at once."""


def cost(fields: Fields) -> Cost | None:
    """Read ``cost`` where the manifest has it."""
    if "cost" not in fields.data:
        return None
    inner = fields.inside("cost")
    told = [inner.take(key, "a whole number above 0", is_size) for key in ("flops", "activation_bytes")]
    return Cost(*told)
