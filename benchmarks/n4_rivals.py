"""The bias field as antspyx and SimpleITK compute it, with the numbers that SPINEPS 2.1.3 uses."""

from __future__ import annotations

from math import ceil

import numpy as np

from spineps_rt.volume import Box, Volume

ITERATIONS = [50, 50, 50, 50]
CONVERGENCE = 1e-7
SPLINE_MM = 100
SHRINK = 4


def ants_field(volume: Volume, box: Box) -> np.ndarray:
    """Call antspyx as SPINEPS does, but for the field instead of the image."""
    import ants  # noqa: PLC0415 - only the benchmark of N4 needs it

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    spacing = [float(np.linalg.norm(lps[:3, axis])) for axis in range(3)]
    place = {"origin": lps[:3, 3].tolist(), "spacing": spacing, "direction": lps[:3, :3] / spacing}
    image = ants.from_numpy(volume.array, **place)
    answer = ants.n4_bias_field_correction(
        image,
        mask=ants.from_numpy(_mask(volume, box), **place),
        shrink_factor=SHRINK,
        convergence={"iters": ITERATIONS, "tol": CONVERGENCE},
        spline_param=SPLINE_MM,
        return_bias_field=True,
    )
    return answer.numpy()


def itk_field(volume: Volume, box: Box) -> np.ndarray:
    """Pad to whole spans, shrink and run SimpleITK's filter; SimpleITK counts padded voxels from 0.

    Its shrink filter may therefore keep other voxels than ANTs', and then the field is another.
    """
    import SimpleITK as sitk  # noqa: PLC0415 - its own documentation's name; only this needs it

    image, mask = (sitk.GetImageFromArray(a.T) for a in (volume.array, _mask(volume, box).astype(np.uint8)))
    spans, before, after = [], [], []
    for size, mm in zip(volume.shape, volume.spacing):
        spans.append(max(ceil((size - 1) * mm / SPLINE_MM), 1))
        extra = int((spans[-1] * SPLINE_MM - (size - 1) * mm) / mm + 0.5)
        before.append(extra // 2)
        after.append(extra - extra // 2)
    for part in (image, mask):
        part.SetSpacing(volume.spacing)
    image, mask = (sitk.ConstantPad(part, before, after, 0) for part in (image, mask))
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(ITERATIONS)
    corrector.SetConvergenceThreshold(CONVERGENCE)
    corrector.SetNumberOfControlPoints([count + 3 for count in spans])
    corrector.Execute(*(sitk.Shrink(part, [SHRINK] * 3) for part in (image, mask)))
    field = sitk.GetArrayFromImage(sitk.Exp(corrector.GetLogBiasFieldAsImage(image))).T
    return field[tuple(slice(low, low + size) for low, size in zip(before, volume.shape))]


def _mask(volume: Volume, box: Box) -> np.ndarray:
    mask = np.zeros(volume.shape, np.float32)
    mask[box] = 1
    return mask
