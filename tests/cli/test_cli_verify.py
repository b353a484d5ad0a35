"""``spineps-rt verify``, and results that others have a hand in."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import tiny_scan
from spineps_rt import errors, pipeline
from spineps_rt.io import locks
from spineps_rt.io.naming import output_paths


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tiny_scan.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def command(models, run_cli):
    return lambda *words: run_cli("run", *words, "-q", "--model", models, "--device", "onnx")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_verify_tells_complete_incomplete_and_foreign(command, run_cli, tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    assert command(scan)[0] == 0
    paths = output_paths(scan)
    assert run_cli("verify", paths.record.parent) == (0, f"complete    {paths.record.name}\n", "")
    assert run_cli("verify", tmp_path)[0] == 0
    stranger = paths.record.with_name("sub-y_seg-vert_msk.nii.gz")
    stranger.write_bytes(b"x")
    code, out, _ = run_cli("verify", tmp_path)
    assert (code, out.splitlines()[1].split()[:2]) == (26, ["foreign", stranger.name])
    stranger.unlink()
    paths.instances.write_bytes(paths.semantic.read_bytes())
    code, out, _ = run_cli("verify", tmp_path)
    assert code == errors.IncompleteSetError.exit_code
    assert out.startswith("incomplete  ") and f"{paths.instances.name} is not the file" in out
    assert command(scan, "--overwrite")[0] == 0
    assert run_cli("verify", tmp_path)[0] == 0
    code, out, err = run_cli("verify", scan, tmp_path)
    assert (code, err.count("\n")) == (errors.MissingFileError.exit_code, 1)
    assert out.startswith("complete  ")


def test_nothing_to_verify_is_not_complete(run_cli, tmp_path):
    assert run_cli("verify", tmp_path) == (26, "", f"{tmp_path}: no results\n")


def test_files_that_appear_meanwhile_are_kept(command, tmp_path, monkeypatch):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    paths, finish = output_paths(scan), pipeline.Pipeline.finish

    def slow(self, predicted):
        paths.semantic.parent.mkdir()
        paths.snapshot.write_bytes(b"another's")
        return finish(self, predicted)

    monkeypatch.setattr(pipeline.Pipeline, "finish", slow)
    code, _, err = command(scan)
    assert (code, err.count("\n")) == (errors.OutputExistsError.exit_code, 1)
    assert {path.name: path.read_bytes() for path in paths.record.parent.iterdir()} == {
        paths.snapshot.name: b"another's"
    }


def test_another_scans_results_are_not_replaced(command, tmp_path):
    first, second = (
        tiny_scan.write_scan(tmp_path / k / name)
        for k, name in (("a", "sub-x_acq-1_run-2_T2w.nii.gz"), ("b", "sub-x_run-2_acq-1_T2w.nii.gz"))
    )
    assert command(first, "-o", tmp_path / "out")[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    code, _, err = command(second, "-o", tmp_path / "out", "--overwrite")
    assert (code, err.count("\n")) == (errors.OutputError.exit_code, 1)
    assert "of another scan, sub-x_acq-1_run-2_T2w.nii.gz" in err
    same_name = tiny_scan.write_scan(tmp_path / "c" / first.name, tiny_scan.image() * 2)
    assert command(same_name, "-o", tmp_path / "out", "--overwrite")[0] == errors.OutputError.exit_code
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert command(first, "-o", tmp_path / "out", "--overwrite")[0] == 0


def test_the_record_vouches_for_every_file(command, tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    assert command(scan)[0] == 0
    record = json.loads(output_paths(scan).record.read_text())
    assert list(record["files"]) == [path.name for path in output_paths(scan).all()]
    assert all(len(digest) == 64 for digest in record["files"].values())


@pytest.mark.parametrize("folder", ["", " ", "mask.nii.gz"])
def test_what_is_no_folder_is_refused_at_once(command, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    code, _, err = command(scan, "-o", folder)
    assert (code, err.count("\n")) == (errors.OutputError.exit_code, 1)
    assert err.startswith("error: ")
    assert names(tmp_path) == [scan.name]


def test_litter_of_the_dead_goes_and_nothing_else(command, tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    folder = output_paths(scan).record.parent
    folder.mkdir()
    for name in (locks.temporary_name(), ".spineps-rt-00ff00ff00ff.lock", ".spineps-rt-mine", ".part"):
        (folder / name).write_bytes(b"x")
    (folder / locks.temporary_name("0a" * 6)).mkdir()
    assert command(scan)[0] == 0
    assert [name for name in names(folder) if name.startswith(".")] == [".part", ".spineps-rt-mine"]


def test_file_names_in_any_bytes(command, run_cli, tmp_path):
    scans = [
        tiny_scan.write_scan(tmp_path / f"{name}_T2w.nii.gz")
        for name in ("sub-\udcff\udcfe", "sub-\u00e4\u4e2d", "sub-a\nb", "sub-\x1b[31m")
    ]
    gone = Path(os.fsdecode(b"sub-\xff_gone"))
    code, _, err = command(*scans, gone, "-o", tmp_path / "out")
    assert code == errors.MissingFileError.exit_code
    assert "bug" not in err and "\\xff_gone" in err
    assert len(names(tmp_path / "out")) == 20
    code, out, _ = run_cli("verify", tmp_path / "out")
    assert (code, out.count("complete  ")) == (0, 4)
    assert "\x1b" not in out and len(out.splitlines()) == 4


def test_what_cannot_be_read_does_not_stop_the_others(command, tmp_path):
    good = tiny_scan.write_scan(tmp_path / "sub-a_T2w.nii.gz")
    folder, long = tmp_path / "sub-d_T2w.nii.gz", tmp_path / f"sub-{'x' * 230}_T2w.nii.gz"
    folder.mkdir()
    tiny_scan.write_scan(long)
    code, _, err = command(tmp_path / ("y" * 300), folder, good, long, "-o", tmp_path / "out")
    assert code == errors.MissingFileError.exit_code
    assert len(names(tmp_path / "out")) == 5
    assert err.count("error: ") == 3 and "bug" not in err
    assert "names have at most 255" in err
