"""The benchmark runs, and its page says what its figures say."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import tiny_models
import tiny_scan
from benchmarks import (
    engines,
    engines_page,
    kernels_page,
    latency_page,
    localiser,
    localiser_page,
    n4_page,
    networks_page,
    report,
    run_latency,
    stages_page,
    throughput,
    throughput_page,
    variants_page,
    versus_page,
)
from spineps_rt.options import EngineOptions, Options
from spineps_rt.pipeline import Pipeline
from spineps_rt.scan import read_scan

MEASURED = {"date": "2026-01-01", "machine": {"cpu": "x", "cores": 2, "system": "Linux"}}
"""What every page's figures begin with."""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    models = tiny_scan.write_models(folder / "models")
    scan = tiny_scan.write_scan(folder / "sub-x_T2w.nii.gz")
    words = [
        scan,
        "--model",
        models,
        "--device",
        "onnx",
        "--repeats",
        2,
        "--output",
        folder / "out" / "r.json",
    ]
    answer = CliRunner().invoke(run_latency.main, [str(word) for word in words], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return folder / "out"


def test_figures_are_plausible_and_complete(results):
    document = json.loads((results / "r.json").read_text())
    (scan,) = document["scans"]
    assert len(scan["vertebrae"]) == tiny_scan.N_VERTEBRAE + 1  # and the sacrum
    assert len(scan["runs"]) == 2
    for run in (scan["first_run"], *scan["runs"]):
        assert sum(run["stages"].values()) < run["wall_seconds"]
        assert 50 < run["peak_mb"] < 4000
    assert document["machine"]["cores"] > 0
    assert {"python", "numpy", "spineps_rt"} <= set(document["versions"])


def test_page_shows_the_medians(results):
    document = json.loads((results / "r.json").read_text())
    for run, wall in zip(document["scans"][0]["runs"], (7.0, 9.0)):
        run["wall_seconds"] = wall
        run["stages"] = {"read": 1.0, "semantic": wall - 2}
    document["scans"][0]["first_run"]["wall_seconds"] = 11.5
    document["scans"][0]["vertebrae"] = ["L4", "L5", "S1"]
    document["machine"].update(load_before=1.0, cores=2)
    text = latency_page.page(document)
    scan = "| sub-x_T2w.nii.gz | 48 x 108 x 12 | 1 x 1 x 2 | L4 to S1, 3 levels |"
    assert f"{scan} 11.5 s | **8.0 s** (7.0 to 9.0) |" in text
    assert "| sub-x_T2w.nii.gz | 1.0 | 1.00 | 6.00 |" in text
    assert "the stage *semantic* takes 75% of the time, starting and leaving 12%." in text
    assert "waits 3.5 s longer" in text
    assert "The machine was not idle" in text


def test_different_masks_are_an_error(tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    paths = run_latency.output_paths(scan)
    for path in (paths.semantic, paths.instances):
        tiny_scan.write_scan(path)
    with pytest.raises(run_latency.click.ClickException, match="different masks"):
        run_latency._compare({scan: "another"}, scan, paths)


def test_the_kernels_section_tells_what_is_lost():
    def run(ours, different):
        job = {"job": "dust", "first": 0.5, "seconds": {"spineps-rt": ours, "a": 0.2, "b": 0.1}}
        return [{"map": "m", "shape": [100, 100, 10], "dtype": "uint8", "jobs": [job | different]}]

    document = {
        **MEASURED,
        "versions": {"b": "1"},
        "runs": {"1": run(0.2, {"different": ["b"]}), "2": run(0.05, {"different": []})},
        "cold": {"dust": 1.5},
        "warm": {"dust": 0.25},
    }
    text = kernels_page.page(document)
    assert "| dust | b | 1 | 0 (0.50) | 2 (2.00) |" in text
    assert "- On one core, dust (m): b is 2.00 times as fast." in text
    assert "- None on two cores." in text
    assert "- Dust (m): b answers differently" in text
    assert "dust 1.50 s" in text and "took 0.25 s" in text


def test_the_pages_in_the_project_are_up_to_date():
    written = report.pages(report.read())
    for name, text in written.items():
        assert (report.HERE / name).read_text(encoding="utf-8") == text, name
    assert {f"pages/{path.name}" for path in (report.HERE / "pages").iterdir()} == {*written} - {"README.md"}


def test_the_first_page_is_short_and_leads_to_all_others():
    text = (report.HERE / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    for path in (report.HERE / "pages").iterdir():
        assert f"](pages/{path.name})" in text
    (latency,) = report.read()["run_latency"]
    assert latency["machine"]["cpu"] in text
    for scan in latency["scans"]:
        assert f"{scan['first_run']['wall_seconds']:.1f} s | **" in text
    for document in report.read()["stages"]:
        assert f"{document['name']}, all but the networks" in text
        assert f"| {stages_page.totals(document)[0]:.1f} s |" in text


def test_page_compares_with_spineps_stage_by_stage():
    peer = {
        "preprocess_input": 100.0,
        "predict_semantic_mask": 5.0,
        "predict_instance_mask": 9.0,
        "oracle": 4.0,
        "phase_postprocess_combined": 15.0,
        "predict_centroids_from_both": 1.0,
        "mri_snapshot": 4.0,
        "total_without_oracle": 130.0,
        "peak_rss_gb": 2.5,
        "shape": [2, 3, 4],
    }
    stages = ("read", "preprocess", "semantic", "clean", "instance", "resample", "reconcile", "labeling")
    line = {
        "seconds": 2.0,
        "stages": {**dict.fromkeys((*stages, "points", "write"), 0.2), "preprocess": 0.5},
        "peak_mb": 390.0,
    }
    first = {**line, "seconds": 4.0}
    document = {
        **MEASURED,
        "name": "A phantom",
        "scan": {"shape": [2, 3, 4], "spacing_mm": [1, 1, 2]},
        "peer": [peer],
        "cold": {**line, "seconds": 20.0},
        "runs": [[first, line, line]],
    }
    text = stages_page.page(document)
    assert "| N4, intensities, margin, resampling | 100.00 | 0.50 | 200 |" in text
    assert "| cleaning of the semantic mask, cutouts, coupling, merging | 10.00 | 0.60 | 17 |" in text
    assert "**130.0** | **2.00** | **65**" in text
    assert "| peak memory, MB | 2500 | 390 |" in text
    assert "takes 4.0 s" in text
    assert "machine 20.0 s" in text


def test_the_section_on_n4_shows_ratios_and_losses():
    gap = {"rms": 2e-6, "largest": 3e-5, "voxels_differing": 0.0004, "largest_step": 1.0}
    case = {
        "shape": [10, 20, 5],
        "spacing_mm": [1.0, 1.0, 4.0],
        "field_sd": 0.25,
        "differences": {"antspyx": gap, "SimpleITK": {**gap, "rms": 0.02}},
        "working_memory_mb": 3.4,
        "image_mb": 6.0,
        "seconds": {"spineps-rt": [0.1, 0.2, 0.9], "antspyx": [20.0, 22.0, 30.0]},
    }
    untimed = {**case, "seconds": {}, "differences": {"antspyx": gap}}
    document = {
        **MEASURED,
        "versions": {"antspyx": "0.6"},
        "cases": {"a": case, "b": untimed},
    }
    text = n4_page.page(document)
    assert "| a | 10 x 20 x 5 | 1 x 1 x 4 | 0.25 | 2.0e-06 | 3.0e-05 | 0.040% |" in text
    assert "| a | 3 | **0.20** | 22.0 (110x) | not run | 3 MB | 6 MB |" in text
    assert "- a: the field of SimpleITK differs by 0.02 (RMS)." in text
    assert "| b | 3" not in text


def run(seconds, peak_mb):
    return {"seconds": seconds, "peak_mb": peak_mb, "provider": "X", "masks": "0"}


def test_the_section_on_several_scans_owns_up_to_small_gains():
    real = {"scans": 4, "pause": None, "after": [run(10.0, 500)], "beside": [run(9.8, 560)]}
    alone = {"scans": 1, "pause": None, "after": [run(9.0, 480)], "beside": [run(7.0, 490)]}
    replayed = {"scans": 4, "pause": 1.0, "after": [run(8.0, 1)], "beside": [run(5.0, 1)]}
    document = {
        **MEASURED,
        "versions": {"python": "3"},
        "scans": [[2, 3, 4]],
        "cases": [alone, real, replayed],
    }
    text = throughput_page.page(document)
    assert "| X | 1 |  |  |  | 480 | 490 |" in text
    assert "| X | 4 | 10.0 | 9.8 | 1.02 | 500 | 560 |" in text
    assert "| replayed after 1 s a scan, the CPU free meanwhile | 4 | 8.0 | 5.0 | 1.60 |  |  |" in text
    assert "gains little or nothing: 1.02" in text
    assert "takes 60 MB more" in text


def test_throughput_refuses_masks_that_differ(tmp_path, monkeypatch):
    answers = iter("ab")
    monkeypatch.setattr(throughput, "_measure", lambda *_: run(1.0, 1) | {"masks": next(answers)})
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    words = [str(scan), "--output", str(tmp_path / "r.json")]
    answer = CliRunner().invoke(throughput.main, words)
    assert answer.exit_code == 1
    assert "masks differ" in answer.output
    assert not (tmp_path / "r.json").exists()


def test_engines_are_measured_and_told(tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="pip install 'spineps-rt[rtx13]'")
    half = engines.measured(tiny_models.convolved(), "sm75", "fp16", 2)
    refused = engines.measured(tiny_models.convolved(half=False), "sm75", "fp32", 1)
    assert len(half["seconds"]) == 2 and half["rewritten"] == ["the_head"] and half["layer_dtypes"]["Half"]
    assert engines.told(refused).startswith("refused: tensorrt-rtx")
    common = {"model": "m", "target": "sm75", "graph_mb": 0.01}
    half |= {**common, "precision": "fp16", "seconds": [0.25, 0.5, 9.0], "engine_mb": 0.03, "layers": 7}
    half |= {"rewritten_agrees": {"same_class": 0.99999}}
    half |= {"activation_mb": 12.0, "layer_dtypes": {"Half": 3, "Float": 4}}
    document = {
        **MEASURED,
        "versions": {"tensorrt-rtx": "1.7", "spineps_rt": "0.1"},
        "engines": [half, {**common, "precision": "fp32", **refused}],
    }
    text = engines_page.page(document)
    assert "| m | sm75 | fp16 | 0.50 | 0.0 MB | 0.0 MB | 12 MB | 7 (3) |" in text
    assert "- It refuses: m in fp32 for sm75." in text
    assert "For sm75 the head in float32 is written as products and a sum. On a phantom" in text
    assert "same class in 99.9990% of the voxels" in text
    assert "larger than their graphs: m in fp16 for sm75 3.0 times." in text
    assert "None of these engines has run" in text


def test_page_says_which_network_may_not_run_in_bfloat16():
    way = {"seconds": 0.5, "same_class": 1.0, "worst_dice": 0.9961}
    network = {
        "name": "net",
        "gflop": 90.0,
        "peak_gflops": {"f32": 200.0},
        "ways": {"OpenVINO f32": way, "PyTorch f32": {**way, "seconds": 1.5}},
    }
    scan = {"scan": "a", "samples": 3, "same_class": 1.0}
    document = {
        **MEASURED,
        "versions": {"openvino": "1"},
        "networks": [network],
        "agreement": [
            {**scan, "network": "good", "worst_dice": 0.9995},
            {**scan, "network": "net", "worst_dice": 0.99},
        ],
    }
    text = networks_page.page(document)
    assert "| OpenVINO f32 | 0.500 | 180 | 90% | 3.0 | 100.000% | 0.9961 |" in text
    assert "good: passed" in text and "net: missed" in text


def test_the_page_tells_which_structures_two_runs_disagree_on():
    pair = {
        "between": ["SPINEPS", "spineps-rt"],
        "spine": {"differ": 30, "labelled": 4000, "dice": {"spinal canal": 0.9985, "endplate": 1.0}},
        "vert": {"differ": 0, "labelled": 3000, "dice": {"L5": 1.0}},
    }
    cost = {"seconds": 12.34, "processor_seconds": 20.0, "peak_mb": 812.4}
    scan = {"scan": "a", "shape": [4, 5, 6], "spacing_mm": [1, 1, 4], "runs": {"spineps-rt": cost}}
    machine = {"cpu": "x", "cores": 2}
    text = versus_page.page({"date": "d", "machine": machine, "scans": [{**scan, "compared": [pair]}]})
    assert "| spineps-rt | 12.3 | 20.0 | 812.4 |" in text
    assert "| 30 of 4,000 | 0.99850 (spinal canal) | 0 of 3,000 | 1.00000 (L5) |" in text
    assert "- SPINEPS - spineps-rt: 1 of 3: spinal canal 0.9985" in text


def test_the_page_tells_where_tiles_were_saved_and_where_not():
    run = {"tiles": 16, "seconds": 7.25}
    coarse = {"tiles": 4, "chosen": 13, "recall": 0.824, "lost": 5}
    case = {"real": True, "full": run, "localized": {"tiles": 12, "seconds": 5.5}, "coarse": coarse}
    bad = {**case, "real": False, "localized": run, "spine_voxels": 1000, "spine_differs": 20}
    document = {
        **MEASURED,
        "provider": "p",
        "cases": {"a": {**case, "spine_voxels": 1000, "spine_differs": 0}, "b": bad},
    }
    text = localiser_page.page(document)
    assert "| a (real) | 12 of 16 | 5.5 of 7.2 | 1,000 | 100.0000% | 4 + 13 | 82% | 5 |" in text
    assert "28 of 32 tiles; a coarse pass would need 34" in text
    assert "Nothing is saved on b." in text and "b (98.000%)" in text


def test_the_section_on_variants_tells_what_is_refused():
    again = {"model": "m", "seconds": 4.25, "same_operators": True, "same_constants": True}
    document = {
        "date": "2026-01-01",
        "machine": {"cpu": "x", "cores": 2},
        "versions": {"onnx": "1"},
        "scans": ["a.nii.gz"],
        "again": [{**again, "same_bytes": False}],
        "variants": [
            {"model": "m", "variant": "fp16", "same_class": 0.99991, "worst_dice": 0.9995, "mb": 5.5},
            {"model": "m", "variant": "int8", "refused": "Variant int8 differs."},
        ],
    }
    text = variants_page.page(document)
    assert "| m | fp16 | 99.9910% | 0.99950 | 5.5 MB | yes |" in text
    assert "| m | int8 |  |  |  | refused |" in text
    assert "- m, int8: Variant int8 differs." in text
    assert "equal | equal | differ |" in text


def test_tiles_are_counted_with_and_without_the_localiser(tmp_path):
    scan = read_scan(tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz"))[0]
    models = tiny_scan.write_models(tmp_path / "models")
    options = Options(engine=EngineOptions("onnx"), any_plane=True)
    with Pipeline(models, options=options) as pipeline:
        found = localiser.measure(pipeline, scan, None)
    assert 1 <= found["localized"]["tiles"] <= found["full"]["tiles"]
    assert found["coarse"]["tiles"] < found["full"]["tiles"]
    assert found["spine_voxels"] > 1000
    assert found["spine_differs"] == 0
