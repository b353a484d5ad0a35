"""``spineps-rt run``: good scans give files, bad ones one sentence, their own exit code and no file."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest

import spineps_rt.report.write
import tiny_models
import tiny_scan
from spineps_rt import errors

FILES = [
    "sub-x_mod-T2w_seg-spine_ctd.json",
    "sub-x_mod-T2w_seg-spine_msk.nii.gz",
    "sub-x_mod-T2w_seg-spine_run.json",
    "sub-x_mod-T2w_seg-spine_snp.png",
    "sub-x_mod-T2w_seg-vert_msk.nii.gz",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tiny_scan.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def command(models, run_cli):
    """Run the command line in this process: exit code, standard output, standard error."""

    def run(*arguments, model=models, device="onnx"):
        return run_cli("run", *arguments, "--model", model, "--device", device)

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else None


def test_good_scan_gives_all_files_and_a_table(command, tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz", axes="LAS")
    code, out, err = command(scan)
    folder = tmp_path / "derivatives_seg"
    assert code == 0
    assert names(folder) == FILES
    assert "L1 to L5: 5 vertebrae, 5 discs, sacrum" in out
    assert "L2             3.9         1.0" in out
    assert "onnx" in out.lower()
    assert str(folder) in out
    assert all(name in out for name in FILES)
    assert "sub-x_T2w.nii.gz: semantic " in err  # no terminal here, so plain lines
    assert "\r" not in err
    source, mask = nib.load(scan), nib.load(folder / FILES[4])
    assert mask.shape == source.shape
    assert np.array_equal(mask.affine, source.affine)
    assert mask.get_data_dtype() == np.uint16
    grid, points = json.loads((folder / FILES[0]).read_text())
    assert (grid["direction"], grid["shape"]) == (["L", "A", "S"], list(source.shape))
    assert sorted(points, key=int) == ["20", "21", "22", "23", "24", "26"]


def test_run_record_says_what_ran_and_names_nobody(command, tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "Miller_Jane" / "sub-x_T2w.nii.gz")
    assert command(scan, "-q", "--threads", 1, "--sums", "float16")[0] == 0
    text = (scan.parent / "derivatives_seg" / FILES[2]).read_text()
    record = json.loads(text)
    assert "Miller" not in text
    assert record["input"]["file"] == "sub-x_T2w.nii.gz"
    assert record["input"]["spacing_mm"] == [1, 1, 2]
    assert record["found"]["vertebrae"] == ["L1", "L2", "L3", "L4", "L5", "S1"]
    assert record["options"]["engine"] == {"device": "onnx", "threads": 1}
    assert record["options"]["semantic"]["sums"] == "float16"
    assert [model["name"] for model in record["models"]] == ["tiny-semantic", "tiny-instance"]
    assert record["platform"]["packages"]["numpy"] == np.__version__
    assert sorted(record["files"]) == FILES
    assert record["exit"] == 0


def lopsided():
    """A tiny spine that is narrower from slice to slice, so that each looks most like its neighbours."""
    truth = tiny_scan.labels()
    for slice_ in range(truth.shape[2]):
        truth[8 : 8 + slice_ // 2, :, slice_] = 0
    return tiny_scan.image(truth)


def grainy():
    """The same with more than seven grey levels, which are too few to be trusted."""
    image = lopsided()
    return image + np.random.default_rng(3).integers(0, 30, image.shape).astype(np.int16) * (image > 0)


def test_the_verdict_is_in_record_and_table(command, tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz", lopsided())
    code, out, _ = command(scan)
    record = json.loads((tmp_path / "derivatives_seg" / FILES[2]).read_text())
    assert code == 0
    assert record["quality"]["verdict"] == "reject"
    assert record["quality"]["places"]["L4"] == record["quality"]["places"]["disc L4/L5"] == "good"
    reason = record["quality"]["reasons"][0]
    assert (reason["kind"], reason["place"], reason["value"]) == ("grey levels", "scan", 7)
    assert "reject   the image has only 7 grey levels" in out
    assert "quality  reject: 1 reason (scan)" in out


@pytest.mark.parametrize("strict", ["check", "reject"])
def test_strict_makes_a_verdict_an_error_and_writes_nothing(command, tmp_path, strict):
    bad = tiny_scan.write_scan(tmp_path / "sub-bad_T2w.nii.gz", lopsided())
    code, out, err = command(bad, "--strict", strict)
    assert code == errors.QualityError.exit_code == 25
    assert out == ""
    assert "only 7 grey levels" in err and "--strict" in err
    assert names(tmp_path / "derivatives_seg") is None
    good = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz", grainy())
    code, out, err = command(bad, good, "--strict", strict)
    assert code == 25
    assert names(tmp_path / "derivatives_seg") == FILES
    assert "quality  good" in out
    assert "1 of 2 scans segmented" in err


@pytest.mark.parametrize(("flag", "on"), [("--bias-field", True), ("--no-bias-field", False)])
def test_bias_field_is_corrected_on_demand(command, tmp_path, flag, on):
    code, _, err = command(tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz"), flag)
    assert code == 0, err
    record = json.loads((tmp_path / "derivatives_seg" / FILES[2]).read_text())
    assert record["options"]["preprocess"]["bias_field"] is on


def test_quiet_says_nothing(command, tmp_path):
    assert command(tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz"), "-q") == (0, "", "")


def test_bad_scans_do_not_stop_the_others(command, tmp_path):
    good = [tiny_scan.write_scan(tmp_path / f"sub-{k}_T2w.nii.gz") for k in "ab"]
    gone, flat = tmp_path / "sub-gone_T2w.nii.gz", tmp_path / "sub-flat_T2w.nii.gz"
    with_array(lambda array: array * 0)(flat)
    code, out, err = command(good[0], gone, flat, good[1], "-o", tmp_path / "out")
    assert code == errors.MissingFileError.exit_code
    assert len(names(tmp_path / "out")) == 10
    assert "2 of 4 scans segmented; failed: sub-gone_T2w.nii.gz, sub-flat_T2w.nii.gz" in err
    assert out.count("5 vertebrae") == 2
    assert out.index("sub-a") < out.index("sub-b")


def test_scans_with_the_same_name_are_refused_before_computing(command, tmp_path):
    scans = [tiny_scan.write_scan(tmp_path / k / "sub-x_T2w.nii.gz") for k in "ab"]
    code, _, err = command(*scans, "-o", tmp_path / "out")
    assert code == errors.OutputError.exit_code
    assert err.count("\n") == 1
    assert names(tmp_path / "out") is None


def test_old_results_are_kept_unless_told(command, tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    folder = tmp_path / "derivatives_seg"
    folder.mkdir()
    (folder / FILES[1]).write_text("old")
    code, _, err = command(scan, "-q")
    assert (code, names(folder)) == (errors.OutputExistsError.exit_code, [FILES[1]])
    assert "--overwrite" in err
    assert command(scan, "-q", "--overwrite")[0] == 0
    assert names(folder) == FILES
    assert (folder / FILES[1]).read_bytes() != b"old"


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def absurd(path):
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[42:44] = (30000).to_bytes(2, "little")
    path.write_bytes(gzip.compress(bytes(data)))


def with_array(change):
    return lambda path: nib.save(
        nib.Nifti1Image(change(tiny_scan.image().astype(np.float32)), tiny_scan.PIR), path
    )


def with_nan(array):
    array[1, 2, 3] = np.nan
    return array


def axial(path):
    nib.save(nib.Nifti1Image(tiny_scan.image(), np.diag([-1.0, -1.0, 3.0, 1.0])), path)


def noise(array):
    return np.random.default_rng(0).normal(1000, 1, array.shape).astype(np.float32)


BAD = {
    "missing file": (lambda path: path.unlink(), errors.MissingFileError),
    "folder": (lambda path: (path.unlink(), path.mkdir()), errors.MissingFileError),
    "not NIfTI": (lambda path: path.write_text("hello"), errors.NotNiftiError),
    "empty file": (lambda path: path.write_bytes(b""), errors.TruncatedFileError),
    "truncated": (lambda path: cut(path, -500), errors.TruncatedFileError),
    "flipped bit": (flip, errors.CorruptFileError),
    "absurd header": (absurd, errors.ImageSizeError),
    "2-D": (with_array(lambda array: array[:, :, 0]), errors.DimensionError),
    "4-D": (with_array(lambda array: np.stack([array, array], 3)), errors.DimensionError),
    "all zero": (with_array(lambda array: array * 0), errors.EmptyImageError),
    "NaN": (with_array(with_nan), errors.NotFiniteError),
    "not sagittal": (axial, errors.GeometryError),
    "no vertebra": (lambda path: None, errors.NoSpineError),
    "no spine": (with_array(lambda array: (array == 100).astype(np.float32)), errors.NoSpineError),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_scan_gives_one_sentence_its_code_and_no_file(command, tmp_path, models, case):
    damage, error = BAD[case]
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    damage(scan)
    if case == "no spine":
        models = tiny_scan.write_models(tmp_path / "blind", levels=[0.0] + [1e3] * len(tiny_scan.LABELS))
    if case == "no vertebra":
        models = tiny_scan.write_models(tmp_path / "blind")
        tiny_models.edit_manifest(models / "instance", mapping={"49": 0})
    code, out, err = command(scan, "-q", model=models)
    assert (code, out) == (error.exit_code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert len(err) > 30
    assert names(tmp_path / "derivatives_seg") is None


def test_unforeseen_error_is_one_sentence_and_verbose_tells_where(command, tmp_path, monkeypatch):
    good, bad = (tiny_scan.write_scan(tmp_path / f"sub-{k}_T2w.nii.gz") for k in ("good", "bad"))
    render = spineps_rt.report.write.render_snapshot

    def broken(*volumes, caption):
        if "bad" in caption.title:
            raise ZeroDivisionError("by nothing")
        return render(*volumes, caption=caption)

    monkeypatch.setattr("spineps_rt.report.write.render_snapshot", broken)
    code, _, err = command(bad, good, "-o", tmp_path / "out")
    assert code == 1
    assert len(names(tmp_path / "out")) == 5
    assert "error: " in err
    assert "ZeroDivisionError: by nothing" in err
    assert "Traceback" not in err
    _, _, err = command(bad, "-o", tmp_path / "out", "-v")
    assert "Traceback" in err


def test_verbose_names_the_engines_and_the_memory(command, tmp_path):
    _, _, err = command(tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz"), "-v")
    assert "tiny-semantic runs on " in err
    assert "reconcile: 0." in err
    assert "peak memory" in err


def test_output_that_cannot_be_written(command, tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    (tmp_path / "file").write_text("")
    code, _, err = command(scan, "-o", tmp_path / "file")
    assert code == errors.OutputError.exit_code
    assert err.startswith("error: ")
    assert err.count("\n") == 1  # no progress: it was found out before computing


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(command, tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    tmp_path.chmod(0o500)
    try:
        assert command(scan, "-q")[0] == errors.OutputError.exit_code
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("what", ["model.onnx", "manifest.json"])
def test_damaged_model(command, tmp_path, models, what):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    copy = shutil.copytree(models, tmp_path / "models")
    flip(copy / "semantic" / "model.onnx") if what == "model.onnx" else cut(copy / "semantic" / what, 100)
    code, _, err = command(scan, model=copy)
    assert code == errors.ModelError.exit_code
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert what in err
    assert names(tmp_path / "derivatives_seg") is None


def test_device_that_is_not_there(command, tmp_path):
    code, _, err = command(tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz"), device="tensorrt")
    if code == 0:
        pytest.skip("this machine has TensorRT")
    assert code == errors.EngineError.exit_code
    assert "tensorrt" in err.splitlines()[-1].lower()


def interrupted(scans, models, *, when):
    """Run the command on scans in a process of its own and interrupt it once it has said ``when``."""
    words = ["-c", "from spineps_rt.cli.main import main; main()", "run", *scans]
    process = subprocess.Popen(
        [sys.executable, *map(str, words), "--model", str(models), "--device", "onnx"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # a shell that starts the tests in the background has them ignore SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads run here)
    )
    seen = []
    while not all(any(text in line for line in seen) for text in when):
        seen.append(process.stderr.readline())
        assert seen[-1], "ended before it could be interrupted"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err.strip().splitlines()


@pytest.fixture
def slow_models(tmp_path):
    """Thousands of tiles on the scan of :func:`write_large`: seconds to be interrupted in."""
    models = tiny_scan.write_models(tmp_path / "models")
    tiny_models.edit_manifest(models / "semantic", step=0.02)
    return models


def write_large(path):
    return tiny_scan.write_scan(path, np.tile(tiny_scan.image(), (4, 8, 2)))


def test_interrupt_in_the_middle(tmp_path, slow_models):
    scan = write_large(tmp_path / "sub-x_T2w.nii.gz")
    code, out, lines = interrupted([scan], slow_models, when=["preprocess"])
    assert (code, out) == (130, "")
    assert len(lines) == 1
    assert lines[0].startswith("interrupted")
    assert names(tmp_path / "derivatives_seg") is None


def test_interrupt_between_a_scan_behind_and_one_ahead(tmp_path, slow_models):
    """What is finished stays, what is not leaves nothing; the third scan was ready beside the second."""
    first, third = (tiny_scan.write_scan(tmp_path / f"sub-{k}_T2w.nii.gz") for k in "ac")
    second = write_large(tmp_path / "sub-b_T2w.nii.gz")
    scans = [first, second, third]
    when = ["[1/3] sub-a_T2w.nii.gz: write", "[3/3] sub-c_T2w.nii.gz: preprocess"]
    code, out, lines = interrupted(scans, slow_models, when=when)
    assert code == 130
    assert lines[-1].startswith("interrupted")
    assert not any("sub-b_T2w.nii.gz: semantic" in line for line in lines)
    assert names(tmp_path / "derivatives_seg") == [name.replace("sub-x", "sub-a") for name in FILES]
    assert out.count("5 vertebrae") == 1
