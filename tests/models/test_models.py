"""Model folders: what is read, what is refused and how they are paired."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spineps_rt.engines
import tiny_models
from spineps_rt.errors import ModelError
from spineps_rt.models.graphs import Cost
from spineps_rt.models.resolve import (
    InstanceModel,
    SemanticModel,
    default_models,
    embedded_models,
    load_model,
    read_graph,
    resolve_models,
)


@pytest.fixture
def semantic(tmp_path):
    return tiny_models.write_semantic(tmp_path / "semantic")


@pytest.fixture
def instance(tmp_path):
    return tiny_models.write_instance(tmp_path / "instance")


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """An installation whose embedded models are two tiny ones."""
    root = tmp_path / "engines"
    tiny_models.write_instance(root / "a-instance", name="embedded-instance")
    tiny_models.write_semantic(root / "b-semantic", name="embedded-semantic")
    (root / "__init__.py").write_text("")
    monkeypatch.setattr(spineps_rt.engines, "__file__", str(root / "__init__.py"))
    return root


def test_semantic_fields(semantic):
    model = load_model(semantic)
    assert isinstance(model, SemanticModel)
    assert (model.name, model.modalities, model.acquisition) == ("tiny-semantic", ("T2w",), "sag")
    assert (model.orientation, model.axes, model.axis_order) == (("P", "I", "R"), ("R", "I", "P"), (2, 1, 0))
    assert (model.spacing, model.spacing_range) == ((1.0, 1.0, 2.0), None)
    assert (model.patch, model.step, model.normalisation) == ((8, 16, 16), 0.5, "zscore")
    assert (model.labels, model.sacrum_ids) == ({1: 26, 2: 41}, (26,))
    np.testing.assert_array_equal(model.label_table, np.array([0, 26, 41], np.uint8))
    assert model.input.shape == (1, 1, 8, 16, 16)
    assert (
        model.sha256 == json.loads((semantic / "manifest.json").read_text())["files"]["model.onnx"]["sha256"]
    )
    assert read_graph(model) == (semantic / "model.onnx").read_bytes()


def test_the_cost_of_a_run_may_be_told(semantic):
    assert load_model(semantic).cost is None
    tiny_models.edit_manifest(semantic, cost={"flops": 7, "activation_bytes": 5})
    assert load_model(semantic).cost == Cost(7, 5)


def test_fields_that_earlier_exports_wrote_are_passed_over(semantic, instance):
    tiny_models.edit_manifest(semantic, has_c1=True)
    tiny_models.edit_manifest(instance, corpus_border_threshold=10)
    assert load_model(semantic).sacrum_ids == (26,)
    assert load_model(instance).corpus_size_cleaning == 50


def test_instance_fields(instance):
    model = load_model(str(instance))
    assert isinstance(model, InstanceModel)
    assert (model.cutout, model.mapping[49], model.mapping[26]) == ((16, 24, 8), 9, 0)
    assert (model.corpus_size_cleaning, model.vert_size_threshold) == (50, 50)


def test_spacing_may_be_a_range(semantic):
    tiny_models.edit_manifest(semantic, spacing=None, spacing_range=[[0.75, 0.75, 1.65], [0.9, 0.9, 3.3]])
    model = load_model(semantic)
    assert (model.spacing, model.spacing_range) == (None, ((0.75, 0.75, 1.65), (0.9, 0.9, 3.3)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("kind", "labelling"),
        ("modalities", "T2w"),
        ("acquisition", "oblique"),
        ("orientation", ["P", "A", "R"]),
        ("axes", ["R", "I", "A"]),
        ("spacing", [1.0, 0.0, 1.0]),
        ("spacing_range", [[1.0, 1.0, 1.0]]),
        ("patch", [8, 16]),
        ("patch", [8, True, 16]),
        ("step", 0),
        ("step", 1.5),
        ("normalisation", {"scheme": "CT"}),
        ("normalisation", "zscore"),
        ("input", {"name": "image", "dtype": "float64", "shape": [1, 1, 8, 16, 16]}),
        ("output", {"name": "logits", "dtype": "float32", "shape": [1, 4, 8, 16, 16]}),
        ("input", {"name": "image", "dtype": "float32", "shape": [1, 1, 8, 16, 32]}),
        ("labels", {"1": 26, "3": 41}),
        ("labels", {"1": 26, "2": 300}),
        ("labels", {"one": 26}),
        ("sacrum_ids", 26),
        ("files", {}),
        ("files", {"model.onnx": {"sha256": "00", "bytes": 3}}),
        ("files", {"model.onnx": {"sha256": "0" * 64, "bytes": 3}, "../x": {"sha256": "0" * 64, "bytes": 3}}),
        ("cost", {"flops": 0, "activation_bytes": 1}),
        ("cost", [1, 2]),
        ("licence", None),
        ("intended_use", 3),
    ],
)
def test_a_wrong_field_is_named(semantic, field, value):
    tiny_models.edit_manifest(semantic, **{field: value})
    with pytest.raises(ModelError, match=rf"manifest\.json: field '{field}.*expected"):
        load_model(semantic)


@pytest.mark.parametrize(
    ("field", "value"),
    [("cutout", [16, 24]), ("mapping", {}), ("vert_size_threshold", -1), ("corpus_size_cleaning", None)],
)
def test_a_wrong_field_of_an_instance_model_is_named(instance, field, value):
    tiny_models.edit_manifest(instance, **{field: value})
    with pytest.raises(ModelError, match=rf"field '{field}"):
        load_model(instance)


def test_unknown_schema_and_unknown_fields(semantic):
    tiny_models.edit_manifest(semantic, remark="ignored")
    load_model(semantic)
    tiny_models.edit_manifest(semantic, schema=2)
    with pytest.raises(ModelError, match="schema version 2; this runtime reads version 1"):
        load_model(semantic)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]"])
def test_a_manifest_that_is_no_object(semantic, content):
    (semantic / "manifest.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"manifest\.json"):
        load_model(semantic)


def test_one_flipped_bit_is_found(semantic):
    model = load_model(semantic)
    graph = bytearray((semantic / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (semantic / "model.onnx").write_bytes(graph)
    with pytest.raises(ModelError, match=r"model\.onnx is damaged"):
        load_model(semantic)
    with pytest.raises(ModelError, match=r"model\.onnx is damaged"):
        read_graph(model)  # swapped after it was loaded


def test_a_truncated_or_missing_graph_is_found(semantic):
    graph = (semantic / "model.onnx").read_bytes()
    (semantic / "model.onnx").write_bytes(graph[:-1])
    with pytest.raises(ModelError, match=rf"has {len(graph) - 1} bytes; its manifest says {len(graph)}"):
        load_model(semantic)
    (semantic / "model.onnx").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(semantic)


def test_embedded_models_are_found_by_either_name(embedded):
    assert [m.name for m in embedded_models()] == ["embedded-instance", "embedded-semantic"]
    assert load_model("embedded-semantic").folder == embedded / "b-semantic"
    assert load_model("a-instance").name == "embedded-instance"
    with pytest.raises(ModelError, match=r"no model 'nonesuch'.*embedded-instance"):
        load_model("nonesuch")


def test_default_models_fit_the_modality(embedded):
    pair = default_models()
    assert (pair.semantic.name, pair.instance.name) == ("embedded-semantic", "embedded-instance")
    with pytest.raises(ModelError, match=r"T1w.*embedded-semantic \(T2w\)"):
        default_models("T1w")


def test_without_embedded_models_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(spineps_rt.engines, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelError, match="embedded are: none"):
        resolve_models()


def test_what_is_missing_comes_from_the_embedded_models(embedded, semantic, instance, tmp_path):
    def names(given):
        pair = resolve_models(given)
        return pair.semantic.name, pair.instance.name

    assert names(None) == names("b-semantic") == ("embedded-semantic", "embedded-instance")
    assert names(semantic) == ("tiny-semantic", "embedded-instance")
    assert names(str(instance)) == ("embedded-semantic", "tiny-instance")
    both = tmp_path / "both"
    tiny_models.write_semantic(both / "one")
    tiny_models.write_instance(both / "two")
    assert names(both) == ("tiny-semantic", "tiny-instance")


def test_a_folder_of_both_needs_no_embedded_model(tmp_path, monkeypatch):
    monkeypatch.setattr(spineps_rt.engines, "__file__", str(tmp_path / "none" / "__init__.py"))
    tiny_models.write_semantic(tmp_path / "both" / "semantic")
    tiny_models.write_instance(tmp_path / "both" / "instance")
    assert resolve_models(tmp_path / "both").semantic.name == "tiny-semantic"


def test_ambiguous_and_empty_folders_are_refused(embedded, tmp_path):
    with pytest.raises(ModelError, match="is no model folder"):
        resolve_models(tmp_path)
    tiny_models.write_semantic(tmp_path / "many" / "one")
    tiny_models.write_semantic(tmp_path / "many" / "two")
    with pytest.raises(ModelError, match=r"2 semantic models \(one, two\)"):
        resolve_models(tmp_path / "many")
