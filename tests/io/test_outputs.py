"""Names as SPINEPS gives them, and the checks before computing."""

from __future__ import annotations

from pathlib import Path

import pytest

from spineps_rt.errors import OutputError, OutputExistsError
from spineps_rt.io.naming import check_distinct, check_writable, output_paths

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
