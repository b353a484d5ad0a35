"""From two raw masks on the scan's grid to two that agree, with levels and what there is to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spineps_rt.errors import NoSpineError
from spineps_rt.kernels.statistics import region_statistics
from spineps_rt.labels import VERTEBRAE
from spineps_rt.options import Options
from spineps_rt.results import vertebra_names
from spineps_rt.stages.labeling import Levels, name_levels
from spineps_rt.stages.reconcile.apart import Removed
from spineps_rt.stages.reconcile.reconcile import Reconciled, reconcile
from spineps_rt.timing import Clock
from spineps_rt.volume import Volume


@dataclass(frozen=True, eq=False)
class Finished:
    """Masks as they are delivered."""

    levels: Levels
    """Both masks, and what the numbers mean."""
    removed: tuple[Removed, ...]
    """What lay apart from the column."""
    warnings: tuple[str, ...]
    """What a reader should know, in final names."""


def finish_masks(
    masks: list[np.ndarray], image: Volume, *, options: Options, sacrum_ids: Sequence[int], clock: Clock
) -> Finished:
    """Reconcile two masks and name levels.

    Args:
        masks: Semantic and instance mask on the scan's grid; emptied, so that they take no memory meanwhile.
        image: The scan.
        options: What was asked for.
        sacrum_ids: Semantic ids of the sacrum, from the model's manifest.
        clock: Times the stages ``reconcile`` and ``labeling``.

    Raises:
        NoSpineError: No vertebra is left.
    """
    with clock.stage("reconcile"):
        final = reconcile(
            masks.pop(0),
            masks.pop(0),
            spacing=image.spacing,
            orientation=image.orientation,
            options=options.reconcile,
            sacrum_ids=sacrum_ids,
        )
        if not np.isin(final.instances, list(VERTEBRAE)).any():
            raise NoSpineError("No vertebra is left after cleaning; check that the scan shows a spine.")
    with clock.stage("labeling"):
        levels = name_levels(final.semantic, final.instances, affine=image.affine, options=options.labeling)
        discs = disc_warnings(final, levels)
    told = tuple(str(one) for one in final.removed)
    return Finished(levels, final.removed, (*final.warnings, *told, *discs, *levels.warnings))


def disc_warnings(final: Reconciled, levels: Levels) -> tuple[str, ...]:
    """Say which vertebra has not one disc below it, by the name that it has in the end.

    Args:
        final: Before levels were named.
        levels: What its numbers became.
    """
    if not final.disc_counts:
        return ()
    names = vertebra_names(region_statistics(levels.instances).present, anatomical=levels.anatomical)
    return tuple(
        f"{names[levels.renamed[old]]} got {got} disc components instead of one"
        for old, got in final.disc_counts.items()
        if levels.renamed.get(old) in names
    )
