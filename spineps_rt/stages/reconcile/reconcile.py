"""Semantic and instance mask clean each other, in the input's space (SPINEPS ``phase_postprocess_combined``).

Every step works in P, I, R order within the box of the semantic mask. The steps, their order and their rules
are those of SPINEPS 2.1.3, voxel by voxel; an option takes a better rule where its own harms
(docs/parity.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spineps_rt import labels
from spineps_rt.errors import ContractError, NoSpineError
from spineps_rt.kernels import statistics
from spineps_rt.options import ReconcileOptions
from spineps_rt.stages.reconcile import (
    apart,
    articular,
    discs,
    endplates,
    missing_bodies,
    numbering,
    posterior,
    split_top,
    unassigned_bone,
)

_DIRECTIONS = (("P", "A"), ("I", "S"), ("R", "L"))


@dataclass(frozen=True, eq=False)
class Reconciled:
    """Two masks that agree with each other, in the axes that came."""

    semantic: np.ndarray
    """uint8: 26, 41-49, 52, 53, 60-62, 100 ..."""
    instances: np.ndarray
    """uint16: vertebra v, disc ``DISC_OFFSET + v``, endplates ``ENDPLATE_OFFSET + v``, 26, 80."""
    warnings: tuple[str, ...]
    """What a reader should look at, one sentence each."""
    disc_counts: dict[int, int]
    """Vertebra -> components of the disc below it, where that is not one."""
    removed: tuple[apart.Removed, ...]
    """What lay apart from the column."""


def reconcile(
    semantic: np.ndarray,
    instances: np.ndarray,
    *,
    spacing: tuple[float, ...],
    orientation: Sequence[str],
    options: ReconcileOptions | None = None,
    sacrum_ids: Sequence[int] = (labels.SACRUM,),
) -> Reconciled:
    """Make the two masks agree; number the vertebrae; give discs and endplates their vertebra.

    Args:
        semantic: 3-D label map, uint8, in any axis order.
        instances: 3-D label map, vertebra instances in any numbering, same grid.
        spacing: mm per voxel.
        orientation: Axis codes of both arrays, for instance ``("P", "I", "R")``.
        options: Which steps to take, by which rules; None takes the defaults.
        sacrum_ids: Semantic ids that become instance 26, from the model's manifest.

    Returns:
        New masks of the shape that came.

    Raises:
        ContractError: Shapes differ, the arrays are no label maps, or the orientation is none.
        NoSpineError: The semantic mask is empty, or no vertebra is left.
    """
    if semantic.shape != instances.shape or semantic.ndim != 3:
        raise ContractError(
            f"Semantic mask {semantic.shape} and instance mask {instances.shape} must be 3-D, of one shape; "
            "resample both to the input's grid first."
        )
    options = options or ReconcileOptions()
    axes, signs = _to_pir(orientation)
    box = statistics.nonzero_box(semantic)
    if box is None:
        raise NoSpineError("The semantic mask is empty: no spine was found in the field of view.")
    turn = tuple(slice(None, None, sign) for sign in signs)
    sem = np.array(semantic[box].transpose(axes)[turn], np.uint8, order="C")
    inst = np.array(instances[box].transpose(axes)[turn], np.uint16, order="C")
    shape = semantic.shape
    del semantic, instances  # large, and nobody's any more where the caller let go of them
    # SPINEPS sorts along axis 1 of the array that came, whatever that axis is
    height = 1 if options.split_top_by_height else axes.index(1)
    sign = 1 if options.split_top_by_height else signs[height]
    sem, inst, notes = _clean(sem, inst, options, (spacing, height, sign))
    removed: tuple[apart.Removed, ...] = ()
    if options.remove_apart:
        turned = (spacing[axes[0]], spacing[axes[1]], spacing[axes[2]])
        sem, inst, removed = apart.remove_apart(sem, inst, spacing=turned)
    inst, missed, more = _number(sem, inst, options)
    notes += more
    inst[np.isin(sem, list(sacrum_ids))] = labels.SACRUM_INSTANCE
    inst[sem == labels.METAL] = labels.METAL
    inst[sem == labels.DENS] = labels.C2_INSTANCE
    sem, inst, odd, more = _attach(sem, inst, missed, options)
    full_sem, full_inst = np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
    full_sem[box].transpose(axes)[turn] = sem
    full_inst[box].transpose(axes)[turn] = inst
    return Reconciled(full_sem, full_inst, tuple(notes + more), odd, removed)


def _clean(
    sem: np.ndarray,
    inst: np.ndarray,
    options: ReconcileOptions,
    grid: tuple[tuple[float, ...], int, int],
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Make bone and instances cover the same voxels; repair instances."""
    notes = []
    if options.clean_instances_by_semantics:
        inst[sem == 0] = 0
    if options.fix_articular_inconsistency:
        inst = articular.unify(sem, inst)
    if options.assign_missing_components:
        sem, inst, deleted = unassigned_bone.assign(sem, inst)
        if deleted:
            notes.append(
                f"{deleted} voxels of bone far from any vertebra were deleted from the semantic mask"
            )
    if options.merge_split_vertebrae:
        inst, joined = split_top.join_split_top(sem, inst, spacing=grid[0], axis=grid[1], sign=grid[2])
        if joined:
            notes.append("the topmost vertebra was in two instances; they were joined")
    if options.fix_posterior_instances:
        inst = posterior.move_loose_pieces(sem, inst)
    return sem, inst, notes


def _number(
    sem: np.ndarray, inst: np.ndarray, options: ReconcileOptions
) -> tuple[np.ndarray, dict[int, float], list[str]]:
    """Number the vertebrae from the top; also return {id of a missing vertebra: height of its body}."""
    down = numbering.from_top(inst)
    gaps_below = missing_bodies.missing_bodies(sem, inst, down) if options.gap_for_missing_body else {}
    places: dict[int, int] = {}
    free: dict[int, float] = {}
    for instance in down:
        places[instance] = len(places) + len(free)
        for height in gaps_below.get(instance, []):
            free[len(places) + len(free)] = height
    total = len(places) + len(free)
    ids = numbering.vertebra_ids(total, first=options.first_vertebra, spare_sacrum=options.spare_sacrum_id)
    notes = []
    if free:
        notes.append(
            f"two discs follow each other without a body between them: {len(free)} vertebrae are missing"
            " there, and a number is left free for each"
        )
    if spare := [i for i in ids if i in labels.SPARE_INSTANCES]:
        notes.append(
            f"{total} vertebrae are more than have names: the lowest {len(spare)} got ids from {spare[0]} on,"
            " which mean no level"
        )
    return numbering.number(inst, places, ids), {ids[p]: height for p, height in free.items()}, notes


def _attach(
    sem: np.ndarray, inst: np.ndarray, missed: dict[int, float], options: ReconcileOptions
) -> tuple[np.ndarray, np.ndarray, dict[int, int], list[str]]:
    """Give discs and endplates their vertebra; also say which has not one disc, and what else is odd."""
    heights = dict(sorted({**discs.body_heights(sem, inst), **missed}.items()))
    above = options.discs_above_first_body
    inst, odd = discs.attach_discs(sem, inst, heights, above_first=above)
    inst = discs.attach_plates(sem, inst, heights, above_first=above)
    notes = []
    if not discs.is_split(sem):
        sem, deleted = endplates.split(sem, inst, keep_contested=options.keep_contested_endplates)
        if deleted:
            notes.append(
                f"{deleted} endplate voxels next to a vertebra that they do not belong to were deleted"
            )
    return sem, inst, odd, notes


def _to_pir(orientation: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the axis order and the signs that turn an array to P, I, R."""
    codes = tuple(orientation)
    axes = tuple(next((k for k, code in enumerate(codes) if code in pair), -1) for pair in _DIRECTIONS)
    if sorted(axes) != [0, 1, 2] or len(codes) != 3:
        raise ContractError(f"Axis codes must be one each of P/A, I/S and R/L; got {codes}.")
    return axes, tuple(1 if codes[k] == pair[0] else -1 for k, pair in zip(axes, _DIRECTIONS))
