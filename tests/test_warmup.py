"""After a warm-up nothing is left to compile."""

from __future__ import annotations

import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from spineps_rt.phantom import PhantomOptions, make_phantom

COUNT = """
import sys
import numba.core.dispatcher as dispatcher
import gc
from spineps_rt.pipeline import Pipeline
from spineps_rt.io.naming import output_paths
from spineps_rt.report.write import write_outputs
from pathlib import Path

with Pipeline() as pipeline:
    for name in sys.argv[1:]:
        write_outputs(pipeline.run(name), output_paths(Path(name)))
kernels = [k for k in gc.get_objects() if isinstance(k, dispatcher.Dispatcher)]
missed = {k.py_func.__qualname__: sum(k.stats.cache_misses.values()) for k in kernels}
print(sum(k.stats.cache_hits != {} for k in kernels), {k: n for k, n in missed.items() if n})
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_first_scan_after_warmup_compiles_nothing(tmp_path):
    """Another shape, another orientation, whole numbers: what a scanner sends."""
    made = make_phantom(
        PhantomOptions(levels=("T12", "L5"), spacing=(1.0, 1.0, 3.9), fov_mm=(150.0, 0.0, 66.0)), seed=20261
    )
    turned = nib.Nifti1Image(made.image.array.astype(np.int16), made.image.affine)
    turned = turned.as_reoriented(nib.orientations.axcodes2ornt(("R", "A", "S")))
    scan = tmp_path / "sub-x_T2w.nii.gz"
    nib.save(turned, scan)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    command = [sys.executable, "-m", "spineps_rt", "warmup"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("ready")
    found = subprocess.run(
        [sys.executable, "-c", COUNT, scan], env=environment, capture_output=True, text=True, check=True
    )
    used, missed = found.stdout.strip().split(" ", 1)
    assert int(used) > 10
    assert missed == "{}"
