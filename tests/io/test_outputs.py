"""Names as SPINEPS gives them, and the checks before computing."""

from __future__ import annotations

from pathlib import Path

import pytest

from spineps_rt.errors import OutputError, OutputExistsError
from spineps_rt.io.naming import check_distinct, check_folder_name, check_writable, output_paths

# Recorded from SPINEPS 2.1.3 with TPTBox 1.1.0 (output_paths_from_input), file by file.
NAMES = {
    "sub-x_T2w.nii.gz": "sub-x_mod-T2w_seg-spine_msk.nii.gz",
    "sub-phantom_T2w.nii": "sub-phantom_mod-T2w_seg-spine_msk.nii.gz",
    "sub-x_ses-1_acq-sag_T2w.nii.gz": "sub-x_ses-1_acq-sag_mod-T2w_seg-spine_msk.nii.gz",
    "sub-x_acq-sag_chunk-LWS_sequ-301_T2w.nii.gz": (
        "sub-x_sequ-301_acq-sag_chunk-LWS_mod-T2w_seg-spine_msk.nii.gz"
    ),
    "sub-x_ses-2_sequ-3_acq-iso_run-2_dixon.nii.gz": (
        "sub-x_ses-2_sequ-3_acq-iso_mod-dixon_seg-spine_run-2_msk.nii.gz"
    ),
    "sub-x_mod-T1w_T2w.nii.gz": "sub-x_mod-T2w_seg-spine_msk.nii.gz",
    "sub-x_desc-z_foo-bar_T2w.nii.gz": "sub-x_mod-T2w_seg-spine_desc-z_foo-bar_msk.nii.gz",
    "scan.nii.gz": "sub-scan_mod-scan_seg-spine_msk.nii.gz",
    "scan_a.nii.gz": "sub-scan-a_mod-a_seg-spine_msk.nii.gz",
    "my scan.nii.gz": "sub-my scan_mod-my scan_seg-spine_msk.nii.gz",
    "t2_lumbar.nii.gz": "sub-t2-lumbar_mod-lumbar_seg-spine_msk.nii.gz",
    "VB2-02_T2w.nii.gz": "sub-VB2-02-T2w_mod-T2w_seg-spine_VB2-02_msk.nii.gz",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_spineps(name):
    assert output_paths(Path(name)).semantic.name == NAMES[name]


def test_names_that_break_spineps_still_get_sane_ones():
    # SPINEPS answers "mod-sub-x_seg-spine_msk" to the first and stops on the other two
    assert output_paths(Path("sub-x.nii.gz")).semantic.name == "sub-x_seg-spine_msk.nii.gz"
    assert output_paths(Path("a.b.c.NII.GZ")).semantic.name == "sub-a.b.c_mod-a.b.c_seg-spine_msk.nii.gz"
    assert output_paths(Path("IM_0001")).semantic.name == "sub-IM-0001_mod-0001_seg-spine_msk.nii.gz"


APART = [
    *("sub-01_pre_T2w", "sub-01_post_T2w", "sub-01_T2w"),
    *("sub-01_T1w_1", "sub-01_T2w_1", "T1w_1", "T2w_1"),
    *("sub-01_T1w_run-1", "sub-01_T2w_run-1", "sub-01_run-1"),
    *("sub-01_foo-1_T2w", "sub-01_foo-2_T2w", "sub-01_T2w_foo-1", "sub-01_T1w_foo-1"),
    *("sub-01_acq-a_acq-b_T2w", "sub-01_acq-c_acq-b_T2w", "sub-01_acq-b_T2w"),
    *("sub-01_seg-a_T2w", "sub-01_seg-b_T2w"),
    *("sub-01_a_b_T2w", "sub-01_b_a_T2w", "sub-01_ab_T2w", "sub-01_a_T2w", "sub-02_a_T2w"),
    *("a_pre_T2w", "a_post_T2w", "a-pre_T2w", "pre_acq-1_T2w", "post_acq-1_T2w"),
]


def test_names_keep_what_tells_two_scans_apart():
    named = [output_paths(Path(f"{scan}.nii.gz")).all() for scan in APART]
    assert len({path for paths in named for path in paths}) == 5 * len(APART)
    check_distinct([Path(f"{scan}.nii.gz") for scan in APART], Path("out"))
    assert named[0][0].name == "sub-01_mod-T2w_seg-spine_nameconflict-pre_msk.nii.gz"


def test_a_scan_is_never_its_own_output(tmp_path):
    own = output_paths(tmp_path / "sub-x_T2w.nii.gz", tmp_path).semantic
    with pytest.raises(OutputError, match="no place for a scan"):
        check_distinct([tmp_path / "sub-x_T2w.nii.gz", own], tmp_path / ".." / tmp_path.name)
    assert own not in output_paths(own, tmp_path).all()
    (tmp_path / "link_T2w.nii.gz").symlink_to(output_paths(tmp_path / "link_T2w.nii.gz", tmp_path).semantic)
    with pytest.raises(OutputError, match="no place for a scan"):
        check_distinct([tmp_path / "link_T2w.nii.gz"], tmp_path)


@pytest.mark.parametrize("name", ["mask.nii.gz", "MASK.NII", "file", "table.json", "x.png"])
def test_a_file_is_no_folder_for_results(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="takes a folder"):
        check_folder_name(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_may_be_called_as_it_likes(tmp_path):
    (tmp_path / "odd.nii").mkdir()
    for folder in (None, tmp_path / "odd.nii", tmp_path / "v1.2", tmp_path):
        check_folder_name(folder)


def test_names_that_no_disk_takes_are_refused(tmp_path):
    check_writable(output_paths(tmp_path / f"sub-{'x' * 200}_T2w.nii.gz"), overwrite=False)
    for letter in ("x", "\u00e4", "\udcff"):
        with pytest.raises(OutputError, match=r"would have \d+ bytes, and names have at most 255"):
            check_writable(output_paths(tmp_path / f"sub-{letter * 230}_T2w.nii.gz"), overwrite=False)


def test_every_file_and_folder():
    paths = output_paths(Path("data/sub-x_T2w.nii.gz"))
    folder = Path("data/derivatives_seg")
    assert paths.all() == (
        folder / "sub-x_mod-T2w_seg-spine_msk.nii.gz",
        folder / "sub-x_mod-T2w_seg-vert_msk.nii.gz",
        folder / "sub-x_mod-T2w_seg-spine_ctd.json",
        folder / "sub-x_mod-T2w_seg-spine_snp.png",
        folder / "sub-x_mod-T2w_seg-spine_run.json",
    )
    assert output_paths(Path("data/sub-x_T2w.nii.gz"), Path("out")).record.parent == Path("out")


def test_scans_that_would_overwrite_each_other_are_refused():
    same = [Path("a/sub-x_T2w.nii.gz"), Path("b/sub-x_T2w.nii.gz")]
    check_distinct(same, None)
    with pytest.raises(OutputError, match=r"a/sub-x_T2w.*b/sub-x_T2w"):
        check_distinct(same, Path("out"))
    with pytest.raises(OutputError):
        check_distinct([Path("sub-x_T2w.nii"), Path("sub-x_T2w.nii.gz")], None)
    with pytest.raises(OutputError):
        check_distinct([Path("a/sub-x_T2w.nii"), Path("b/../a/sub-x_T2w.nii.gz")], None)


def test_results_that_are_there_are_kept(tmp_path):
    paths = output_paths(tmp_path / "sub-x_T2w.nii.gz", tmp_path)
    check_writable(paths, overwrite=False)
    paths.centroids.write_text("old")
    with pytest.raises(OutputExistsError, match=r"seg-spine_ctd\.json.*--overwrite"):
        check_writable(paths, overwrite=False)
    check_writable(paths, overwrite=True)
    assert paths.centroids.read_text() == "old"


def test_a_folder_that_cannot_be_is_found_out_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match="file"):
        check_writable(output_paths(Path("sub-x_T2w.nii.gz"), tmp_path / "file" / "deep"), overwrite=False)
    check_writable(output_paths(Path("sub-x_T2w.nii.gz"), tmp_path / "new" / "deep"), overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
