"""The whole pipeline with the answers of SPINEPS's own networks gives its masks, voxel by voxel."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from spineps_rt.kernels.boxes import cut_windows
from spineps_rt.options import AS_SPINEPS
from spineps_rt.pipeline import Pipeline
from tests.parity.golden import digest, read
from tests.parity.oracle_run import CUTOUT, RecordedInstance, record, recorded_networks

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Watched(RecordedInstance):
    """An instance network that remembers what it was shown."""

    shown: list[str] = field(default_factory=list)

    def classify_windows(self, labels, table, starts):
        self.shown.extend(map(digest, cut_windows(labels, table, starts, CUTOUT)))
        return (yield from super().classify_windows(labels, table, starts))


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
    watched = Watched(networks.instance.record, networks.instance.model)
    networks = replace(networks, instance=watched)
    result = Pipeline(options=AS_SPINEPS, predictors=networks).run(scan)
    assert tuple(watched.shown) == golden.cutouts
    np.testing.assert_array_equal(result.semantic.array, golden.semantic.array)
    np.testing.assert_array_equal(result.instances.array, golden.instances.array)
    centres = {v: point for (v, _), point in result.centroids.points.items()}
    assert centres.keys() == golden.points.keys()
    for v, point in centres.items():
        assert point == pytest.approx(golden.points[v], abs=0.006), v  # SPINEPS rounds to two decimals
