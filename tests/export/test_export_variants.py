"""Variants of a model: made, tried, kept or refused. Needs onnx, no PyTorch."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import asdict

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import tiny_models
from spineps_rt.backends import open_engine
from spineps_rt.cli.main import cli
from spineps_rt.errors import EngineError, ModelError, OutputExistsError, SpinepsError
from spineps_rt.export.checks.agreement import compare
from spineps_rt.export.checks.session import run_graph
from spineps_rt.export.checks.trial import Trial, Verdict
from spineps_rt.export.checks.verify import verify
from spineps_rt.export.engines.build import build_engines
from spineps_rt.export.graphs.batched import with_batch
from spineps_rt.export.graphs.cost import activation_bytes, cost_of
from spineps_rt.export.graphs.emulated import emulated
from spineps_rt.export.graphs.flops import count_flops
from spineps_rt.export.graphs.graph import check_graph, fold, load_graph, retyped, value_types
from spineps_rt.export.graphs.half import half_values, to_half, watched
from spineps_rt.export.graphs.int8 import to_int8
from spineps_rt.export.model import export
from spineps_rt.export.variants import Wanted
from spineps_rt.machine import computes_bfloat16
from spineps_rt.models import embedded_models, load_model
from spineps_rt.models.resolve import read_graph, select_variant

PATCH = (8, 16, 16)
CPU_DEVICES = ("onnx", "openvino")


def conv(name, inputs, outputs, *, weight, bias, **attributes):
    constants = {f"{name}.w": weight.astype(np.float32), f"{name}.b": bias.astype(np.float32)}
    return helper.make_node("Conv", [inputs, *constants], [outputs], **attributes), constants


def small_unet(gain=1.0, apart=120):
    """Down, norm, up, a skip, logits of two classes; the fewer ``apart``, the more nearly tie."""
    rng = np.random.default_rng(7)
    first, one = conv(
        "first", "image", "a", weight=rng.normal(size=(4, 1, 3, 3, 3)) * gain, bias=np.ones(4), pads=[1] * 6
    )
    down, two = conv(
        "down", "c", "d", weight=rng.normal(size=(8, 4, 1, 2, 2)), bias=np.zeros(8), strides=[1, 2, 2]
    )
    last, three = conv(
        "last", "g", "logits", weight=rng.normal(size=(2, 8, 1, 1, 1)), bias=np.array([0, -apart])
    )
    constants = {
        **one,
        **two,
        **three,
        "scale": np.ones(4, np.float32),
        "shift": np.zeros(4, np.float32),
        "up.w": rng.normal(size=(8, 4, 1, 2, 2)).astype(np.float32),
        "two": np.array(2, np.float32),
        "three": np.array(3, np.float32),
        "shape": np.array([1, 4, *PATCH], np.int64),
    }
    nodes = [
        first,
        helper.make_node("Identity", ["scale"], ["copy"]),
        helper.make_node("InstanceNormalization", ["a", "copy", "shift"], ["b"], epsilon=1e-5),
        helper.make_node("LeakyRelu", ["b"], ["c"], alpha=0.01),
        down,
        helper.make_node("ConvTranspose", ["d", "up.w"], ["e"], strides=[1, 2, 2]),
        helper.make_node("Add", ["two", "three"], ["five"]),
        helper.make_node("Mul", ["e", "five"], ["f"]),
        helper.make_node("Reshape", ["f", "shape"], ["r"]),
        helper.make_node("Concat", ["r", "c"], ["g"], axis=1),
        last,
    ]
    shapes = {"image": [1, 1, *PATCH], "logits": [1, 2, *PATCH]}
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    values = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def images(count=1):
    return np.random.default_rng(1).normal(size=(count, 1, *PATCH)).astype(np.float32)


def write_unet(folder, **changes):
    tiny_models.write_semantic(folder, levels=(0.0, 1.0), patch=PATCH)
    tiny_models.replace_graph(folder, small_unet(**changes).SerializeToString())
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A model folder with every variant but int8, and what the export said."""
    source = write_unet(tmp_path_factory.mktemp("variants") / "in")
    output = source.parent / "out"
    return output, export(source, output, wanted=Wanted(("fp16",), batch=2))


def test_folding_computes_constants_and_undoes_copies():
    folded = fold(small_unet())
    ops = [node.op_type for node in folded.graph.node]
    assert "Identity" not in ops and "Add" not in ops
    np.testing.assert_array_equal(run_graph(folded, images())[0], run_graph(small_unet(), images())[0])


def test_half_is_where_it_belongs():
    half = to_half(small_unet())
    types = value_types(half)
    assert {types[name] for name in "adefrg" if name != "g"} == {TensorProto.FLOAT16}
    assert {types[name] for name in ("image", "b", "c", "logits", "last.w")} == {TensorProto.FLOAT}
    norm = next(node for node in half.graph.node if node.op_type == "InstanceNormalization")
    assert {types[name] for name in norm.input} == {TensorProto.FLOAT}
    assert len({node.output[0] for node in half.graph.node if node.op_type == "Cast"}) == sum(
        node.op_type == "Cast" for node in half.graph.node
    )
    with pytest.raises(ModelError, match="float16 already"):
        to_half(half)


def test_emulation_rounds_as_float16_does():
    """One convolution of one voxel and no neighbour: product, sum and both roundings by hand."""
    model = small_unet()
    exact, rounded = run_graph(model, images())[0], run_graph(emulated(to_half(model)), images())[0]
    assert 0 < np.abs(exact - rounded).max() < 0.02 * np.abs(exact).max()
    values = np.float32([1.00048828125, 3.14159, -65000.0, 0.1])
    split = values * np.float32(8193)
    np.testing.assert_array_equal(split - (split - values), values.astype(np.float16).astype(np.float32))


def test_every_value_in_float16_is_watched():
    half = to_half(small_unet())
    names = half_values(half)
    assert {"image", "a", "c", "d", "e", "f"} <= set(names)
    sizes = dict(zip(names, run_graph(watched(fold(small_unet()), names), images())))
    assert sizes["image"] == np.abs(images()).max()


def test_a_batch_answers_as_its_samples_do():
    batch = images(3)
    answer = run_graph(with_batch(small_unet(), 3), batch)[0]
    for one, image in zip(answer, batch):
        np.testing.assert_allclose(one, run_graph(small_unet(), image[None])[0][0], rtol=1e-4, atol=1e-4)


def test_flops_are_counted_by_hand():
    voxels = 8 * 16 * 16
    expected = voxels * 27 * 4 + (voxels // 4) * 16 * 8 + (voxels // 4) * 8 * 16 + voxels * 8 * 2
    assert count_flops(small_unet()) == 2 * expected
    assert count_flops(with_batch(small_unet(), 3)) == 6 * expected


def test_values_that_live_at_once_are_added_up():
    """In a chain a value is alive until the next is made; a side branch lives as long as it waits."""
    size = [1, 2, 3, 4]  # 96 bytes as float32
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, size) for n in ("x", "y")]
    nodes = [
        helper.make_node(kind, inputs, [output])
        for kind, inputs, output in (
            ("Relu", ["x"], "a"),
            ("Relu", ["a"], "b"),
            ("Relu", ["b"], "c"),  # a waits, b and c live
            ("Cast", ["c"], "d"),  # half of 96, beside a and c
            ("Cast", ["d"], "e"),
            ("Add", ["a", "e"], "y"),
        )
    ]
    nodes[3].attribute.append(helper.make_attribute("to", TensorProto.FLOAT16))
    nodes[4].attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(
        helper.make_graph(nodes, "chain", ends[:1], ends[1:]), opset_imports=opset, ir_version=10
    )
    assert activation_bytes(model) == 3 * 96
    del nodes[5].input[0]
    nodes[5].op_type = "Relu"  # nothing waits any more
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    assert activation_bytes(helper.make_model(graph, opset_imports=opset, ir_version=10)) == 2 * 96


@pytest.mark.parametrize("model", embedded_models(), ids=lambda model: model.name)
def test_the_embedded_manifests_tell_their_graphs_cost(model):
    graph = load_graph(read_graph(model))
    assert asdict(model.cost) == cost_of(graph)


@pytest.mark.parametrize("device", CPU_DEVICES)
@pytest.mark.parametrize("name", ["", "b2", "fp16", "fp16.b2"])
def test_every_engine_runs_every_variant(built, device, name):
    if device == "openvino":
        pytest.importorskip("openvino")
    batch = images(3)  # one more than the variants' batch
    with open_engine(load_model(built[0]), device=device, variant=name) as engine:
        answer = engine.infer(batch)
        assert engine.model.sha256 == engine.model.files[engine.model.graphs[0]].sha256
    expected = np.concatenate([run_graph(small_unet(), image[None])[0] for image in batch])
    assert answer.shape == expected.shape and answer.dtype == np.float32
    assert np.abs(answer - expected).max() < (0.02 if "fp16" in name else 1e-3) * np.abs(expected).max()


def test_the_manifest_tells_file_batch_and_figures(built):
    model = load_model(built[0])
    assert {name: (*v.graphs, v.batch) for name, v in model.variants.items()} == {
        "b2": ("model.b2.onnx", 2),
        "fp16": ("model.fp16.onnx", 1),
        "fp16.b2": ("model.fp16.b2.onnx", 2),
    }
    assert all(v.same_class >= 0.999 and v.worst_dice >= 0.999 for v in model.variants.values())
    assert select_variant(model, "fp16.b2").input.shape == (2, 1, *PATCH)
    with pytest.raises(ModelError, match=r"no variant 'int8'; it has: b2, fp16, fp16\.b2"):
        open_engine(model, variant="int8")
    said = CliRunner().invoke(cli, ["models", "show", str(built[0])]).output
    assert "b2, fp16, fp16.b2" in said


def test_a_variant_runs_where_it_is_vouched_for(tmp_path, built, caplog):
    export(built[0], tmp_path / "m")
    model = load_model(tmp_path / "m")
    installed = ("onnx", *(["openvino"] if has_openvino() else []))
    assert {name: v.engines for name, v in model.variants.items()} == dict.fromkeys(
        model.variants, (*installed, "gpu")
    )
    entries = json.loads((tmp_path / "m" / "manifest.json").read_text())["variants"]
    entries["fp16"]["engines"] = ["onnx"]
    tiny_models.edit_manifest(tmp_path / "m", variants=entries)
    model = load_model(tmp_path / "m")
    with pytest.raises(EngineError, match=r"'fp16' .* was not found to agree on openvino; it was on onnx\."):
        open_engine(model, device="openvino", variant="fp16")
    with open_engine(model, device="cpu", variant="fp16") as engine:  # the next that is vouched for
        assert engine.provider == "ONNX Runtime CPUExecutionProvider"
    with pytest.raises(EngineError, match="was not found to agree on tensorrt-rtx"):
        build_engines(select_variant(model, "fp16"), library="tensorrt-rtx", sm=["86"])
    tried = [(one.variant, one.provider.split()[0]) for one in verify(tmp_path / "m")]
    assert ("fp16", "OpenVINO") in tried or not has_openvino()  # vouched for or not


def has_openvino():
    return importlib.util.find_spec("openvino") is not None


def test_gpus_are_vouched_for_by_what_stands_for_them():
    right = compare(images(), images())
    reference, other = Verdict({"onnx": right}, {}), Verdict({"openvino": right}, {"onnx": "differs"})
    assert reference.engines(in_float16=False) == ["onnx", "gpu"]
    assert other.engines(in_float16=False) == ["openvino"]
    assert other.engines(in_float16=True) == ["openvino", "gpu"]
    assert Verdict({"onnx": right}, {"cuda": "differs"}).engines(in_float16=True) == ["onnx"]


def test_a_device_that_fails_is_told_and_not_vouched_for(built):
    model = load_model(built[0])
    trial = Trial(model, [images()])
    trial.devices = ["onnx", "cudnn"]  # as if it had run float32
    verdict = trial.run(built[0], "fp16")
    assert list(verdict.passed) == ["onnx"] and "no device 'cudnn'" in verdict.failed["cudnn"]
    trial.devices = ["cudnn"]
    with pytest.raises(ModelError, match=r"no device 'cudnn'.*Nothing was written\."):
        trial.run(built[0], "fp16")


@pytest.mark.parametrize("engines", [[], "onnx", ["onnx", "cudnn"]])
def test_what_is_vouched_for_is_an_engine(tmp_path, engines):
    entry = {"file": "model.onnx", "batch": 1, "same_class": 1, "worst_dice": 1, "engines": engines}
    tiny_models.edit_manifest(write_unet(tmp_path / "m"), variants={"fp16": entry})
    with pytest.raises(ModelError, match=r"'variants\.fp16\.engines' is .*expected a list of some of onnx"):
        load_model(tmp_path / "m")


def test_a_damaged_variant_is_noticed_when_it_is_used(tmp_path, built):
    export(built[0], tmp_path / "m")
    path = tmp_path / "m" / "model.fp16.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    model = load_model(tmp_path / "m")
    assert len(read_graph(model)) == model.files["model.onnx"].size
    with pytest.raises(ModelError, match=r"model\.fp16\.onnx has"):
        read_graph(select_variant(model, "fp16"))
    with pytest.raises(ModelError, match=r"model\.fp16\.onnx has"):
        export(tmp_path / "m", tmp_path / "n")
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize(
    "variants",
    [
        "fp16",
        {"../x": {}},
        {"fp16": {"file": "absent.onnx", "batch": 1, "same_class": 1, "worst_dice": 1}},
        {"fp16": {"file": "model.onnx", "batch": 0, "same_class": 1, "worst_dice": 1}},
        {"fp16": {"file": "model.onnx", "batch": 1, "same_class": "high", "worst_dice": 1}},
    ],
)
def test_wrong_variants_are_named(tmp_path, variants):
    folder = write_unet(tmp_path / "m")
    tiny_models.edit_manifest(folder, variants=variants)
    with pytest.raises(ModelError, match="field 'variants"):
        load_model(folder)


def test_a_model_folder_is_taken_over_unchanged_and_not_overwritten(tmp_path):
    source = write_unet(tmp_path / "in")
    export(source, tmp_path / "out")
    assert (tmp_path / "out" / "model.onnx").read_bytes() == (source / "model.onnx").read_bytes()
    with pytest.raises(OutputExistsError):
        export(source, tmp_path / "out")


def test_float16_that_overflows_is_refused(tmp_path):
    source = write_unet(tmp_path / "in", gain=1e5)
    with pytest.raises(ModelError, match=r"first\.w holds .*float16 ends at 65504"):
        export(source, tmp_path / "a", wanted=Wanted(("fp16",)))
    source = write_unet(tmp_path / "in", gain=15000)
    with pytest.raises(ModelError, match=r"value a reaches .*float16 ends at 65504"):
        export(source, tmp_path / "a", wanted=Wanted(("fp16",)))
    assert not (tmp_path / "a").exists()


def test_integers_are_explicit_and_run_everywhere():
    tile = images()
    made = to_int8(small_unet(), [tile])
    check_graph(made)
    ops = [node.op_type for node in made.graph.node]
    assert ops.count("QuantizeLinear") > 0 and ops.count("DequantizeLinear") > 0
    first, *_, last = (node for node in made.graph.node if node.op_type == "Conv")
    assert (first.input[1], last.input[1]) == ("first.w", "last.w")  # float as they were
    exact = run_graph(small_unet(), tile)[0]
    assert np.abs(run_graph(made, tile)[0] - exact).max() < 0.1 * np.abs(exact).max()


def in_bfloat16():
    return computes_bfloat16(pytest.importorskip("openvino").Core())


def test_bfloat16_that_the_processor_lacks_ends_with_one_sentence(tmp_path, run_cli, hide):
    pytest.importorskip("openvino")
    hide("bfloat16")
    source = write_unet(tmp_path / "in")
    code, out, err = run_cli("export", "model", source, "-o", tmp_path / "out", "--precision", "bf16")
    assert (code, out) == (23, "")
    assert re.fullmatch(r"error: This processor does not compute in bfloat16, .*bf16 out\.\n", err)
    assert not (tmp_path / "out").exists()


def test_an_export_without_onnx_runtime_ends_at_once_and_names_it(tmp_path, run_cli, hide):
    hide("onnxruntime")
    source = write_unet(tmp_path / "in")
    code, out, err = run_cli("export", "model", source, "-o", tmp_path / "out", "--precision", "fp16")
    assert (code, out) == (23, "")
    assert "pip install 'spineps-rt[onnx]'" in err
    assert not (tmp_path / "out").exists()


def test_bfloat16_is_vouched_for_where_it_agrees(tmp_path, run_cli):
    if not in_bfloat16():
        pytest.skip("this processor does not compute in bfloat16")
    source = write_unet(tmp_path / "in")
    code, out, _ = run_cli("export", "model", source, "-o", tmp_path / "out", "--precision", "bf16")
    assert code == 0 and "bf16 against float32 on 1 tiles" in out
    model = load_model(tmp_path / "out")
    assert model.variants["bf16"].graphs == ("model.onnx",) and model.variants["bf16"].worst_dice > 0.999
    with open_engine(model, device="cpu") as engine:
        assert engine.provider == "OpenVINO CPU bf16"


def test_bfloat16_below_its_limits_is_refused_with_figures(tmp_path):
    source = write_unet(tmp_path / "in", apart=-3)
    match = r"in bfloat16 differs.*same class \d" if in_bfloat16() else "does not compute in bfloat16"
    with pytest.raises(SpinepsError, match=match):
        export(source, tmp_path / "out", wanted=Wanted(("bf16",)))
    assert not (tmp_path / "out").exists()


def test_no_engine_for_a_gpu_is_built_in_bfloat16(tmp_path):
    source = write_unet(tmp_path / "in")
    words = ["engine", str(source), "--library", "tensorrt-rtx", "--sm", "86", "--precision", "bf16"]
    done = CliRunner().invoke(cli, ["export", *words])
    assert done.exit_code == 2 and "'bf16' is not one of 'fp32', 'fp16', 'int8'" in done.output


def test_int8_below_its_limits_is_refused_with_figures(tmp_path):
    source = write_unet(tmp_path / "in", apart=0)
    with pytest.raises(ModelError, match=r"Variant int8 on ONNX.*same class \d.*Dice of 0\.99 or more"):
        export(source, tmp_path / "out", wanted=Wanted(("int8",)))
    assert not (tmp_path / "out").exists()


def spoilt(change):
    model = small_unet()
    change(model)
    return model


def with_node(*arguments, **options):
    def change(model):
        model.graph.node.append(helper.make_node(*arguments, **options))

    return change


def with_outside_data(model):
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def with_open_size(model):
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "length"


def with_opset(model):
    model.opset_import[0].version = 21


def with_ir(model):
    model.ir_version = 11


def with_function(model):
    model.functions.add().name = "helper"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (with_node("If", ["two"], ["x"]), r"control flow \(If\)"),
        (with_node("Gelu", ["a"], ["x"], domain="com.microsoft"), r"the operator com\.microsoft\.Gelu"),
        (lambda model: None, r"a copied constant \(scale\)"),
        (with_outside_data, "outside data"),
        (with_open_size, "an open size of image"),
        (with_opset, "opset 21"),
        (with_ir, "IR version 11"),
        (with_function, "the function helper"),
    ],
)
def test_a_graph_that_not_every_engine_takes_is_refused(change, says):
    with pytest.raises(ModelError, match=rf"{says}.*nothing was written"):
        check_graph(spoilt(change))
    check_graph(fold(small_unet()))


def test_a_graph_that_contradicts_itself_or_is_none():
    def wrong(model):
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7

    with pytest.raises(ModelError, match="contradicts itself"):
        retyped(spoilt(wrong))
    with pytest.raises(ModelError, match="cannot be read as ONNX"):
        load_graph(b"none")


def test_the_command_verifies_every_variant(built):
    done = CliRunner().invoke(cli, ["export", "verify", str(built[0])])
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    names = ["fp32", "b2", "fp16", "fp16.b2"]
    assert [line[0] for line in lines if line[1] == "ONNX"] == names
    assert all("GFLOP/s" in line for line in lines)


def test_the_command_makes_variants_or_says_what_is_wrong(tmp_path):
    source = write_unet(tmp_path / "in")
    run = CliRunner().invoke
    arguments = ["export", "model", str(source), "-o", str(tmp_path / "out"), "--precision", "fp16"]
    done = run(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "fp16 against float32" in done.output
    assert list(json.loads((tmp_path / "out" / "manifest.json").read_text())["variants"]) == ["fp16"]
    for wrong in (["export", "model", "x"], ["export", "model", "x", "-o", "y", "--scan", "z"]):
        assert run(cli, wrong).exit_code == 2


@pytest.mark.parametrize("words", [["t2w", "-o", "out"], ["-o", "out", "t2w"], ["--verify", "t2w"]])
def test_the_command_that_was_left_out_is_named(words):
    done = CliRunner().invoke(cli, ["export", *words])
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert f"{words[0]!r} is no command of export. Type: spineps-rt export model SOURCE -o MODEL_DIR" in said


def test_a_missing_library_is_named_with_the_line_that_helps(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "spineps_rt.export.convert", raising=False)
    done = CliRunner().invoke(cli, ["export", "model", str(tmp_path), "-o", str(tmp_path / "out")])
    assert isinstance(done.exception, EngineError)
    assert "pip install 'spineps-rt[export]'" in str(done.exception)
