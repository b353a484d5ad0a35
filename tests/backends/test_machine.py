"""What a machine has is asked in one place, and can be hidden there."""

from __future__ import annotations

import ast
import os
import pwd
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import tiny_models
import tiny_scan
from spineps_rt import machine
from spineps_rt.backends import open_engine
from spineps_rt.backends.engine_cache import FOLDER_VARIABLE, cache_folder
from spineps_rt.backends.gpu import compute_capability, cuda_devices, memory_used
from spineps_rt.errors import EngineError, ModelError
from spineps_rt.kernels import threads
from spineps_rt.models import load_model
from spineps_rt.models.store import VARIABLE, store_folder

ROOT = Path(__file__).parents[2]
ASKED = {
    "cpu_count",
    "sched_getaffinity",
    "geteuid",
    "getuid",
    "get_terminal_size",
    "datetime.now",
    "get_property",
}
"""Names of what asks the system; nothing but the one module may call them."""


def test_nothing_else_asks_the_machine():
    calls = set()
    for path in [*(ROOT / "spineps_rt").rglob("*.py"), *(ROOT / "export").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if ASKED & {name, name.rpartition(".")[2]}:
                    calls.add(path.relative_to(ROOT).as_posix())
    assert calls == {"spineps_rt/machine.py"}


def test_an_unknown_feature_is_an_error(hide):
    hide("bfloat16", "bluetooth")
    with pytest.raises(EngineError, match=r"hides bluetooth, which is unknown; expected some of bfloat16, "):
        machine.has("gpu")


def test_one_core_is_left(hide):
    hide("cores")
    assert machine.cores() == threads.cores() == 1
    assert threads.slabs(64, 1 << 30) == [(0, 64)]


def test_a_terminal_of_no_known_width(hide, monkeypatch):
    monkeypatch.setenv("COLUMNS", "33")
    if machine.has("terminal"):
        assert machine.terminal_columns() == 33
    hide("terminal")
    assert machine.terminal_columns() == 80


def test_a_hidden_gpu_is_no_gpu(hide):
    hide("gpu")
    assert (cuda_devices(), compute_capability(), memory_used()) == (0, None, None)


def test_the_time_of_a_record_is_universal(monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # fourteen hours ahead
    assert machine.now().utcoffset() == timedelta(0)


def test_a_user_without_a_home_folder_is_told_what_to_set(monkeypatch):
    def unknown(_):
        raise KeyError("no such user")

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", FOLDER_VARIABLE, VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)  # as in a container that runs under a bare number
    with pytest.raises(EngineError, match=rf"no home folder to keep engines in; set {FOLDER_VARIABLE}"):
        cache_folder()
    with pytest.raises(ModelError, match=rf"no home folder to keep models in; set {VARIABLE}"):
        store_folder()


@pytest.fixture(scope="module")
def semantic(tmp_path_factory):
    return load_model(tiny_models.write_semantic(tmp_path_factory.mktemp("model")))


def test_bfloat16_that_is_hidden_is_refused_and_never_taken(semantic, hide):
    pytest.importorskip("openvino")
    hide("bfloat16")
    with pytest.raises(EngineError, match=r"does not compute in bfloat16, .*choose device openvino"):
        open_engine(semantic, device="openvino-bf16")
    with open_engine(semantic, device="cpu") as engine:
        assert engine.provider == "OpenVINO CPU f32"


@pytest.mark.parametrize(
    ("hidden", "device", "remedy"),
    [
        ("openvino", "openvino", "pip install openvino"),
        ("onnxruntime", "onnx", r"pip install 'spineps-rt\[onnx\]'"),
    ],
)
def test_a_library_that_is_hidden_is_not_installed(semantic, hide, hidden, device, remedy):
    hide(hidden)
    with pytest.raises(EngineError, match=rf"{hidden} is hidden by SPINEPS_RT_HIDE.*{remedy}"):
        open_engine(semantic, device=device)


def test_without_any_inference_library_it_is_said_what_to_install(semantic, hide):
    hide(*machine.LIBRARIES)
    with pytest.raises(EngineError) as raised:
        open_engine(semantic)
    text = str(raised.value)
    assert "No inference library is installed. Install one: pip install openvino" in text
    assert all(f"[{extra}]" in text for extra in ("gpu13", "gpu12", "onnx"))


def test_a_run_ends_the_same_on_the_smallest_machine(tmp_path):
    """One core, no bfloat16, no GPU, either library: exit code and files are those of any machine."""
    models = tiny_scan.write_models(tmp_path / "models")
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    words = [sys.executable, "-m", "spineps_rt", "run", scan, "--model", models, "--overwrite", "-q"]
    masks = set()
    for library in ("openvino", "onnxruntime"):
        if library == "onnxruntime":
            pytest.importorskip("openvino")
        environment = {**os.environ, machine.HIDE: f"bfloat16,cores,gpu,terminal,{library}"}
        subprocess.run([*map(str, words)], env=environment, check=True, timeout=300)
        (mask,) = (tmp_path / "derivatives_seg").glob("*seg-vert_msk.nii.gz")
        masks.add(mask.read_bytes())
    assert len(masks) == 1
