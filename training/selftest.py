"""Phantom and answer of ``spineps-rt selftest``: ``python -m training.selftest``, after every new model."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from spineps_rt.diagnostics.selftest import REFERENCE, write_answer
from spineps_rt.io.nifti import read_nifti, write_nifti
from spineps_rt.models import default_models
from spineps_rt.options import EngineOptions, Options
from spineps_rt.phantom import PhantomOptions, make_phantom
from spineps_rt.pipeline import Pipeline

FOLDER = Path("engines") / "selftest"
PHANTOM = PhantomOptions(levels=("L1", "L5"), spacing=(1.3, 1.3, 4.4), fov_mm=(110.0, 0.0, 60.0))
"""Small enough for seconds and for the package; it shows every structure, the end of the cord among them."""
SEED = 20261
GREY_LEVELS = 128
"""Of the stored scan: enough beside its noise."""


@click.command()
def main() -> None:
    """Store the embedded models' answer; make the phantom if it is not there."""
    FOLDER.mkdir(exist_ok=True)
    scan = FOLDER / "scan.nii.gz"
    if not scan.is_file():
        image = make_phantom(PHANTOM, seed=SEED).image
        grey = image.array * ((GREY_LEVELS - 1) / np.percentile(image.array, 99.8))
        write_nifti(scan, grey.round().clip(0, GREY_LEVELS - 1).astype(np.uint8), like=image)
    for former in FOLDER.glob("*_seg-*.nii.gz"):
        former.unlink()
    models = default_models()
    with Pipeline(models, options=Options(engine=EngineOptions(REFERENCE))) as pipeline:
        write_answer(FOLDER, models, pipeline.run(read_nifti(scan)))


if __name__ == "__main__":
    main()
