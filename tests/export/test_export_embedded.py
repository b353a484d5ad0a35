"""The embedded models are what their checkpoints export to. Needs [export]; skipped without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch comes with [export]")
onnx = pytest.importorskip("onnx", reason="onnx comes with [export]")
pytest.importorskip("onnxscript", reason="onnxscript comes with [export]")

from spineps_rt.export.checkpoints.config import read_config  # noqa: E402 (after the checks above)
from spineps_rt.export.checkpoints.lightning import read_lightning  # noqa: E402
from spineps_rt.export.checkpoints.nnunet import read_nnunet  # noqa: E402
from spineps_rt.export.graphs.graph import fold  # noqa: E402
from spineps_rt.export.graphs.trace import first_layer, to_onnx  # noqa: E402
from spineps_rt.models import default_models  # noqa: E402

CHECKPOINTS = Path(__file__).parents[2] / "training" / "checkpoints"
OWN = {"name", "licence", "provenance", "intended_use", "cost", "files", "variants"}
"""What the embedded models say of themselves and an export cannot know."""


@pytest.mark.parametrize(("kind", "read"), [("semantic", read_nnunet), ("instance", read_lightning)])
def test_checkpoints_export_to_the_embedded_models(kind, read):
    """The same operators and the same constants, bit by bit; the version of PyTorch and names may differ."""
    found = read(read_config(CHECKPOINTS / kind / "inference_config.json"))
    folder = getattr(default_models(), kind).folder
    told = json.loads((folder / "manifest.json").read_text())
    spec = found.manifest["input"]
    example = torch.zeros(spec["shape"], dtype=getattr(torch, spec["dtype"]))
    model = to_onnx(found.network, example, names=(spec["name"], found.manifest["output"]["name"]))
    exported = json.loads(json.dumps({**found.manifest, **first_layer(found.network, model)}))
    assert {k: told[k] for k in told.keys() - OWN} == {k: exported[k] for k in exported.keys() - OWN}
    graph = model.graph
    embedded = fold(onnx.load(folder / "model.onnx")).graph
    assert [node.op_type for node in graph.node] == [node.op_type for node in embedded.node]
    assert _constants(graph) == _constants(embedded)


def _constants(graph):
    return sorted(onnx.numpy_helper.to_array(t).tobytes() for t in graph.initializer)
