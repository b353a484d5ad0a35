"""Folds in turn answer as one graph of them all. Needs [export]; skipped without it."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch comes with [export]")
pytest.importorskip("onnxscript", reason="onnxscript comes with [export]")

from click.testing import CliRunner  # noqa: E402

import spineps_folders as folders  # noqa: E402 (after the checks above)
import tiny_models  # noqa: E402
import tiny_scan  # noqa: E402
from spineps_rt.backends import open_engine  # noqa: E402
from spineps_rt.backends.folds import each_fold  # noqa: E402
from spineps_rt.cli.main import cli  # noqa: E402
from spineps_rt.errors import EngineError, ModelError, NotFiniteError  # noqa: E402
from spineps_rt.export import convert  # noqa: E402
from spineps_rt.models import load_model  # noqa: E402

FOLDS = ["model.fold0.onnx", "model.fold1.onnx"]


def call(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)))


def refused(*arguments):
    """What a command says that ends with a ModelError, raised or as its exit code."""
    result = call(*arguments)
    assert isinstance(result.exception, ModelError) or result.exit_code == ModelError.exit_code
    return f"{result.exception} {result.output}"


def let_run_in_turn(folder, other):
    """Make another model's graph the second fold of a model."""
    files = [json.loads((f / "manifest.json").read_text())["files"]["model.onnx"] for f in (folder, other)]
    shutil.copy(other / "model.onnx", folder / "other.onnx")
    named = dict(zip(("model.onnx", "other.onnx"), files))
    tiny_models.edit_manifest(folder, files=named, folds=list(named))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two folds, exported both ways, in turn with a variant."""
    folder = tmp_path_factory.mktemp("folds")
    folders.write_nnunet(folder / "in", folds=("0", "1"))
    assert call("export", "model", folder / "in", "-o", folder / "together").exit_code == 0
    told = call(
        "export", "model", folder / "in", "-o", folder / "in_turn",
        "--folds", "in-turn", "--precision", "fp16", "--batch", "2",
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    return folder


@pytest.fixture
def in_turn(made, tmp_path):
    return shutil.copytree(made / "in_turn", tmp_path / "in_turn")


@pytest.fixture(scope="module")
def tiles():
    return np.random.default_rng(3).standard_normal((3, 1, 8, 16, 16), np.float32)


@pytest.mark.parametrize("device", ["onnx", "openvino"])
def test_folds_in_turn_answer_as_one_graph(made, tiles, device):
    pytest.importorskip({"onnx": "onnxruntime"}.get(device, device))
    answers = []
    for name in ("together", "in_turn"):
        with open_engine(load_model(made / name), device=device) as engine:
            answers.append(engine.infer(tiles))
            assert np.array_equal(engine.borrow(tiles[:1]), answers[-1][:1])
            engine.release_buffers()
            assert np.array_equal(engine.infer(tiles), answers[-1])
            assert engine.device_buffers() is None
    assert engine.provider.endswith(", 2 folds in turn")
    assert np.allclose(*answers, rtol=1e-5, atol=1e-5)
    assert np.array_equal(answers[0].argmax(1), answers[1].argmax(1))
    with pytest.raises(EngineError, match="closed"):
        engine.infer(tiles)


@pytest.mark.parametrize("variant", ["b2", "fp16", "fp16.b2"])
def test_a_variant_has_a_graph_of_every_fold(made, tiles, variant):
    model = load_model(made / "in_turn")
    assert list(model.variants) == ["b2", "fp16", "fp16.b2"]
    with open_engine(model, device="onnx", variant=variant) as engine:
        answer = engine.infer(tiles)
        assert engine.model.graphs == tuple(f.replace(".onnx", f".{variant}.onnx") for f in FOLDS)
    with open_engine(model, device="onnx") as engine:
        assert np.allclose(answer, engine.infer(tiles), atol=0.02 if "fp16" in variant else 1e-5)


def test_the_manifest_tells_the_folds(made):
    together, model = load_model(made / "together"), load_model(made / "in_turn")
    said = json.loads((made / "in_turn" / "manifest.json").read_text())
    assert said["folds"] == FOLDS == list(model.graphs)
    assert together.graphs == ("model.onnx",)
    assert "folds" not in json.loads((made / "together" / "manifest.json").read_text())
    assert model.cost.flops == together.cost.flops
    assert model.cost.activation_bytes <= together.cost.activation_bytes
    assert [one.name for one in each_fold(model)] == ["tiny_semantic-fold0", "tiny_semantic-fold1"]
    digests = {model.sha256, together.sha256, *(one.sha256 for one in each_fold(model))}
    assert {len(digest) for digest in digests} == {64}
    assert len(digests) == 4


def test_a_scan_gets_the_masks_of_the_mean(tmp_path):
    """The folds' fields cancel out: neither answers as the plain model does, their mean does."""
    field = 99 * np.random.default_rng(5).standard_normal((1, 7, *tiny_scan.PATCH), np.float32)
    models = [tiny_scan.write_models(tmp_path / "plain")]
    models += [tiny_scan.write_models(tmp_path / name, field=f) for name, f in (("a", field), ("b", -field))]
    let_run_in_turn(models[1] / "semantic", models[2] / "semantic")
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    masks, records = [], []
    for model in models[:2]:
        done = call("run", scan, "--model", model, "-o", model / "out", "--device", "onnx")
        assert (done.exception, done.exit_code) == (None, 0)
        masks.append([np.asarray(nib.load(path).dataobj) for path in sorted(model.glob("out/*_msk.nii.gz"))])
        records.append(json.loads(next(model.glob("out/*_run.json")).read_text())["models"][0])
    assert [mask.max() > 0 for mask in masks[0]] == [True, True]
    assert all(np.array_equal(one, other) for one, other in zip(*masks))
    assert records[0]["samples"] == records[1]["samples"]
    assert records[1]["provider"].endswith(", 2 folds in turn")
    assert records[1]["sha256"] == load_model(models[1] / "semantic").sha256


def test_models_show_verify_and_import_know_the_folds(in_turn, monkeypatch, tmp_path):
    monkeypatch.setenv("SPINEPS_RT_MODELS", str(tmp_path / "store"))
    assert ", ".join(FOLDS) in call("models", "show", in_turn).output
    assert call("models", "import", in_turn, "--name", "mine").exit_code == 0
    assert load_model("mine").graphs == tuple(FOLDS)
    assert len(list((tmp_path / "store" / "mine").glob("*.onnx"))) == 8
    told = call("export", "verify", in_turn)
    assert told.exit_code == 0
    assert "2 folds in turn" in told.output
    (in_turn / FOLDS[1]).write_bytes(b"x" + (in_turn / FOLDS[1]).read_bytes()[1:])
    for command in ("show", "verify", "import"):
        assert "model.fold1.onnx is damaged" in refused("models", command, in_turn)
    with pytest.raises(ModelError, match=r"model\.fold1\.onnx is damaged"):
        load_model(in_turn)


def test_a_fold_that_changes_later_opens_no_engine(in_turn):
    model = load_model(in_turn)
    (in_turn / FOLDS[1]).unlink()
    with pytest.raises(ModelError, match=r"model\.fold1\.onnx cannot be read"):
        open_engine(model, device="onnx")


@pytest.mark.parametrize(
    "folds",
    [
        ["model.fold0.onnx", "model.fold2.onnx"],
        ["model.fold0.onnx"],
        ["model.fold0.onnx"] * 2,
        [],
        5,
        "x",
        [[]],
    ],
)
def test_folds_that_are_no_files_are_refused(in_turn, folds):
    tiny_models.edit_manifest(in_turn, folds=folds)
    with pytest.raises(ModelError, match=r"'folds' is .*two or more of the manifest's files \(model\.fold0"):
        load_model(in_turn)


def test_variants_and_instance_models_without_folds_to_match_are_refused(in_turn, tmp_path):
    variants = json.loads((in_turn / "manifest.json").read_text())["variants"]
    variants["fp16"]["folds"].append(FOLDS[0])
    tiny_models.edit_manifest(in_turn, variants=variants)
    with pytest.raises(ModelError, match=r"variants\.fp16\.folds' is .*2 files, as many"):
        load_model(in_turn)
    tiny_models.edit_manifest(in_turn, variants=None, folds=None)
    with pytest.raises(ModelError, match=r"'files' .*model\.onnx' or the graphs of 'folds'"):
        load_model(in_turn)
    instance = tiny_models.write_instance(tmp_path / "i")
    let_run_in_turn(instance, instance)
    with pytest.raises(ModelError, match="an instance model answers classes"):
        load_model(instance)


def test_a_fold_that_answers_nan_is_named(tmp_path):
    field = np.full((1, 3, 8, 16, 16), np.nan, np.float32)
    folder = tiny_models.write_semantic(tmp_path / "m")
    let_run_in_turn(folder, tiny_models.write_semantic(tmp_path / "nan", field=field))
    with (
        open_engine(load_model(folder), device="onnx") as engine,
        pytest.raises(NotFiniteError, match="tiny-semantic-fold1"),
    ):
        engine.infer(np.zeros((1, 1, 8, 16, 16), np.float32))


def test_what_has_no_folds_is_not_exported_in_turn(made, tmp_path):
    folders.write_nnunet(tmp_path / "one")
    folders.write_lightning(tmp_path / "instance")
    for source, says in (
        (tmp_path / "one", "one fold"),
        (tmp_path / "instance", "one fold"),
        (made / "together", "model of this runtime already"),
    ):
        assert says in refused("export", "model", source, "-o", tmp_path / "out", "--folds", "in-turn")
    assert not (tmp_path / "out").exists()


def test_a_graph_beyond_protobuf_s_limit_names_the_remedy(made, tmp_path, monkeypatch):
    weights = sum(p.numel() for p in folders.write_nnunet(tmp_path / "m")[0].parameters()) * 4
    monkeypatch.setattr(convert, "LARGEST", weights + 1000)  # one fold fits, two do not
    told = refused("export", "model", made / "in", "-o", tmp_path / "out")
    assert "2 folds together" in told
    assert "--folds in-turn" in told
    assert call("export", "model", made / "in", "-o", tmp_path / "out", "--folds", "in-turn").exit_code == 0
