"""A benchmark's figures hang together, and engines stand side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_scan
from spineps_rt.cli.main import cli
from spineps_rt.diagnostics import bench as measuring
from spineps_rt.errors import EngineError, SelfTestError
from spineps_rt.options import EngineOptions, Options
from spineps_rt.pipeline import Pipeline
from spineps_rt.timing import process_seconds

COST = {"flops": 4_000_000, "activation_bytes": 1000}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    tiny_scan.write_models(folder / "models", cost=COST)
    return folder, tiny_scan.write_scan(folder / "sub-x_T2w.nii.gz")


def run(place, *words):
    folder, scan = place
    words = ["bench", scan, "--model", folder / "models", "--json", folder / "b.json", *words]
    answer = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output, json.loads((folder / "b.json").read_text())


def test_figures_hang_together(place, monkeypatch):
    monkeypatch.setattr(measuring, "TARGET_SECONDS", 0.01)
    text, document = run(place, "--engines", "onnx", "--runs", 2)
    (engine,) = document["engines"]
    assert {"read", "semantic", "instance", "points", "total"} <= set(engine["stages"])
    for seconds in engine["stages"].values():
        assert 0 <= seconds["p50"] <= seconds["p95"] <= seconds["p99"]
    total = engine["stages"]["total"]["p50"]
    assert engine["scans_per_minute"] == pytest.approx(60 / total)
    semantic, instance = engine["networks"]
    assert semantic["samples"] > 1
    assert 0 < semantic["seconds"] < total
    assert semantic["gflop"] == pytest.approx(semantic["samples"] * 0.004)
    assert semantic["share"] == pytest.approx(semantic["gflops"] / engine["matmul_gflops"])
    assert "gflop" not in instance  # its manifest does not tell
    assert "GFLOP are left out" in text
    assert "ONNX Runtime CPUExecutionProvider" in text
    assert engine["gpu_bytes"] is None or engine["gpu_bytes"] > 0
    assert process_seconds() is None or engine["cold_seconds"] >= engine["first_seconds"]


def test_an_engine_that_cannot_be_had_is_told_beside_the_other(place, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    text, document = run(place, "--engines", "onnx,tensorrt", "--runs", 1, "--warmup", 0)
    assert [("stages" in e, "fault" in e) for e in document["engines"]] == [(True, False), (False, True)]
    assert "\ntensorrt: Device 'tensorrt' cannot be had" in text
    with pytest.raises(EngineError, match=r"No engine could be measured\. tensorrt: "):
        run(place, "--engines", "tensorrt,tensorrt-rtx", "--runs", 1)


def test_masks_that_differ_between_runs_are_an_error(place, monkeypatch):
    digests = iter([b"a", b"b"])
    monkeypatch.setattr(measuring, "_digest", lambda _: next(digests))
    options = Options(engine=EngineOptions("onnx"))
    with pytest.raises(SelfTestError, match="different masks"):
        measuring.bench(place[1], place[0] / "models", options=options, runs=1)


def test_an_unknown_engine_is_refused(place):
    answer = CliRunner().invoke(cli, ["bench", "--engines", "onnx,abacus"])
    assert answer.exit_code == 2
    assert "There is no 'abacus'" in answer.output


def test_an_engine_that_tells_no_seconds_gives_no_speed(place):
    with Pipeline(place[0] / "models", options=Options(engine=EngineOptions("onnx"))) as pipeline:
        model = pipeline.models.semantic
    told = {"kind": "semantic", "name": "x", "provider": "CUDA", "samples": 4, "seconds": 0.0}
    assert measuring._network(model, [told], 100.0)["gflop"] == pytest.approx(0.016)
    assert "gflops" not in measuring._network(model, [told], 100.0)


def test_percentiles_are_those_of_the_sorted_runs():
    assert measuring.percentiles([float(n) for n in range(101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert np.isclose(measuring.percentiles([1.0, 2.0])["p99"], 1.99)
