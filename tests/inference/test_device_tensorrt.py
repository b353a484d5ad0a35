"""TensorRT from a scan to its answer: contexts, compiled kernels, scratch memory, messages."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

import stub_tensorrt
import tiny_models
from spineps_rt.backends import device_buffers, engine_cache, open_engine, tensorrt
from spineps_rt.backends.folds import FoldsEngine, each_fold
from spineps_rt.backends.gpu import cuda_devices
from spineps_rt.backends.runtime_cache import GRAPHS_VARIABLE, runtime_key, write_runtime_cache
from spineps_rt.backends.tensorrt import TensorRtEngine, engine_key
from spineps_rt.errors import EngineError
from spineps_rt.inference.instance import InstanceNetwork
from spineps_rt.inference.out_of_memory import out_of_memory
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.kernels import cuda as kernels
from spineps_rt.models import load_model
from spineps_rt.models.resolve import read_graph

PATCH = (3, 4, 5)
RNG = np.random.default_rng(5)
pytestmark = pytest.mark.skipif(cuda_devices() > 0, reason="the buffers lie in the simulator's memory")


class Stream:
    """A stream with a handle, which the simulator's own lacks."""

    def __int__(self):
        return 0x5EED

    def synchronize(self):
        pass


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The library's stand-in, a GPU named L4, and a cache of its own."""
    monkeypatch.setenv(engine_cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    engine_cache.private_folder()
    log = stub_tensorrt.Log()
    library = stub_tensorrt.library(log)
    monkeypatch.setattr(tensorrt, "load_library", lambda _: library)
    monkeypatch.setattr(tensorrt, "compute_capability", lambda: "sm89")
    monkeypatch.setattr(tensorrt, "gpu_and_driver", lambda: ("NVIDIA L4", "13.0"))
    monkeypatch.setattr(tensorrt, "kernels_compile", lambda: True)
    monkeypatch.setattr(tensorrt, "way", lambda: "tiles on the GPU")
    monkeypatch.setattr(device_buffers, "work_stream", Stream)
    monkeypatch.setattr(device_buffers, "address", lambda buffer: buffer.ctypes.data)
    monkeypatch.setattr(kernels, "_THREADS", 32)
    log.library = library
    yield log
    device_buffers.SCRATCH.release()


def put(model, log):
    """Store each fold's graph as its engine."""
    for one in each_fold(model):
        key, engine = engine_key(one, log.library, "sm89"), read_graph(one)
        said = {**asdict(key), "engine_sha256": hashlib.sha256(engine).hexdigest()}
        (engine_cache.cache_folder() / f"{key.name}.engine").write_bytes(engine)
        (engine_cache.cache_folder() / f"{key.name}.json").write_text(json.dumps(said))


@pytest.fixture
def model(tmp_path, log):
    field = np.random.default_rng(3).normal(0, 1.5, (1, 4, *PATCH))
    folder = tiny_models.write_semantic(
        tmp_path / "s", levels=(-1.5, -0.5, 0.5, 1.5), patch=PATCH, field=field
    )
    model = load_model(folder)
    put(model, log)
    return model


def image(shape=(5, 9, 6)):
    return RNG.integers(1, 900, shape).astype(np.float32)


def host(model, scan):
    with open_engine(model, device="onnx", threads=1) as engine:
        return SemanticNetwork(engine).classify(scan)[0]


def test_the_stand_in_has_no_name_that_the_library_lacks():
    assert stub_tensorrt.unknown_names() == []


def test_scans_share_one_context_and_equal_the_host(model, log):
    scans = [image() for _ in range(3)]
    with open_engine(model, device="tensorrt-rtx") as engine:
        assert engine.provider == "tensorrt-rtx 1.7.1 sm89 fp32, tiles on the GPU"
        for scan in scans:
            answer, ran = SemanticNetwork(engine).classify(scan)
            np.testing.assert_array_equal(answer, host(model, scan))
            assert ran.seconds > 0
            assert engine._device is None  # buffers and scratch are given back
            assert device_buffers.SCRATCH._block is None
    assert (log.contexts, log.compiled) == (1, 1)


@pytest.mark.parametrize(
    ("said", "taken"), [("", "DISABLED"), ("0", "DISABLED"), ("1", "WHOLE_GRAPH_CAPTURE")]
)
def test_graphs_are_recorded_only_where_asked_for(model, log, monkeypatch, said, taken):
    monkeypatch.setenv(GRAPHS_VARIABLE, said)
    with open_engine(model, device="tensorrt-rtx") as engine:
        engine.device_buffers()
    assert log.graphs.name == taken


def test_compiled_kernels_are_kept_for_the_next_process(model, log):
    for _ in range(2):
        with open_engine(model, device="tensorrt-rtx") as engine:
            SemanticNetwork(engine).classify(image())
    assert (log.contexts, log.compiled) == (2, 1)
    (kept,) = engine_cache.cache_folder().glob("*.runtime")
    assert kept.name == "tiny-semantic-sm89-fp32-tensorrt-rtx-1.7.1-NVIDIA_L4-13.0.runtime"


def _of_another_card(path, beside):
    beside.write_text(beside.read_text().replace("NVIDIA L4", "NVIDIA A4000"))


def _of_another_driver(path, beside):
    beside.write_text(beside.read_text().replace('"13.0"', '"12.8"'))


def _changed(path, _beside):
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def _cut_off(path, _beside):
    path.write_bytes(path.read_bytes()[:5])


def _without_metadata(_path, beside):
    beside.unlink()


def _open_to_all(path, _beside):
    path.parent.chmod(0o777)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_of_another_card, "its gpu is NVIDIA A4000, expected NVIDIA L4"),
        (_of_another_driver, "its driver is 12.8, expected 13.0"),
        (_changed, "SHA-256"),
        (_cut_off, "SHA-256"),
        (_without_metadata, "cannot be read safely"),
        (_open_to_all, "cannot be read safely"),
    ],
)
def test_kernels_from_elsewhere_are_refused_and_compiled_again(model, log, caplog, monkeypatch, spoil, says):
    with open_engine(model, device="tensorrt-rtx") as engine:
        SemanticNetwork(engine).classify(image())
    (kept,) = engine_cache.cache_folder().glob("*.runtime")
    spoil(kept, kept.with_name(f"{kept.name}.json"))
    if spoil is _open_to_all:  # the engine itself would be refused first
        monkeypatch.setattr(engine_cache, "require_private", lambda _: None)
    scan = image()
    with open_engine(model, device="tensorrt-rtx") as engine:
        np.testing.assert_array_equal(SemanticNetwork(engine).classify(scan)[0], host(model, scan))
    assert log.compiled == 2
    assert says in caplog.text


def test_kernels_that_the_library_refuses_are_compiled_again(model, log, caplog):
    key = runtime_key(engine_key(model, log.library, "sm89"), ("NVIDIA L4", "13.0"))
    write_runtime_cache(key, b"of another format")
    with open_engine(model, device="tensorrt-rtx") as engine:
        SemanticNetwork(engine).classify(image())
    assert log.compiled == 1
    assert "The library refuses the kernels" in caplog.text


def test_both_networks_work_in_one_block(tmp_path, model, log):
    instance = load_model(tiny_models.write_instance(tmp_path / "i", cutout=(2, 6, 4), band=2))
    put(instance, log)
    labels, table = np.ones((5, 7, 6), np.uint8), np.arange(256, dtype=np.uint8)
    starts = np.array([[0, 0, 0], [-2, 3, 4]])
    with open_engine(instance, device="onnx") as engine:
        expected = [a.copy() for a in InstanceNetwork(engine).classify_windows(labels, table, starts)]
    with (
        open_engine(model, device="tensorrt-rtx") as first,
        open_engine(instance, device="tensorrt-rtx") as second,
    ):
        runs = first.device_buffers(), second.device_buffers()
        for run in runs:
            run.launch()
        assert len(log.blocks) == 1
        answers = [a.copy() for a in InstanceNetwork(second).classify_windows(labels, table, starts)]
    np.testing.assert_array_equal(answers, expected)


def in_turn(tmp_path, log):
    """A model of three folds whose fields differ."""
    folder = None
    for n in range(3):
        field = np.random.default_rng(n).normal(0, 1.5, (1, 4, *PATCH))
        levels = (-1.5, -0.5, 0.5, 1.5)
        one = tiny_models.write_semantic(tmp_path / f"f{n}", levels=levels, patch=PATCH, field=field)
        folder = folder or one
        if one != folder:
            shutil.copy(one / "model.onnx", folder / f"other{n}.onnx")
    files = {
        p.name: {"sha256": hashlib.sha256(p.read_bytes()).hexdigest(), "bytes": p.stat().st_size}
        for p in sorted(folder.glob("*.onnx"))
    }
    tiny_models.edit_manifest(folder, files=files, folds=list(files))
    model = load_model(folder)
    put(model, log)
    return model


def test_folds_are_summed_on_the_gpu_with_a_context_each(tmp_path, log):
    model, scans = in_turn(tmp_path, log), [image(), image()]
    with open_engine(model, device="tensorrt-rtx") as engine:
        assert isinstance(engine, FoldsEngine)
        engine.borrow = None  # the host's way
        for scan in scans:
            answer, ran = SemanticNetwork(engine).classify(scan)
            assert (answer == host(model, scan)).mean() > 0.999  # sums in another order
        run = engine.device_buffers()
        assert len({id(fold.buffers) for fold in run._folds}) == 1
    assert (log.contexts, log.compiled) == (3, 3)
    assert log.runs == 3 * ran.samples * 2


@pytest.mark.parametrize(
    ("said", "lacking"),
    [
        ("Requested amount of GPU memory (1024 bytes) could not be allocated.", True),
        ("Error Code 1: Cuda Runtime (no kernel image is available for execution on the device)", False),
        ("", False),
    ],
)
def test_a_context_that_cannot_be_made_is_told_for_what_it_is(model, log, said, lacking):
    log.fail_with = said or " "
    with open_engine(model, device="tensorrt-rtx") as engine:
        with pytest.raises(EngineError, match="no execution context") as raised:
            engine.device_buffers()
        assert out_of_memory(raised.value) == lacking
        log.fail_with = ""
        assert engine.device_buffers() is not None


def test_a_buffer_that_is_refused_is_an_error(model, log):
    log.refuse = ("logits",)
    with (
        open_engine(model, device="tensorrt-rtx") as engine,
        pytest.raises(EngineError, match="the buffer of logits is refused"),
    ):
        engine.device_buffers()


def test_a_library_without_runtime_configuration_gets_the_strategy(model, log, monkeypatch):
    """TensorRT before 10.11."""
    monkeypatch.delattr(stub_tensorrt.ICudaEngine, "create_runtime_config")
    seen = []

    def create(engine, strategy):
        seen.append(strategy)
        config = stub_tensorrt.IRuntimeConfig(log)
        config.set_execution_context_allocation_strategy(strategy)
        return stub_tensorrt.IExecutionContext(engine, config, log)

    monkeypatch.setattr(stub_tensorrt.ICudaEngine, "create_execution_context", create)
    scan = image()
    with TensorRtEngine(model, library="tensorrt-rtx") as engine:
        np.testing.assert_array_equal(SemanticNetwork(engine).classify(scan)[0], host(model, scan))
    assert seen == [stub_tensorrt.Strategy.USER_MANAGED]
