"""A warm-up compiles and loads what a scan needs; it comes first, and its kernels serve all other tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from spineps_rt.phantom import PhantomOptions, make_phantom

KERNELS = """
import gc
import json
import sys
import numba.core.dispatcher as dispatcher
from spineps_rt.cli.main import main

try:
    main()
except SystemExit as left:
    assert not left.code, left.code
kernels = [k for k in gc.get_objects() if isinstance(k, dispatcher.Dispatcher) and k.signatures]
print(json.dumps({
    "used": {f"{k.py_func.__module__} {k.__name__}": list(map(str, k.signatures)) for k in kernels},
    "compiled": [k.py_func.__qualname__ for k in kernels if sum(k.stats.cache_misses.values())],
}))
"""


def kernels_of(*words):
    """Run the command in a new process; answers its lines, its kernels' signatures, and which it compiled."""
    done = subprocess.run(
        [sys.executable, "-c", KERNELS, *map(str, words)], capture_output=True, text=True, check=True
    )
    *lines, last = done.stdout.splitlines()
    found = json.loads(last)
    return lines, found["used"], found["compiled"]


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
    lines, warm, _ = kernels_of("warmup")
    assert lines[-1].startswith("ready")
    _, used, compiled = kernels_of("run", scan)
    assert len(used) > 10
    # whatever lay on disk before, the warm-up loads or compiles every kernel that the scan takes
    lacking = {name: set(kinds) - set(warm.get(name, ())) for name, kinds in used.items()}
    assert {name: kinds for name, kinds in lacking.items() if kinds} == {}
    assert compiled == []
