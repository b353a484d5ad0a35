"""Engines built here, without a GPU, by the real TensorRT-RTX; and every build that is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import tiny_models
from spineps_rt.backends import engine_cache
from spineps_rt.backends.base import UnavailableError
from spineps_rt.backends.telemetry import import_onnxruntime
from spineps_rt.backends.tensorrt import engine_key
from spineps_rt.backends.tensorrt_library import LIBRARIES, Library, load_library
from spineps_rt.cli.export.engine import build_engine as command
from spineps_rt.errors import EngineError, ModelError, OutputError
from spineps_rt.export.engines import build as engines
from spineps_rt.export.engines import tensorrt
from spineps_rt.export.engines.build import build_engines
from spineps_rt.export.engines.layers import layer_report
from spineps_rt.export.engines.tensorrt import BuildOptions, build_engine
from spineps_rt.export.engines.turing import heads_as_sums
from spineps_rt.models import load_model, select_variant

TARGETS = ("sm75", "sm86", "sm89", "sm120")


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip("tensorrt_rtx", reason="pip install 'spineps-rt[rtx13]'")
    return load_library("tensorrt-rtx")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(engine_cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path):
    return load_model(tiny_models.write_semantic(tmp_path / "model"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_mixed_precision_engine_for(rtx, target):
    built = build_engine(tiny_models.convolved(), library=rtx, target=target, precision="fp16")
    report = built.report
    assert len(built.engine) > 10_000
    assert report["seconds"] >= 0
    assert report["input"] == {"name": "image", "dtype": "float32", "shape": [1, 1, 8, 16, 16]}
    assert report["output"] == {"name": "logits", "dtype": "float32", "shape": [1, 3, 8, 16, 16]}
    assert "TF32" not in report["settings"]["flags"]
    assert sum(report["layer_types"].values()) == len(report["layers"])
    halves = [layer["shape"] for layer in report["layers"] if layer["dtype"] == "Half"]
    assert [8, 16, 16] in [shape[2:] for shape in halves]
    assert report["settings"]["rewritten"] == (["the_head"] if target == "sm75" else [])
    assert report["activation_bytes"] > 0 and report["weight_bytes"] > 0
    assert built.timing_cache == b""


def test_turing_has_no_float32(rtx, model, folder):
    tiny_models.add_half_variant(model.folder)
    model = load_model(model.folder)
    made = build_engines(model, library="tensorrt-rtx", sm=("86", "75"))
    assert [one.metadata["target"] for one in made.stored] == ["sm86"]
    (why,) = made.refused
    assert re.search(r"float32 for sm75; .*holds 1 \(.*\)\. Build with --precision fp16\.$", why)
    (one,) = build_engines(select_variant(model, "fp16"), library="tensorrt-rtx", sm=["75"]).stored
    assert (one.metadata["target"], one.metadata["precision"]) == ("sm75", "fp16")


@pytest.mark.parametrize(("graph", "found"), [("half", "fp16"), ("full", "fp32")])
def test_a_graph_is_of_the_precision_that_is_said(rtx, model, graph, found):
    content = tiny_models.convolved() if graph == "half" else (model.folder / "model.onnx").read_bytes()
    with pytest.raises(ModelError, match=rf"computes in {found}; it was said to be int8"):
        build_engine(content, library=rtx, target="sm86", precision="int8")


def test_what_is_no_graph(rtx):
    with pytest.raises(ModelError, match=r"cannot read the graph: .*Failed to parse"):
        build_engine(b"no graph", library=rtx, target="sm86", precision="fp32")


def test_a_refusal_leaves_no_trace_in_the_next_engine(rtx):
    def build(target):
        graph = tiny_models.convolved(half=False)
        return build_engine(graph, library=rtx, target=target, precision="fp32").report["layers"]

    before = build("sm86")
    with pytest.raises(EngineError):
        build("sm75")
    assert build("sm86") == before


def test_the_command_fills_the_cache(rtx, model, folder):
    words = [str(model.folder), "--library", "tensorrt-rtx", "--sm", "86, 120"]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    lines = done.stdout.splitlines()
    assert done.exit_code == 0 and len(lines) == 2
    for line, target in zip(lines, ("sm86", "sm120")):
        key = engine_key(model, rtx, target)
        assert line.startswith(str(folder / f"tiny-semantic-{target}-fp32-tensorrt-rtx-{rtx.version}.engine"))
        assert " s  " in line and " MB  " in line and line.endswith(" layers")
        engine = engine_cache.find_engine(key, source=model.folder)
        said = json.loads((folder / f"{key.name}.json").read_text())
        assert (said["onnx_sha256"], said["engine_bytes"]) == (model.sha256, len(engine))
        assert len(said["layers"]) == sum(said["layer_types"].values()) > 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 or os.name != "posix"
    assert len(list(folder.iterdir())) == 4


def test_the_command_builds_fp16_where_the_model_has_it(rtx, model, folder):
    tiny_models.add_half_variant(model.folder)
    start = ["--library", "tensorrt-rtx", "--sm", "86", str(model.folder)]
    for words, precision in (([], "fp16"), (["--precision", "fp32", "--precision", "fp16"], "fp32")):
        done = CliRunner().invoke(command, [*start, *words], catch_exceptions=False)
        assert f"tiny-semantic-sm86-{precision}-tensorrt-rtx" in done.stdout
    with pytest.raises(ModelError, match="has no variant 'int8'"):
        CliRunner().invoke(command, [*start, "--precision", "int8"], catch_exceptions=False)


def test_the_engine_of_a_batch_is_of_the_precision_before_it(rtx, model, folder):
    graph = (model.folder / "model.onnx").read_bytes()
    files = {"model.onnx": {"sha256": hashlib.sha256(graph).hexdigest(), "bytes": len(graph)}}
    variant = {"file": "model.onnx", "batch": 1, "same_class": 1.0, "worst_dice": 1.0}
    tiny_models.edit_manifest(model.folder, files=files, variants={"b1": variant, "fp16.b1": variant})
    model = load_model(model.folder)
    (one,) = build_engines(select_variant(model, "b1"), library="tensorrt-rtx", sm=["86"]).stored
    assert one.metadata["precision"] == "b1"
    with pytest.raises(ModelError, match="computes in fp32; it was said to be fp16"):
        build_engines(select_variant(model, "fp16.b1"), library="tensorrt-rtx", sm=["86"])


def test_another_graph_makes_the_engine_stale_until_it_is_built_again(rtx, model, folder):
    build_engines(model, library="tensorrt-rtx", sm=["86"])
    changed = load_model(tiny_models.write_semantic(model.folder, levels=(-2.0, 0.0, 2.0)))
    key = engine_key(changed, rtx, "sm86")
    with pytest.raises(EngineError, match=r"stale.*onnx_sha256.*Build it: spineps-rt export"):
        engine_cache.find_engine(key, source=changed.folder)
    build_engines(changed, library="tensorrt-rtx", sm=["86"])
    assert engine_cache.find_engine(key, source=changed.folder)
    assert len(list(folder.iterdir())) == 2


def test_a_graph_that_contradicts_its_manifest(rtx, model, folder):
    tiny_models.edit_manifest(
        model.folder, output={"name": "scores", "dtype": "float32", "shape": [1, 3, 8, 16, 16]}
    )
    with pytest.raises(ModelError, match=r"has the output .*its manifest says .*scores"):
        build_engines(load_model(model.folder), library="tensorrt-rtx", sm=["86"])
    assert list(folder.iterdir()) == []


def test_targets_that_are_not_there(rtx, model, folder):
    with pytest.raises(EngineError, match=r"does not know sm77, sm9; choose of --sm 75,80,86,89,120"):
        build_engines(model, library="tensorrt-rtx", sm=["86", "77", "9"])
    with pytest.raises(EngineError, match="builds for the GPUs that --sm names; choose of --sm 75"):
        build_engines(model, library="tensorrt-rtx")
    with pytest.raises(EngineError, match="neither hardware- nor version-compatible"):
        build_engines(model, library="tensorrt-rtx", sm=["86"], options=BuildOptions(version_compatible=True))
    assert not folder.exists()


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_that_is_missing(name, hide):
    extra = LIBRARIES[name][1]
    hide(name)
    with pytest.raises(
        UnavailableError, match=rf"{name} cannot be imported .*pip install 'spineps-rt\[{extra}\]'"
    ):
        load_library(name)
    with pytest.raises(EngineError, match="no engine 'cudnn' to build; choose one of tensorrt-rtx, tensorrt"):
        load_library("cudnn")


def test_turing_needs_onnx(rtx, monkeypatch):
    monkeypatch.setitem(sys.modules, "spineps_rt.export.engines.turing", None)
    with pytest.raises(UnavailableError, match=r"sm75 need the package onnx .*pip install onnx\."):
        build_engine(tiny_models.convolved(), library=rtx, target="sm75", precision="fp16")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")
def test_nothing_is_built_into_a_cache_of_others(rtx, model, folder):
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(EngineError, match="written by others"):
        build_engines(model, library="tensorrt-rtx", sm=["86"])
    folder.rmdir()
    folder.write_text("a file")
    with pytest.raises(OutputError, match="cannot be made"):
        build_engines(model, library="tensorrt-rtx", sm=["86"])


def test_what_cannot_be_built_is_told_beside_what_was(rtx, model, folder, run_cli):
    tiny_models.add_half_variant(model.folder)
    tiny_models.edit_manifest(model.folder, variants={})
    code, out, err = run_cli("export", "engine", model.folder, "--library", "tensorrt-rtx", "--sm", "75,86")
    assert code == EngineError.exit_code and len(out.splitlines()) == 1 and "-sm86-fp32-" in out
    assert err.startswith("error: Not every engine was built. ")
    assert err.rstrip().endswith("This model has no fp16: leave 75 out of --sm.")
    assert len(list(folder.iterdir())) == 2


class TestTensorRt:
    """TensorRT's own way, taken through TensorRT-RTX's module: what differs but for the GPU."""

    @pytest.fixture
    def library(self, rtx, monkeypatch):
        monkeypatch.setattr(tensorrt, "compute_capability", lambda: "sm86")
        library = Library("tensorrt", rtx.module, rtx.logger)
        monkeypatch.setattr(engines, "load_library", lambda _: library)
        return library

    def test_without_a_gpu(self, library, model, folder, monkeypatch):
        monkeypatch.setattr(tensorrt, "compute_capability", lambda: None)
        with pytest.raises(UnavailableError, match=r"shows none; tensorrt-rtx builds without\.$"):
            build_engines(model, library="tensorrt")

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_it_builds_for_the_gpu_at_hand_and_keeps_its_times(self, library, model, folder, monkeypatch):
        given = []

        def build(graph, *, options, **words):
            given.append(options.timing_cache)
            return build_engine(graph, options=options, **words)

        monkeypatch.setattr(engines, "build_engine", build)
        with pytest.raises(EngineError, match=r"builds for the GPU of this machine \(sm86\); leave --sm out"):
            build_engines(model, library="tensorrt", sm=["86"])
        (one,) = build_engines(model, library="tensorrt").stored
        kept = (folder / f"timing-sm86-tensorrt-{library.version}.cache").read_bytes()
        build_engines(model, library="tensorrt")
        assert given == [b"", kept] and kept
        assert one.path.name == f"tiny-semantic-sm86-fp32-tensorrt-{library.version}.engine"

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_a_hardware_compatible_engine_has_a_target_of_its_own(self, library, model, folder):
        (one,) = build_engines(
            model, library="tensorrt", options=BuildOptions(hardware_compatible=True)
        ).stored
        assert one.metadata["target"] == "ampere-plus"

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_options_reach_the_builder(self, library):
        builder = library.module.Builder(library.logger)
        library.drain_messages()
        config = tensorrt._configured(builder, library, "sm86", BuildOptions(True, True))
        assert config.get_flag(library.module.BuilderFlag.VERSION_COMPATIBLE)
        assert any("setHardwareCompatibilityLevel" in line for line in library.drain_messages())


def test_turing_s_heads_answer_the_same():
    rewritten, names = heads_as_sums(tiny_models.convolved())
    assert names == ["the_head"]
    image = np.random.default_rng(0).normal(size=(1, 1, 8, 16, 16)).astype(np.float32)
    one, two = (
        import_onnxruntime()
        .InferenceSession(graph, providers=["CPUExecutionProvider"])
        .run(None, {"image": image})
        for graph in (tiny_models.convolved(), rewritten)
    )
    np.testing.assert_allclose(two[0], one[0], atol=1e-5)
    assert abs(one[0][0, 2]).max() > 3
    convolutions = [node for node in onnx.load_from_string(rewritten).graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 1
    assert heads_as_sums(rewritten)[1] == []


def test_layers_of_a_log():
    log = [
        "Total Activation Memory: 1024 bytes",
        "Layers:\nName: a, b, LayerType: kgen, Inputs: [ { Name: x, Dimensions: [9], Datatype: Float }], "
        "Outputs: [ { Name: y, Dimensions: [1,2], Strides: [2,1], Datatype: Half, Format: z }], StreamId: 0\n"
        "Name: c, LayerType: signal, Inputs: [], Outputs: []\n",
    ]
    assert layer_report(log) == {
        "activation_bytes": 1024,
        "layer_types": {"kgen": 1, "signal": 1},
        "layers": [
            {"name": "a, b", "type": "kgen", "dtype": "Half", "shape": [1, 2]},
            {"name": "c", "type": "signal"},
        ],
    }
    assert layer_report([]) == {"layer_types": {}, "layers": []}
