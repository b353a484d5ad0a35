"""Engines of TensorRT: everything but the GPU itself, and that too where there is one."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

import tiny_models
from spineps_rt.backends import engine_cache, open_engine, tensorrt
from spineps_rt.backends.base import UnavailableError
from spineps_rt.backends.gpu import compute_capability, cuda_devices
from spineps_rt.backends.tensorrt import TensorRtEngine, engine_key, find_plan, signature
from spineps_rt.backends.tensorrt_library import Library, load_library
from spineps_rt.errors import EngineError
from spineps_rt.export.engines.build import build_engines
from spineps_rt.models import load_model, select_variant
from spineps_rt.models.manifest import TensorSpec

DEVICES = ("tensorrt", "tensorrt-rtx")
no_gpu = pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a GPU")


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv(engine_cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return load_model(tiny_models.write_semantic(tmp_path / "model"))


@pytest.fixture
def rtx():
    pytest.importorskip("tensorrt_rtx", reason="pip install 'spineps-rt[rtx13]'")
    return load_library("tensorrt-rtx")


@no_gpu
@pytest.mark.parametrize("device", DEVICES)
def test_without_a_gpu_the_error_says_so(model, device):
    assert compute_capability() is None
    with pytest.raises(EngineError, match=rf"{device} runs on an NVIDIA GPU .*this machine shows none"):
        open_engine(model, device=device)


def test_an_engine_that_nobody_built_is_not_built_now(rtx, model, monkeypatch):
    monkeypatch.setattr(tensorrt, "compute_capability", lambda: "sm86")
    with pytest.raises(
        EngineError, match=r"There is no engine tiny-semantic-sm86-fp32.*Build it: spineps-rt"
    ):
        open_engine(model, device="tensorrt-rtx")
    assert not engine_cache.cache_folder().exists()


@no_gpu
def test_what_the_library_refuses_is_told_with_its_reason(rtx, model, monkeypatch):
    """The real library refuses a real engine, because it finds no driver."""
    monkeypatch.setattr(tensorrt, "compute_capability", lambda: "sm86")
    build_engines(model, library="tensorrt-rtx", sm=["86"])
    with pytest.raises(EngineError, match=r"(?s)refuses the engine tiny-.*Cuda Runtime.*Build it again"):
        TensorRtEngine(model, library="tensorrt-rtx")


@pytest.mark.parametrize(
    ("target", "version"), [("sm86", "11.x"), ("ampere-plus", "11.1"), ("ampere-plus", "11.x")]
)
def test_tensorrt_also_takes_compatible_engines(model, target, version):
    library = Library("tensorrt", SimpleNamespace(__version__="11.1"), None)
    exact = engine_key(model, library, "sm86")
    with pytest.raises(UnavailableError, match=r"no engine tiny-semantic-sm86-fp32-tensorrt-11\.1\.engine"):
        find_plan(model, library, "sm86")
    put(replace(exact, target=target, version=version), b"compatible")
    assert find_plan(model, library, "sm86")[1:] == (
        replace(exact, target=target, version=version),
        b"compatible",
    )
    put(exact, b"exact")
    assert find_plan(model, library, "sm86") == (model, exact, b"exact")


def test_an_engine_in_fp16_comes_first(model):
    tiny_models.add_half_variant(model.folder)
    model = load_model(model.folder)
    half = select_variant(model, "fp16")
    library = Library("tensorrt-rtx", SimpleNamespace(__version__="1.7"), None)
    with pytest.raises(UnavailableError, match=r"no engine tiny-semantic-sm86-fp16.*--precision fp16"):
        find_plan(model, library, "sm86")
    full_key, half_key = engine_key(model, library, "sm86"), engine_key(half, library, "sm86")
    put(full_key, b"full")
    assert find_plan(model, library, "sm86") == (model, full_key, b"full")
    with pytest.raises(UnavailableError, match="no engine"):
        find_plan(half, library, "sm86")
    put(half_key, b"half")
    for asked in (model, half):
        assert find_plan(asked, library, "sm86") == (half, half_key, b"half")


def test_no_engine_for_ampere_runs_on_turing(model):
    library = Library("tensorrt", SimpleNamespace(__version__="11.1"), None)
    put(replace(engine_key(model, library, "sm75"), target="ampere-plus"), b"compatible")
    with pytest.raises(UnavailableError, match="no engine"):
        find_plan(model, library, "sm75")


def test_tensorrt_rtx_takes_no_other_engine(rtx, model):
    put(replace(engine_key(model, rtx, "sm86"), target="ampere-plus"), b"compatible")
    with pytest.raises(UnavailableError, match="no engine"):
        find_plan(model, rtx, "sm86")


def test_a_refused_engine_is_not_passed_over(model):
    library = Library("tensorrt", SimpleNamespace(__version__="11.1"), None)
    exact = engine_key(model, library, "sm86")
    put(exact, b"engine")
    put(replace(exact, target="ampere-plus"), b"compatible")
    (engine_cache.cache_folder() / f"{exact.name}.engine").write_bytes(b"damaged")
    with pytest.raises(EngineError, match="is damaged"):
        find_plan(model, library, "sm86")


def put(key, engine):
    folder = engine_cache.cache_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    said = {**asdict(key), "engine_sha256": hashlib.sha256(engine).hexdigest()}
    (folder / f"{key.name}.engine").write_bytes(engine)
    (folder / f"{key.name}.json").write_text(json.dumps(said))


TARGETS = ("80", "86", "89", "120")


@pytest.fixture
def four(rtx, model):
    """Engines of one model for four architectures, as the library builds them: target -> file."""
    built = build_engines(model, library="tensorrt-rtx", sm=TARGETS)
    return dict(zip(TARGETS, (one.path for one in built.stored)))


def pass_for(path, other):
    """Give an engine another's name, its metadata with it."""
    for suffix in (".engine", ".json"):
        shutil.copy(path.with_suffix(suffix), other.with_suffix(suffix))


@pytest.mark.parametrize("target", TARGETS)
def test_engines_of_four_gpus_are_each_taken_for_its_own(rtx, model, four, target):
    key, content = find_plan(model, rtx, f"sm{target}")[1:]
    assert (key.target, content) == (f"sm{target}", four[target].read_bytes())
    others = [four[other].read_bytes() for other in TARGETS if other != target]
    assert content not in others


@pytest.mark.parametrize(("came", "here"), [("86", "89"), ("89", "86"), ("120", "80"), ("80", "120")])
def test_an_engine_of_another_gpu_under_this_one_s_name(rtx, model, four, came, here):
    pass_for(four[came], four[here])
    with pytest.raises(EngineError, match=rf"its target is sm{came}; expected sm{here}\. Build it"):
        find_plan(model, rtx, f"sm{here}")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("where", [0, 100, -1])
def test_a_changed_byte_or_a_missing_end_of_a_real_engine(rtx, model, four, target, where):
    whole = four[target].read_bytes()
    changed = bytearray(whole)
    changed[where] ^= 1
    for spoilt in (bytes(changed), whole[: len(whole) // 2], whole + b"\0", b""):
        four[target].write_bytes(spoilt)
        with pytest.raises(EngineError, match=r"is damaged: its SHA-256 is not that of its metadata"):
            find_plan(model, rtx, f"sm{target}")


def test_a_real_engine_of_another_release_of_the_library(model, four, rtx):
    newer = Library("tensorrt-rtx", SimpleNamespace(__version__="99.8.0"), None)
    with pytest.raises(UnavailableError, match=r"only tiny-semantic-sm120-.*Build it"):
        find_plan(model, newer, "sm86")
    renamed = four["86"].with_name(f"{engine_key(model, newer, 'sm86').name}.engine")
    pass_for(four["86"], renamed)
    with pytest.raises(EngineError, match=rf"its version is {re.escape(rtx.version)}; expected 99\.8\.0"):
        find_plan(model, newer, "sm86")


def test_signature_of_an_engine(rtx):
    """No ICudaEngine exists without a GPU; this one answers in the library's own words."""
    trt = rtx.module
    ends = {
        "image": (trt.DataType.HALF, trt.TensorIOMode.INPUT),
        "logits": (trt.DataType.FLOAT, trt.TensorIOMode.OUTPUT),
        "odd": (trt.DataType.INT64, trt.TensorIOMode.OUTPUT),
    }
    engine = SimpleNamespace(
        num_io_tensors=len(ends),
        get_tensor_name=lambda i: list(ends)[i],
        get_tensor_dtype=lambda name: ends[name][0],
        get_tensor_mode=lambda name: ends[name][1],
        get_tensor_shape=lambda name: trt.Dims([1, len(name)]),
    )
    assert signature(engine, rtx) == (
        [TensorSpec("image", "float16", (1, 5))],
        [TensorSpec("logits", "float32", (1, 6)), TensorSpec("odd", "INT64", (1, 3))],
    )


@pytest.mark.skipif(cuda_devices() == 0, reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("device", DEVICES)
def test_on_a_gpu_it_answers_as_onnx_runtime(model, device):
    pytest.importorskip(device.replace("-", "_"))
    sm = [compute_capability().removeprefix("sm")] if device == "tensorrt-rtx" else []
    build_engines(model, library=device, sm=sm)
    batch = np.random.default_rng(0).normal(size=(2, *model.input.shape[1:])).astype(np.float32)
    with open_engine(model, device="onnx") as reference, open_engine(model, device=device) as engine:
        assert engine.provider.startswith(f"{device} ")
        expected = reference.infer(batch)
        np.testing.assert_allclose(engine.infer(batch), expected, atol=1e-5)
        engine.release_buffers()
        np.testing.assert_allclose(engine.borrow(batch[:1]), expected[:1], atol=1e-5)
