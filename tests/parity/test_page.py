"""The tables of docs/parity.md say what their figures say."""

from __future__ import annotations

import pytest

from tests.parity import page


def test_the_table_on_preprocessing_shows_every_step():
    none = {"voxels": 2000, "differing": 0, "rms": 0.0, "largest": 0.0}
    some = {"voxels": 2000, "differing": 30, "rms": 0.29, "largest": 0.5}
    steps = {"prepared": none, "resampled": some}
    document = {
        "versions": {"SPINEPS": "2.1.3"},
        "cases": {"a": {"stored": "int16", "without N4": steps, "with N4": {**steps, "prepared": some}}},
    }
    lines = page.preprocess(document)
    assert lines[0] == "Software: SPINEPS 2.1.3."
    assert "| a | int16 | without | 2,000 | 0 | 1.500% (0.29, 0.5) |" in lines
    assert "| a | int16 | with | 2,000 | 1.500% (0.29, 0.5) | 1.500% (0.29, 0.5) |" in lines


def test_the_table_of_networks_shows_engines_and_graphs_beside_each_other():
    row = {"model": "m", "compared": "float32 sums", "voxels": 40, "dice": {"49": 0.75, "100": 1.0}}
    same = {**row, "agreement": 1.0, "differ": 0}
    rows = [{**same, "graph": graph, "device": device} for graph, device in page.WAYS]
    rows[0] |= {"agreement": 0.9, "differ": 4}
    rows[4] |= {"agreement": 0.95, "differ": 2, "dice": {"49": 0.5}}
    lines = page.networks({"date": "d", "versions": {"torch": "2"}, "rows": rows})
    most = "100.0000 % (0) | 100.0000 % (0) | 100.0000 % (0)"
    assert f"| m | SPINEPS, float32 sums | 2 | 90.0000 % (4) | {most} | 95.0000 % (2) |" in lines
    assert "- SPINEPS with float32 sums: 4 of 80 voxels of the float32 graphs differ." in lines
    fp16 = "- fp16, in float16: smallest agreement 95.0000 %, smallest Dice of a class 0.50000."
    assert fp16 in lines


def test_a_network_without_a_variant_is_refused_with_its_reason():
    row = {"model": "m", "compared": "published", "voxels": 40, "dice": {"49": 0.75}, "agreement": 1.0}
    row |= {"differ": 0, "fp16_refused": "too coarse."}
    other = {**row, "model": "n", "graph": "fp16", "device": "onnx"}
    rows = [{**row, "graph": "fp32", "device": "onnx"}, other, {**other, "graph": "float16"}]
    lines = page.networks({"rows": rows})
    assert "| m | SPINEPS | 1 | 100.0000 % (0) | refused | refused | refused | refused |" in lines
    assert "- m, fp16 refused: too coarse." in lines


def test_the_document_in_the_project_is_up_to_date():
    text = page.DOCS.read_text(encoding="utf-8")
    assert page.updated(text, page.read()) == text
    with pytest.raises(ValueError, match="start of agreement"):
        page.updated("", page.read())
