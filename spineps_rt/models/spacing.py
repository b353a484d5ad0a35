"""The spacing that a model's volumes have."""

from __future__ import annotations

from collections.abc import Sequence

from spineps_rt.models.manifest import Model


def target_spacing(model: Model, present: Sequence[float]) -> tuple[float, ...]:
    """Say what spacing a volume is resampled to: the model's, or the present one pulled into its range.

    Args:
        model: The model.
        present: mm along the model's ``orientation``.

    Returns:
        mm, likewise.
    """
    if model.spacing is not None:
        return model.spacing
    low, high = model.spacing_range or (tuple(present), tuple(present))
    return tuple(max(min(mm, most), least) for mm, least, most in zip(present, low, high))
