"""Networks to ONNX: the graph answers as PyTorch does. Needs [export]; skipped without it."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="PyTorch comes with [export]")
pytest.importorskip("onnxscript", reason="onnxscript comes with [export]")

from spineps_rt.export.checkpoints.instance_unet import (  # noqa: E402
    InstanceUnet,
    LabelsToClasses,
    _ConvNorm,
)
from spineps_rt.export.checkpoints.plans import build_semantic  # noqa: E402
from spineps_rt.export.folder import write_model  # noqa: E402 (after the checks above)
from spineps_rt.export.graphs.trace import first_layer, to_onnx  # noqa: E402
from spineps_rt.models import load_model  # noqa: E402 (after the checks above)

PLANS = {
    "configurations": {
        "3d_fullres": {
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": 2,
                    "features_per_stage": [4, 8],
                    "conv_op": "torch.nn.Conv3d",
                    "kernel_sizes": [[1, 3, 3], [3, 3, 3]],
                    "strides": [[1, 1, 1], [1, 2, 2]],
                    "n_conv_per_stage": [1, 1],
                    "n_conv_per_stage_decoder": [1],
                    "conv_bias": True,
                    "norm_op": "torch.nn.InstanceNorm3d",
                    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                    "dropout_op": None,
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            }
        }
    }
}


def run(model, array: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: array})[0]


def test_semantic_graph_answers_as_pytorch():
    torch.manual_seed(1)
    network = build_semantic(PLANS, inputs=1, classes=3).eval()
    image = torch.randn(1, 1, 4, 16, 12)
    model = to_onnx(network, torch.zeros_like(image), names=("image", "logits"))
    with torch.no_grad():
        expected = network(image).numpy()
    assert np.abs(run(model, image.numpy()) - expected).max() < 1e-4
    assert not model.graph.doc_string
    assert all(node.op_type not in ("If", "Loop", "Scan") for node in model.graph.node)


def test_instance_graph_takes_labels_and_answers_classes():
    torch.manual_seed(2)
    network = InstanceUnet(8, 10).eval()
    labels = torch.randint(0, 12, (1, 1, 16, 8, 8), dtype=torch.uint8)  # 10 and 11 count as background
    model = to_onnx(LabelsToClasses(network, 10), torch.zeros_like(labels), names=("labels", "classes"))
    named = first_layer(LabelsToClasses(network, 10), model)["first_layer"]
    assert named == {
        "weights": "network.init_conv.weight",
        "bias": "network.init_conv.bias",
        "output": "conv3d",
    }
    assert first_layer(LabelsToClasses(network, 1), model) == first_layer(network, model) == {}
    answer = run(model, labels.numpy())
    known = torch.where(labels[:, 0] < 10, labels[:, 0], 0).long()
    one_hot = torch.nn.functional.one_hot(known, 10).permute(0, 4, 1, 2, 3).float()
    with torch.no_grad():
        expected = network(one_hot).argmax(1).numpy()
    assert answer.dtype == np.uint8
    assert answer.shape == (1, 16, 8, 8)
    assert (answer == expected).mean() > 0.999


def test_instance_norm_stands_for_group_norm_of_single_channels():
    torch.manual_seed(3)
    layer = _ConvNorm(2, 8, groups=8)
    torch.nn.init.normal_(layer.norm.weight)
    x = torch.randn(1, 2, 6, 6, 6)
    norm = layer.norm
    grouped = torch.nn.functional.group_norm(layer.proj(x), 8, norm.weight, norm.bias, norm.eps)
    assert torch.allclose(layer(x), layer.act(grouped), atol=1e-5)


def test_graph_is_the_same_bytes_twice_and_its_manifest_verifies(tmp_path):
    torch.manual_seed(4)
    network = LabelsToClasses(InstanceUnet(8, 10), 10)
    example = torch.zeros(1, 1, 16, 8, 8, dtype=torch.uint8)
    manifest = {
        "schema": 1,
        "name": "t",
        "kind": "instance",
        "modalities": ["SEG"],
        "acquisition": "sag",
        "orientation": ["P", "I", "R"],
        "spacing": [1, 1, 2],
        "axes": ["P", "I", "R"],
        "cutout": [16, 8, 8],
        "input": {"name": "labels", "dtype": "uint8", "shape": [1, 1, 16, 8, 8]},
        "output": {"name": "classes", "dtype": "uint8", "shape": [1, 16, 8, 8]},
        "mapping": {"49": 9},
        "corpus_size_cleaning": 100,
        "vert_size_threshold": 250,
        "licence": "x",
        "provenance": "x",
        "intended_use": "x",
    }
    for name in "ab":
        write_model(tmp_path / name, to_onnx(network, example, names=("labels", "classes")), manifest)
    first, second = ((tmp_path / name / "model.onnx").read_bytes() for name in "ab")
    assert first == second
    assert load_model(str(tmp_path / "a")).cost.flops > 0
    assert (
        load_model(str(tmp_path / "a")).sha256
        == json.loads((tmp_path / "b" / "manifest.json").read_text())["files"]["model.onnx"]["sha256"]
    )
