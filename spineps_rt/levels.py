"""From two raw masks on the scan's grid to two that agree, with levels and what there is to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spineps_rt.errors import NoSpineError
from spineps_rt.kernels.components import label
from spineps_rt.kernels.statistics import region_statistics
from spineps_rt.labels import DISC_OFFSET, VERTEBRAE, structure_name
from spineps_rt.options import Options
from spineps_rt.results import vertebra_names
from spineps_rt.stages.labeling import Levels, name_levels
from spineps_rt.stages.reconcile.apart import REPORTED_ML, Removed, remove_crumbs
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
        crumbs: tuple[str, ...] = ()
        if options.reconcile.remove_apart and levels.anatomical:
            levels, crumbs = _without_crumbs(levels, image)
        discs = disc_warnings(final, levels)
    told = tuple(str(one) for one in final.removed)
    return Finished(levels, final.removed, (*final.warnings, *told, *discs, *levels.warnings, *crumbs))


def _without_crumbs(levels: Levels, image: Volume) -> tuple[Levels, tuple[str, ...]]:
    """Take away what only false vertebrae, which are gone now, held to the column."""
    semantic, instances, lost = remove_crumbs(levels.semantic, levels.instances, spacing=image.spacing)
    told = tuple(
        f"{ml:.2f} ml of {structure_name(structure)} apart from the column were removed"
        for structure, ml in lost.items()
        if ml >= REPORTED_ML
    )
    return replace(levels, semantic=semantic, instances=instances), told


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
        f"{names[levels.renamed[old]]} got {now} disc components instead of one"
        for old in final.disc_counts
        if levels.renamed.get(old) in names and (now := _disc_pieces(levels, levels.renamed[old])) != 1
    )


def _disc_pieces(levels: Levels, vertebra: int) -> int:
    """Pieces of the disc below a vertebra."""
    disc = levels.instances == DISC_OFFSET + vertebra
    return label(disc.view(np.uint8))[1]
