"""Engines on tiny real models: the contract, what they answer, and what happens without the right machine."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

import tiny_models
from spineps_rt.backends import base, open_engine
from spineps_rt.backends import onnxruntime as onnx
from spineps_rt.backends import registry as providers
from spineps_rt.errors import ContractError, EngineError, ModelError
from spineps_rt.machine import computes_bfloat16
from spineps_rt.models import load_model
from spineps_rt.options import DEVICES

CPU_DEVICES = ("onnx", "openvino")


def open_or_skip(model, device, **options):
    if device == "openvino":
        pytest.importorskip("openvino")
    return open_engine(model, device=device, **options)


@pytest.fixture
def semantic(tmp_path):
    return load_model(tiny_models.write_semantic(tmp_path / "semantic", levels=(-1, 0, 2), patch=(3, 4, 5)))


@pytest.fixture
def instance(tmp_path):
    return load_model(tiny_models.write_instance(tmp_path / "instance", cutout=(4, 12, 3), band=4))


@pytest.mark.parametrize("device", CPU_DEVICES)
@pytest.mark.parametrize("threads", [0, 1])
def test_semantic_answer(semantic, device, threads):
    batch = np.random.default_rng(0).normal(size=(2, 1, 3, 4, 5)).astype(np.float32)
    with open_or_skip(semantic, device, threads=threads) as engine:
        logits = engine.infer(batch)
    level = np.array([-1, 0, 2], np.float32).reshape(1, 3, 1, 1, 1)
    assert logits.dtype == np.float32 and logits.flags.c_contiguous and logits.flags.writeable
    np.testing.assert_allclose(logits, 2 * level * batch - level**2, atol=1e-5)


@pytest.mark.parametrize("device", CPU_DEVICES)
def test_instance_answer(instance, device):
    labels = np.random.default_rng(0).integers(0, 10, (3, 1, 4, 12, 3), dtype=np.uint8)
    with open_or_skip(instance, device) as engine:
        classes = engine.infer(labels)
    rows = np.repeat(np.array([1, 2, 3], np.uint8), 4)[None, None, :, None]
    np.testing.assert_array_equal(classes, np.where(labels[:, 0] > 0, rows, 0))
    assert classes.dtype == np.uint8


@pytest.mark.parametrize("device", CPU_DEVICES)
def test_an_answer_is_not_overwritten_by_the_next(semantic, device):
    with open_or_skip(semantic, device) as engine:
        first = engine.infer(np.zeros((1, 1, 3, 4, 5), np.float32))
        kept = first.copy()
        engine.infer(np.ones((1, 1, 3, 4, 5), np.float32))
    np.testing.assert_array_equal(first, kept)


def test_a_wrong_batch_is_refused(semantic):
    with open_engine(semantic, device="onnx") as engine:
        for shape in ((1, 1, 3, 4, 6), (1, 3, 4, 5), (0, 1, 3, 4, 5), (1, 2, 3, 4, 5)):
            with pytest.raises(ContractError, match=r"takes \(N, 1, 3, 4, 5\)"):
                engine.infer(np.zeros(shape, np.float32))
        with pytest.raises(ContractError, match=r"float64 came; .* takes float32"):
            engine.infer(np.zeros((1, 1, 3, 4, 5)))


@pytest.mark.parametrize("device", CPU_DEVICES)
def test_a_closed_engine_refuses(semantic, device):
    engine = open_or_skip(semantic, device)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(np.zeros((1, 1, 3, 4, 5), np.float32))


@pytest.mark.parametrize("device", CPU_DEVICES)
@pytest.mark.parametrize(("end", "name"), [("input", "picture"), ("output", "scores")])
def test_a_graph_that_contradicts_its_manifest(tmp_path, device, end, name):
    shapes = {"input": [1, 1, 3, 4, 5], "output": [1, 3, 3, 4, 5]}
    spec = {"name": name, "dtype": "float32", "shape": shapes[end]}
    model = load_model(tiny_models.write_semantic(tmp_path, patch=(3, 4, 5), **{end: spec}))
    with pytest.raises(ModelError, match=rf"has the {end} .*its manifest says {name} float32"):
        open_or_skip(model, device)


@pytest.mark.parametrize("device", CPU_DEVICES)
def test_a_graph_of_another_type_or_size(tmp_path, device):
    wrong = {"name": "logits", "dtype": "float16", "shape": [1, 3, 3, 4, 5]}
    model = load_model(tiny_models.write_semantic(tmp_path / "a", patch=(3, 4, 5), output=wrong))
    with pytest.raises(ModelError, match="output logits float32"):
        open_or_skip(model, device)


@pytest.mark.parametrize("device", CPU_DEVICES)
def test_a_file_that_is_no_graph(tmp_path, device):
    folder = tiny_models.write_semantic(tmp_path)
    tiny_models.replace_graph(folder, b"no graph at all")
    with pytest.raises(ModelError, match="cannot open"):
        open_or_skip(load_model(folder), device)


def test_provider_says_what_runs(semantic):
    with open_engine(semantic, device="onnx") as engine:
        assert engine.provider == "ONNX Runtime CPUExecutionProvider"
    with open_or_skip(semantic, "openvino") as engine:
        assert engine.provider == "OpenVINO CPU f32"


def test_openvino_leaves_the_first_layer_to_the_kernel_and_answers_alike(tmp_path):
    pytest.importorskip("openvino")
    model = load_model(tiny_models.write_one_hot_instance(tmp_path))
    labels = np.random.default_rng(0).integers(0, 10, (2, *model.input.shape[1:]), dtype=np.uint8)
    answers = []
    for one in (model, dataclasses.replace(model, first_layer=None)):
        with open_engine(one, device="openvino") as engine:
            answers.append(engine.infer(labels))
    with open_engine(model, device="onnx") as engine:
        expected = engine.infer(labels)
    for answer in answers:
        assert (answer == expected).mean() > 0.999
    assert len(np.unique(expected)) == 4


def test_a_first_layer_that_the_graph_lacks_is_an_error(tmp_path):
    pytest.importorskip("openvino")
    named = {"weights": "no such", "bias": "bias", "output": "features"}
    model = load_model(tiny_models.write_one_hot_instance(tmp_path, first_layer=named))
    with pytest.raises(ModelError, match=r"cannot open model .* 'no such'"):
        open_engine(model, device="openvino")


def test_bfloat16_is_taken_where_asked_for_or_vouched_for(semantic, hide):
    if not computes_bfloat16(pytest.importorskip("openvino").Core()):
        pytest.skip("this processor does not compute in bfloat16")
    hide("gpu")
    batch = np.random.default_rng(0).normal(size=(1, 1, 3, 4, 5)).astype(np.float32)
    with open_engine(semantic, device="openvino") as engine:
        exact = engine.infer(batch)
    with open_engine(semantic, device="openvino-bf16") as engine:
        assert engine.provider == "OpenVINO CPU bf16"
        np.testing.assert_allclose(engine.infer(batch), exact, atol=0.1)
    vouched = {"file": "model.onnx", "batch": 1, "same_class": 1.0, "worst_dice": 1.0}
    tiny_models.edit_manifest(semantic.folder, variants={"bf16": vouched})
    model = load_model(semantic.folder)
    for device, precision in (("auto", "bf16"), ("cpu", "bf16"), ("openvino", "f32")):
        with open_engine(model, device=device) as engine:
            assert engine.provider == f"OpenVINO CPU {precision}"


def test_every_device_of_the_options_is_known(semantic):
    assert set(DEVICES) == set(providers._CHOICES)
    with pytest.raises(EngineError, match="no device 'tpu'; choose one of auto, cpu"):
        open_engine(semantic, device="tpu")
    with pytest.raises(EngineError, match="-1 threads"):
        open_engine(semantic, threads=-1)


@pytest.mark.parametrize("device", ["cuda", "onnx-tensorrt"])
def test_a_gpu_that_is_not_there_is_an_error(semantic, device, hide):
    hide("gpu")
    with pytest.raises(
        EngineError, match=rf"(?s)Device '{device}' cannot be had\..*(GPU|built without).*Installed: .*onnx"
    ):
        open_engine(semantic, device=device)


def test_a_gpu_without_its_libraries_is_an_error_and_auto_goes_on(semantic, monkeypatch, caplog, capfd):
    """With a driver but no CUDA libraries ONNX Runtime falls back on its own; that must not go unnoticed."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers() or onnx.cuda_devices():
        pytest.skip("needs ONNX Runtime's GPU build on a machine without a GPU")
    monkeypatch.setattr(onnx, "cuda_devices", lambda: 1)
    with pytest.raises(EngineError, match=r"CUDAExecutionProvider.*pip install 'spineps-rt\[gpu13\]'"):
        open_engine(semantic, device="cuda")
    with open_engine(semantic) as engine:
        assert "CUDA" not in engine.provider
    assert "Trying the next engine" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_without_openvino_the_cpu_runs_onnx_runtime(semantic, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with open_engine(semantic, device="cpu") as engine:
        assert engine.provider == "ONNX Runtime CPUExecutionProvider"
    with pytest.raises(EngineError, match="pip install openvino"):
        open_engine(semantic, device="openvino")


def test_auto_takes_the_gpu_first_then_openvino(semantic, monkeypatch):
    tried = []

    def absent(name):
        def opener(model, threads):
            tried.append((name, threads))
            raise base.UnavailableError(f"no {name}.")

        return opener

    monkeypatch.setattr(providers, "_OPENERS", {name: absent(name) for name in providers._OPENERS})
    with pytest.raises(EngineError, match=r"no cuda\. no openvino.*\. no onnx\."):
        open_engine(semantic, threads=2)
    assert tried == [("cuda", 2), (providers._VOUCHED, 2), ("onnx", 2)]


def test_opening_and_running_is_quiet(semantic):
    code = (
        "import sys, numpy as np\n"
        "from spineps_rt.backends import open_engine\n"
        "from spineps_rt.models import load_model\n"
        "for device in sys.argv[2:]:\n"
        "    with open_engine(load_model(sys.argv[1]), device=device) as e:\n"
        "        e.infer(np.zeros(e.model.input.shape, np.float32))\n"
    )
    devices = ["auto", "cpu", "onnx"]
    done = subprocess.run(
        [sys.executable, "-c", code, str(semantic.folder), *devices],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_package_is_light_until_an_engine_opens():
    code = (
        "import sys, spineps_rt.backends, spineps_rt.models\n"
        "print([m for m in ('onnxruntime', 'openvino', 'numba', 'nibabel', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_variant_that_onnx_runtime_puts_on_the_processor_is_an_error(semantic):
    """It falls back without a word when a session is built anew, too."""
    with open_engine(semantic, device="onnx") as engine:
        engine._wanted = onnx.CUDA
        with pytest.raises(EngineError, match="could not load CUDAExecutionProvider and took CPU"):
            engine.switch_variant(semantic)


def test_every_provider_of_a_gpu_is_told_to_leave_tf32(semantic, monkeypatch, tmp_path):
    monkeypatch.setenv("SPINEPS_RT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setattr(onnx, "work_stream", lambda: 1234)
    asked = []
    onnxruntime = onnx.import_onnxruntime()

    def session(graph, options, *, providers, enable_fallback):
        asked.append(providers)
        return onnxruntime_session(graph, options, providers=["CPUExecutionProvider"])

    onnxruntime_session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    onnx._session(onnxruntime, semantic, provider=onnx.CUDA, threads=1, on_our_stream=True)
    onnx._session(onnxruntime, semantic, provider=onnx.TENSORRT, threads=1, on_our_stream=False)
    (cuda, *_), (tensorrt, *_) = asked
    assert cuda[1]["use_tf32"] == "0"
    assert cuda[1]["user_compute_stream"] == "1234"
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    folder = tmp_path / "cache" / "onnx-tensorrt"
    assert tensorrt == (
        onnx.TENSORRT,
        {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(folder),
        },
    )
    assert folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(EngineError, match="written by others"):
        onnx._session(onnxruntime, semantic, provider=onnx.TENSORRT, threads=1)
