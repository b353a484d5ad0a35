"""The self-test passes a healthy engine and names what a sick one gets wrong."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

import tiny_scan
from spineps_rt.cli.main import main
from spineps_rt.cli.selftest import _table
from spineps_rt.diagnostics import selftest
from spineps_rt.errors import EngineError, NoSpineError, SelfTestError
from spineps_rt.models import default_models, resolve_models
from spineps_rt.options import EngineOptions, Options
from spineps_rt.pipeline import Pipeline

SPINOUS = list(tiny_scan.LABELS).index(3) + 1
"""Index of the spinous process's level in the tiny semantic model."""


def level(intensity):
    image = tiny_scan.image().astype(float)
    hit = np.argwhere(image)
    inside = image[tuple(slice(a, b + 1) for a, b in zip(hit.min(0), hit.max(0)))]
    return (intensity - inside.mean()) / inside.std()


LEVELS = [level(tiny_scan.STEP * k) for k in range(len(tiny_scan.LABELS) + 1)]
NO_SPINOUS = [1e3 if k == SPINOUS else value for k, value in enumerate(LEVELS)]
BLIND = [0.0] + [1e3] * len(tiny_scan.LABELS)
NAN = np.full((1, len(LEVELS), *tiny_scan.PATCH), np.nan, np.float32)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A folder with the scan, the healthy models, and what they answer."""
    folder = tmp_path_factory.mktemp("golden")
    scan = tiny_scan.write_scan(folder / "scan.nii.gz")
    models = resolve_models(tiny_scan.write_models(folder / "models"))
    with Pipeline(models, options=Options(engine=EngineOptions("onnx"))) as pipeline:
        return folder, models, pipeline.run(scan)


@pytest.fixture
def golden(healthy, tmp_path):
    """A folder of the test's own, without an answer."""
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "scan.nii.gz").write_bytes((healthy[0] / "scan.nii.gz").read_bytes())
    return tmp_path / "golden"


def sick(tmp_path, **options):
    return resolve_models(tiny_scan.write_models(tmp_path / "sick", **options))


def test_without_a_stored_answer_engines_are_compared_with_each_other(healthy, golden):
    checks, stored = selftest.self_test(healthy[1], devices=("onnx", "openvino", "cuda"), folder=golden)
    assert not stored
    assert checks[0].passed
    assert "ONNX Runtime" in checks[0].provider
    assert set(checks[0].dice.values()) == {1.0}
    assert set(checks[0].dice) == {"body", "process", "sacrum", "canal", "disc", "instance"}  # no endplates
    for check in checks[1:]:
        assert check.passed or not check.provider
    selftest.require_passed(checks)


def test_one_engine_is_tested_once_whatever_it_is_called(healthy, golden):
    _, models, result = healthy
    selftest.write_answer(golden, models, result)
    (first, again), _ = selftest.self_test(models, devices=("onnx", "onnx"), folder=golden)
    assert first.passed and first.seconds > 0
    assert again == replace(first, seconds=0.0, same_as="onnx")
    assert _table([first, again]).endswith("onnx           the same as onnx")


def test_without_onnx_runtime_openvino_is_the_reference(healthy, golden, hide):
    pytest.importorskip("openvino")
    hide("onnxruntime")
    checks, stored = selftest.self_test(healthy[1], devices=("onnx", "openvino"), folder=golden)
    assert not stored
    assert [bool(check.provider) for check in checks] == [False, True]
    assert checks[1].passed
    assert set(checks[1].dice.values()) == {1.0}


def test_stored_answer_is_found_by_the_models_hashes(healthy, golden, tmp_path):
    _, models, result = healthy
    selftest.write_answer(golden, models, result)
    checks, stored = selftest.self_test(models, devices=("onnx",), folder=golden)
    assert stored
    assert checks[0].passed
    _, stored = selftest.self_test(sick(tmp_path, levels=NO_SPINOUS), devices=("onnx",), folder=golden)
    assert not stored


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"levels": NO_SPINOUS}, ["no spinous process is found", "process agrees to 0."]),
        ({"levels": BLIND}, ["found no spine"]),
        ({"field": NAN}, ["NaN"]),
    ],
    ids=["class collapse", "background everywhere", "NaN"],
)
def test_a_sick_network_is_told(healthy, golden, tmp_path, options, words):
    models = sick(tmp_path, **options)
    selftest.write_answer(golden, models, healthy[2])  # what it should answer
    checks, _ = selftest.self_test(models, devices=("onnx",), folder=golden)
    assert not checks[0].passed
    with pytest.raises(SelfTestError) as raised:
        selftest.require_passed(checks)
    for text in ("onnx: ", *words):
        assert text in str(raised.value)


def test_reference_that_fails_is_an_error(golden, tmp_path):
    with pytest.raises(NoSpineError):
        selftest.self_test(sick(tmp_path, levels=BLIND), devices=("onnx",), folder=golden)


def test_one_failure_among_several_engines_is_a_failure():
    good = selftest.Check("a", "A", 1.0, {"body": 1.0}, ())
    absent = selftest.Check("b", "", 0.0, {}, ("Device 'b' cannot be had.",))
    bad = selftest.Check("c", "C", 1.0, {"body": 0.5}, ("body agrees to 0.500",))
    selftest.require_passed([good, absent])
    with pytest.raises(SelfTestError, match="c: body agrees"):
        selftest.require_passed([good, bad, absent])
    with pytest.raises(SelfTestError, match=r"No engine could be tested\. Device 'b' cannot be had\.$"):
        selftest.require_passed([absent])


def masks(healthy):
    return healthy[2].semantic.array.copy(), healthy[2].instances.array.copy()


def test_vertebrae_that_change_places_are_noticed(healthy):
    found, reference = masks(healthy), masks(healthy)
    assert selftest.compare(found, reference) == (pytest.approx(dict.fromkeys(GROUPS, 1.0)), ())
    upper, lower = found[1] == 21, found[1] == 22
    found[1][upper], found[1][lower] = 22, 21
    dice, faults = selftest.compare(found, reference)
    size = (reference[1] > 0).sum()
    assert dice["instance"] == pytest.approx((size - upper.sum() - lower.sum()) / size)
    assert faults == (f"instance agrees to {dice['instance']:.3f} (Dice), expected 0.98 or more",)


GROUPS = ("body", "process", "sacrum", "canal", "disc", "instance")


def test_missing_and_invented_structures_are_named(healthy):
    found, reference = masks(healthy), masks(healthy)
    found[1][found[1] == 23] = 0
    found[0][found[0] == 26] = 52
    faults = selftest.compare(found, reference)[1]
    assert "no L4 is found" in faults
    assert "no sacrum is found" in faults
    assert "endplate agrees to 0.000 (Dice), expected 0.98 or more" in faults


def test_a_few_voxels_may_vanish(healthy):
    found, reference = masks(healthy), masks(healthy)
    few = np.flatnonzero(reference[0] == 49)[: selftest.FEWEST_VOXELS]
    reference[0].flat[few[1:]] = 44
    assert selftest.compare(found, reference)[1] == ()
    reference[0].flat[few[0]] = 44
    assert selftest.compare(found, reference)[1] == ("no transverse process, right is found",)


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["spineps-rt", "selftest", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return run


def test_embedded_models_pass(command):
    """On the fastest CPU engine here; the stored answer is that of ONNX Runtime."""
    code, out, err = command("--device", "cpu")
    assert (code, err) == (0, "")
    head, _, titles, row = out.splitlines()[:4]
    assert head == "Dice with the stored answer:"
    assert titles.split() == ["engine", "provider", "seconds", *selftest.GROUPS, "instance", "verdict"]
    assert row.startswith("cpu")
    assert row.endswith("passed")


def test_stored_answer_knows_every_structure_well():
    paths = selftest._answer_paths(default_models(), selftest.FOLDER)
    assert all(path.is_file() for path in paths), "new models: run python -m training.selftest"
    sizes = np.bincount(selftest.read_nifti(paths[0]).array.ravel())
    for labels in selftest.GROUPS.values():
        for label in set(labels) - {62}:  # every endplate has its vertebra
            assert sizes[label] > 5 * selftest.FEWEST_VOXELS
    assert sum(path.stat().st_size for path in selftest.FOLDER.iterdir()) < 300_000


def test_engine_that_is_asked_for_and_absent_is_an_error(command):
    code, out, err = command("--engine", "tensorrt")
    if code == 0:
        pytest.skip("this machine has TensorRT")
    assert code == EngineError.exit_code
    assert f"{out}{err}".count("Device 'tensorrt' cannot be had.") == 1
    assert "not to be had" in out
