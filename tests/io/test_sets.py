"""What a run record vouches for, and whom it belongs to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spineps_rt.errors import IncompleteSetError, MissingFileError, OutputError
from spineps_rt.io import sets
from spineps_rt.io.naming import output_paths

SCAN = {"input": {"file": "sub-x_T2w.nii.gz", "sha256": "ab"}}


@pytest.fixture
def paths(tmp_path):
    """A set of five small files."""
    paths = output_paths(tmp_path / "sub-x_T2w.nii.gz", tmp_path)
    files = {path.name: path.name.encode() for path in paths.all()[:-1]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths.record.write_bytes(sets.encode_record(SCAN, paths.record.name, files))
    return paths


def states(folder):
    return {state.name: state.state for state in sets.check_folder(folder)}


def test_a_whole_set_is_complete(paths):
    assert states(paths.record.parent) == {paths.record.name: "complete"}
    assert sets.require_complete(paths)["input"]["sha256"] == "ab"


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("how", ["gone", "another", "a folder"])
def test_every_file_counts(paths, which, how):
    path = paths.all()[which]
    path.unlink()
    if how == "another":
        path.write_bytes(b"another")
    if how == "a folder":
        path.mkdir()
    assert states(paths.record.parent) == {paths.record.name: "incomplete"}
    with pytest.raises(IncompleteSetError, match=path.name):
        sets.require_complete(paths)


@pytest.mark.parametrize(
    "change", [lambda text: text.replace("sub-x_T2w", "sub-y_T2w"), lambda text: text[:-9]]
)
def test_the_record_vouches_for_itself(paths, change):
    paths.record.write_text(change(paths.record.read_text()))
    assert states(paths.record.parent)[paths.record.name] == "incomplete"
    with pytest.raises(IncompleteSetError):
        sets.require_complete(paths)


def test_files_that_no_record_knows_are_foreign(paths):
    folder = paths.record.parent
    (folder / "sub-y_seg-spine_msk.nii.gz").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    old = json.loads(paths.record.read_text())
    (folder / "old_run.json").write_text(json.dumps({**old, "files": list(old["files"])}))
    assert states(folder) == {
        paths.record.name: "complete",
        "old_run.json": "foreign",
        "sub-y_seg-spine_msk.nii.gz": "foreign",
    }


def test_a_record_reaches_for_no_file_outside(paths):
    (paths.record.parent / "x_run.json").write_bytes(
        sets.encode_record(SCAN, "x_run.json", {"../secret": b"secret"})
    )
    assert states(paths.record.parent)["x_run.json"] == "incomplete"


def test_what_is_no_folder_is_an_error(paths):
    for folder in (paths.semantic, paths.semantic.parent / "no"):
        with pytest.raises(MissingFileError, match="name one that holds results"):
            sets.check_folder(folder)


def test_results_of_another_scan_are_not_replaced(paths, tmp_path):
    sets.refuse_another(paths, "sub-x_T2w.nii.gz", "ab")
    sets.refuse_another(paths, "sub-x_T2w.nii.gz", None)
    for name, digest in (("sub-x_T2w.nii", "ab"), ("sub-x_T2w.nii.gz", "cd")):
        with pytest.raises(OutputError, match="of another scan"):
            sets.refuse_another(paths, name, digest)


def test_beside_its_scan_a_set_may_be_renewed(paths):
    beside = output_paths(Path("sub-x_T2w.nii.gz"))
    assert (beside.shared, paths.shared) == (False, True)
    renewed = type(paths)(*paths.all())
    sets.refuse_another(renewed, "sub-x_T2w.nii.gz", "cd")
    with pytest.raises(OutputError, match="of another scan"):
        sets.refuse_another(renewed, "sub-y_T2w.nii.gz", "ab")
