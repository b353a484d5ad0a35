"""What the runtime must not import, and how fast help answers."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

import tiny_scan

HEAVY = ("torch", "numba", "onnxruntime", "openvino", "nibabel", "numpy", "PIL", "scipy")
FOREIGN = (
    "torch",
    "tensorflow",
    "onnx",
    "dynamic_network_architectures",
    "nnunetv2",
    "spineps",
    "TPTBox",
)
MODELS = ("list", "show", "verify", "import", "fetch", "remove")
COMMANDS = (
    [],
    *([name] for name in ("run", "phantom", "warmup", "selftest", "bench", "export", "models")),
    *(["export", name] for name in ("model", "verify", "engine")),
    *(["models", name] for name in MODELS),
)


def python(code, *arguments):
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_light_and_fast(command):
    code = (
        "import sys\nfrom spineps_rt.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        f"print('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    )
    start = time.perf_counter()
    lines = python(code, *command, "--help").splitlines()
    assert lines[0].startswith("Usage: ")
    assert lines[-1] == "loaded:"
    assert time.perf_counter() - start < 2  # a tenth of that on an idle machine


def test_importing_the_package_is_light():
    loaded = python(f"import sys, spineps_rt\nprint([name for name in {HEAVY} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_the_whole_way_imports_nothing_foreign(tmp_path):
    models = tiny_scan.write_models(tmp_path / "models")
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    # numba and nibabel import scipy where it is; nothing may need it
    code = (
        "import sys\nsys.modules['scipy'] = None\n"
        "from spineps_rt.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        "names = {name.split('.')[0] for name in sys.modules}\n"
        f"print('loaded:', *[name for name in {FOREIGN} if name in names])\n"
        "print('export:', *[name for name in sys.modules if name.startswith('spineps_rt.export')])"
    )
    lines = python(code, "run", scan, "--model", models, "--device", "onnx").splitlines()
    assert lines[-2:] == ["loaded:", "export:"]
    assert len(list((tmp_path / "derivatives_seg").iterdir())) == 5
