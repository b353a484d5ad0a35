"""The SPIDER patients, as partial labels for a network of 15 classes.

Experts drew three things: vertebrae with their posterior elements, discs, and the canal with the cord. Each
voxel therefore allows a *set* of classes rather than one; :data:`ALLOWED` says which. Two sharper sets are
derived from geometry: what lies in front of the canal is vertebral body, what lies behind its front wall is
arch or process. Experts drew no endplates and left the dark rim between body and disc unlabelled: there, and
only there, an endplate is allowed too. They drew no sacrum either, but well above the lowest disc there is
none.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from scipy import ndimage

from spineps_rt import labels as L

HELD_OUT = (18, 52, 81, 146, 209)
"""Patients never trained on: every sixth of the sorted list, from the third on."""

CLASS = {label: index for index, label in enumerate(L.SEMANTIC_CLASSES)}
POSTERIOR = tuple(range(L.ARCUS, L.CORPUS))

IGNORED, BACKGROUND, VERTEBRA, DISC, CANAL, CORPUS, BEHIND, NOTHING = range(8)
RIM = 8
"""Added to a code where an endplate is allowed too."""
EXACT = 16
"""``EXACT + class`` allows that class alone (phantoms)."""
SACRAL_CANAL = EXACT + len(L.SEMANTIC_CLASSES)
"""Canal of phantoms within the sacrum: canal or nothing, since experts end it somewhere there."""
NOT_SACRUM = SACRAL_CANAL + 1
"""Anything but sacrum: what lies outside a sacrum drawn by hand."""
ABOVE_SACRUM = 28
"""Rows (26 mm) above the centre of the lowest disc that the sacrum's processes may reach."""

_SETS: dict[int, tuple[int, ...]] = {
    IGNORED: L.SEMANTIC_CLASSES,
    BACKGROUND: (0, L.SACRUM),
    NOTHING: (0,),
    VERTEBRA: (*POSTERIOR, L.CORPUS),
    DISC: (L.DISC,),
    CANAL: (L.CORD, L.CANAL),
    CORPUS: (L.CORPUS,),
    BEHIND: POSTERIOR,
}


def _allowed() -> np.ndarray:
    table = np.zeros((NOT_SACRUM + 1, len(L.SEMANTIC_CLASSES)), bool)
    for code, labels in _SETS.items():
        table[code, [CLASS[label] for label in labels]] = True
        table[code + RIM, [CLASS[label] for label in (*labels, L.ENDPLATE)]] = True
    for index in range(len(L.SEMANTIC_CLASSES)):
        table[EXACT + index, index] = True
    table[SACRAL_CANAL, [0, CLASS[L.CANAL]]] = True
    table[NOT_SACRUM] = True
    table[NOT_SACRUM, CLASS[L.SACRUM]] = False
    return table


ALLOWED = _allowed()
"""bool (codes, classes): which classes a code allows."""


class Case(NamedTuple):
    """One patient."""

    name: str
    image: np.ndarray
    """float32 (P, I, R), scanner units."""
    codes: np.ndarray
    """uint8 (P, I, R), rows of :data:`ALLOWED`."""
    spacing: tuple[float, float, float]


def load(folder: Path, number: int) -> Case:
    """Read one patient and derive the codes.

    Args:
        folder: Folder that holds ``spider-N_T2w.nii.gz`` and ``spider-N_label.nii.gz``, stored in (P, I, R).
        number: The patient's number.

    Returns:
        The case at its own spacing (0.9375 x 0.9375 x 0.9 mm).
    """
    scan = nib.load(folder / f"spider-{number}_T2w.nii.gz")
    truth = np.asarray(nib.load(folder / f"spider-{number}_label.nii.gz").dataobj).astype(np.uint8)
    image = np.asarray(scan.dataobj, np.float32)
    spacing = tuple(float(z) for z in scan.header.get_zooms()[:3])
    return Case(f"spider-{number}", image, encode(truth), spacing)


def encode(truth: np.ndarray) -> np.ndarray:
    """Turn expert labels (0, 1 vertebra, 2 disc, 3 canal), uint8 (P, I, R), into codes."""
    codes = np.choose(truth, [BACKGROUND, VERTEBRA, DISC, CANAL]).astype(np.uint8)
    front = _front_wall(truth == 3)
    p = np.arange(truth.shape[0])[:, None, None]
    vertebra = truth == 1
    codes[vertebra & (p <= front[None, :, None])] = CORPUS
    codes[vertebra & (p > front[None, :, None] + 3)] = BEHIND
    cross = ndimage.generate_binary_structure(3, 1)
    cross[:, :, [0, 2]] = False
    near_disc = ndimage.binary_dilation(truth == 2, cross, iterations=2)
    near_bone = ndimage.binary_dilation((codes == CORPUS) | (codes == VERTEBRA), cross, iterations=2)
    above = np.arange(truth.shape[1])[:, None] < _highest_sacrum(truth)
    codes[(truth == 0) & above] = NOTHING
    codes[near_disc & near_bone & (truth == 0)] += RIM
    return codes


def _highest_sacrum(truth: np.ndarray) -> int:
    """First row along I that may show sacrum, given expert labels."""
    discs, count = ndimage.label(truth == 2)
    large = 1 + np.flatnonzero(np.bincount(discs.ravel(), minlength=count + 1)[1:] > 300)
    rows = [centre[1] for centre in ndimage.center_of_mass(discs > 0, discs, large)]
    return max(0, round(max(rows, default=0.0)) - ABOVE_SACRUM)


def _front_wall(canal: np.ndarray) -> np.ndarray:
    """First canal voxel along P for each row I, from the central third of the canal's slices."""
    slices = np.flatnonzero(canal.any((0, 1)))
    centre = int(np.average(slices, weights=canal.sum((0, 1))[slices]))
    middle = canal[:, :, max(0, centre - 1) : centre + 2]
    rows = np.flatnonzero(middle.any((0, 2)))
    first = np.median(np.where(middle.any(0), middle.argmax(0), np.nan)[rows], axis=1) if len(rows) else rows
    first = np.where(
        np.isnan(first), np.nanmin(np.where(middle.any(0), middle.argmax(0), np.nan)[rows], axis=1), first
    )
    return np.interp(np.arange(canal.shape[1]), rows, ndimage.median_filter(first, 7))
