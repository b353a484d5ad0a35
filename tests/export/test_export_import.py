"""SPINEPS's folders to model folders. Needs [export]; skipped without it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch comes with [export]")
pytest.importorskip("onnxscript", reason="onnxscript comes with [export]")

from click.testing import CliRunner  # noqa: E402

import spineps_folders as folders  # noqa: E402 (after the checks above)
from spineps_rt.backends import open_engine  # noqa: E402
from spineps_rt.cli.main import cli  # noqa: E402
from spineps_rt.errors import ModelError, OutputExistsError  # noqa: E402
from spineps_rt.export.checkpoints.config import read_config  # noqa: E402
from spineps_rt.export.checkpoints.lightning import read_lightning  # noqa: E402
from spineps_rt.export.checkpoints.nnunet import read_nnunet  # noqa: E402
from spineps_rt.export.checkpoints.source import open_source  # noqa: E402
from spineps_rt.export.checks.verify import verify  # noqa: E402
from spineps_rt.export.model import export  # noqa: E402
from spineps_rt.models import load_model  # noqa: E402


def read(folder):
    config = read_config(folder / "inference_config.json")
    return (read_nnunet if config.data["modeltype"] == "nnunet" else read_lightning)(config)


@pytest.mark.parametrize("style", folders.STYLES)
@pytest.mark.parametrize("folds", [("0",), ("0", "1"), ("all",)], ids=len)
def test_every_layout_of_nnunet_gives_the_mean_of_its_folds(tmp_path, style, folds):
    networks = folders.write_nnunet(tmp_path / "m", style=style, folds=folds)
    found = read(tmp_path / "m")
    tile = torch.randn(1, 1, 8, 16, 16)
    with torch.inference_mode():
        expected = sum(network(tile) for network in networks) / len(networks)
        assert torch.allclose(found.network(tile), expected, atol=1e-6)


def test_a_semantic_model_is_written_with_all_that_its_files_say(tmp_path):
    networks = folders.write_nnunet(tmp_path / "in", folds=("0", "1"), file="checkpoint_best.pth")
    lines = export(tmp_path / "in", tmp_path / "out")
    assert any("ONNX Runtime" in line for line in lines)
    model = load_model(tmp_path / "out")
    assert (model.name, model.modalities, model.acquisition) == ("tiny_semantic", ("T2w",), "sag")
    assert (model.axes, model.patch, model.step) == (("R", "I", "P"), (8, 16, 16), 0.5)
    assert (model.spacing, model.labels) == ((2.0, 2.0, 4.0), {1: 49, 2: 100})
    assert "fold_1/checkpoint_best.pth" in model.provenance
    tile = torch.randn(1, 1, 8, 16, 16)
    with torch.inference_mode():
        expected = sum(network(tile) for network in networks) / 2
    with open_engine(model, device="onnx") as engine:
        assert np.abs(engine.infer(tile.numpy()) - expected.numpy()).max() < 1e-4
    with pytest.raises(OutputExistsError):
        export(tmp_path / "in", tmp_path / "out")
    assert next(verify(tmp_path / "out")).agreement.same_class == 1


@pytest.mark.parametrize(("channels", "width"), [(10, 16), (11, 8), (1, 8)])
def test_every_published_instance_network_is_read(tmp_path, channels, width):
    network = folders.write_lightning(tmp_path / "m", channels=channels, width=width)
    found = read(tmp_path / "m")
    labels = torch.randint(0, 14, (1, 1, 16, 16, 8), dtype=torch.uint8)
    known = torch.where(labels < max(channels, 10), labels, 0).long()
    if channels > 1:
        shown = torch.nn.functional.one_hot(known[:, 0], channels).permute(0, 4, 1, 2, 3).float()
    else:
        shown = known.float() / 9
    with torch.inference_mode():
        assert torch.equal(found.network(labels), network(shown).argmax(1).to(torch.uint8))
    assert found.manifest["mapping"]["51"] == 9
    assert bool(found.notes) == (channels == 1)


def test_a_zip_file_with_a_folder_in_it_becomes_an_instance_model(tmp_path):
    ranged = {"resolution_range": [[2, 2, 4], [3, 3, 5]], "mapping": {"49": 1}, "vert_size_threshold": 7}
    folders.write_lightning(tmp_path / "in" / "nested", config=ranged)
    source = shutil.make_archive(str(tmp_path / "m"), "zip", tmp_path / "in")
    result = CliRunner().invoke(
        cli, ["export", "model", source, "-o", str(tmp_path / "out")], catch_exceptions=False
    )
    assert result.exit_code == 0
    model = load_model(tmp_path / "out")
    assert model.spacing_range == ((2.0, 2.0, 4.0), (3.0, 3.0, 5.0))
    assert (model.mapping, model.vert_size_threshold, model.cutout) == ({49: 1}, 7, (16, 16, 8))
    assert (model.input.dtype, model.output.dtype) == ("uint8", "uint8")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"config": {"modeltype": "classifier"}}, "labelling network"),
        ({"config": {"expected_inputs": ["img", "seg"]}}, "nothing else"),
        ({"config": {"labels": {"1": "Nonsense"}}}, "labels"),
        ({"config": {"labels": {"9": "49"}}}, "classes from 1 to 2"),
        ({"config": {"available_folds": 5}}, "fold_0"),
        ({"config": {"resolution_range": [1, 1]}}, "resolution_range"),
        ({"plans": folders.plans_of("new", normalization_schemes=["CTNormalization"])}, "CT"),
        ({"plans": folders.plans_of("new", use_mask_for_norm=[True])}, "mask"),
        ({"labels": 4}, "another shape: .*seg_layers"),
    ],
)
def test_what_the_runtime_cannot_do_is_refused(tmp_path, changes, says):
    folders.write_nnunet(tmp_path / "m", **changes)
    with pytest.raises(ModelError, match=says):
        export(tmp_path / "m", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_do_not_fit_are_named(tmp_path):
    folders.write_lightning(tmp_path / "m")
    path = tmp_path / "m" / "instance_weights.ckpt"
    state = torch.load(path, weights_only=False)["state_dict"]
    state["network.extra"] = state.pop("network.final_conv.bias")
    torch.save({"state_dict": state}, path)
    with pytest.raises(ModelError, match=r"Missing: final_conv\.bias; too much: extra"):
        read(tmp_path / "m")
    state["network.final_conv.bias"] = state.pop("network.extra") * float("nan")
    torch.save({"state_dict": state}, path)
    with pytest.raises(ModelError, match=r"NaN or infinity in final_conv\.bias"):
        read(tmp_path / "m")


def test_the_plans_spacing_is_the_network_s(tmp_path):
    folders.write_nnunet(tmp_path / "m", config={"resolution_range": [[1, 1, 3], [2, 2, 4]]})
    found = read(tmp_path / "m")
    assert found.manifest["spacing"] == [2.0, 2.0, 4.0]
    assert "spacing_range" not in found.manifest
    assert "stands for the configuration's" in found.notes[0]


def test_mirroring_is_taken_over_where_the_configuration_asks_for_it(tmp_path):
    folders.write_nnunet(tmp_path / "m", config={"inference_augmentation": True})
    folders.write_nnunet(tmp_path / "n")
    assert read(tmp_path / "m").manifest["mirror_axes"] == [0, 2]
    assert "mirror_axes" not in read(tmp_path / "n").manifest


def test_plans_name_no_class_of_their_choice(tmp_path):
    folders.write_nnunet(tmp_path / "m")
    plans = json.loads((tmp_path / "m" / "plans.json").read_text())
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "os.system"
    folders.dump(tmp_path / "m" / "plans.json", plans)
    with pytest.raises(ModelError, match=r"os\.system"):
        read(tmp_path / "m")


def test_a_source_without_one_configuration_says_so(tmp_path):
    with pytest.raises(ModelError, match="does not exist"), open_source(tmp_path / "none"):
        pass
    with pytest.raises(ModelError, match="holds no inference_config"), open_source(tmp_path):
        pass
