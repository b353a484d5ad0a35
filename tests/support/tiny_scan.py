"""A spine of boxes, small enough for tests, and the tiny models that segment it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

import tiny_models

PIR = np.array([[0, 0, 2, -10], [-1, 0, 0, 20], [0, -1, 0, 50], [0, 0, 0, 1]], float)
"""1 x 1 x 2 mm; axis 0 to posterior, 1 to inferior, 2 to the right. (nibabel's world is R, A, S.)"""
LABELS = {1: 49, 2: 41, 3: 42, 4: 100, 5: 61, 6: 26}
STEP = 100
PATCH = (8, 32, 32)
BAND = 16
N_VERTEBRAE = 5


def labels() -> np.ndarray:
    """Semantic truth, uint8 (P, I, R): five vertebrae with discs below, canal and sacrum."""
    truth = np.zeros((48, 108, 12), np.uint8)
    truth[26:31, 4:104, 4:8] = 61
    for k in range(N_VERTEBRAE):
        top = 10 + BAND * k
        truth[8:24, top : top + 12, 2:10] = 49
        truth[32:36, top : top + 10, 3:9] = 41
        truth[36:44, top : top + 10, 5:7] = 42
        truth[8:24, top + 12 : top + BAND, 2:10] = 100
    truth[8:22, 90:104, 2:10] = 26
    return truth


def image(truth: np.ndarray | None = None) -> np.ndarray:
    """int16 image whose intensity tells the class."""
    truth = labels() if truth is None else truth
    out = np.zeros(truth.shape, np.int16)
    for index, label in LABELS.items():
        out[truth == label] = STEP * index
    return out


def write_scan(
    path: Path, array: np.ndarray | None = None, *, axes: str = "PIR", affine: np.ndarray = PIR
) -> Path:
    """Write a (P, I, R) array as NIfTI in another axis order."""
    scan = nib.Nifti1Image(image() if array is None else array, affine)
    codes = nib.orientations.axcodes2ornt(tuple(axes))
    turned = scan.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), codes))
    turned.header.set_xyzt_units("mm")
    turned.set_sform(turned.affine, 1)
    turned.set_qform(turned.affine, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(turned, path)
    return path


def write_models(folder: Path, **semantic: object) -> Path:
    """Write both models into one folder; together they segment :func:`image` without an error."""
    levels = tiny_models.zscore_levels(image(), [STEP * k for k in range(len(LABELS) + 1)])
    options = {"levels": levels, "labels": LABELS, "patch": PATCH, **semantic}
    tiny_models.write_semantic(folder / "semantic", **options)
    tiny_models.write_instance(folder / "instance", cutout=(48, 48, 16), band=BAND)
    return folder
