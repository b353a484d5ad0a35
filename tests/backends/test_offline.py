"""A run leaves no trace but its results: the inference libraries' telemetry stays off."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import tiny_scan
from spineps_rt.io.naming import output_paths


@pytest.mark.parametrize("device", ["onnx", "auto"])
def test_a_run_writes_nothing_into_the_home_folder(tmp_path, device):
    home = tmp_path / "home"
    home.mkdir()
    models = tiny_scan.write_models(tmp_path / "models")
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    settings["HOME"] = str(home)  # NUMBA_CACHE_DIR stays: wherever numba keeps kernels, it is not there
    settings.pop("CI", None)  # telemetry holds still on build machines; patients' scans are elsewhere
    words = [sys.executable, "-m", "spineps_rt", "run", scan, "--model", models, "--device", device]
    subprocess.run([str(word) for word in words], env=settings, check=True, timeout=300, capture_output=True)
    assert all(path.is_file() for path in output_paths(scan).all())
    assert [path for path in home.rglob("*") if path.is_file()] == []
