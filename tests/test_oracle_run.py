"""The whole pipeline with the answers of SPINEPS's own networks gives its masks, voxel by voxel."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmarks.golden import read
from benchmarks.oracle_run import record, recorded_networks
from spineps_rt.options import AS_SPINEPS
from spineps_rt.pipeline import Pipeline

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="takes minutes without the JIT")
@pytest.mark.parametrize("name", ["lumbar", "cervical"])
def test_pipeline_gives_the_final_masks_of_spineps(tmp_path, name):
    golden = read(GOLDEN / f"{name}.npz")
    record(GOLDEN / f"{name}.npz", tmp_path / "answers.npz")
    rng = np.random.default_rng(1)
    image = rng.integers(100, 900, golden.semantic.shape).astype(np.int16)
    image[0, 0, 0] = 0
    scan = tmp_path / "sub-x_T2w.nii.gz"
    nib.save(nib.Nifti1Image(image, golden.semantic.affine), scan)
    networks, _ = recorded_networks(tmp_path / "answers.npz")
    result = Pipeline(options=AS_SPINEPS, predictors=networks).run(scan)
    np.testing.assert_array_equal(result.semantic.array, golden.semantic.array)
    np.testing.assert_array_equal(result.instances.array, golden.instances.array)
