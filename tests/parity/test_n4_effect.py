"""What one grey level does to the masks: the disturbed images, and what the page says."""

from __future__ import annotations

import numpy as np
import pytest

import tiny_scan
from benchmarks import versus_scan
from spineps_rt.options import AS_SPINEPS, PreprocessOptions
from spineps_rt.scan import read_scan
from spineps_rt.stages.preprocess import preprocess
from spineps_rt.volume import padded
from tests.parity import n4_effect, page


@pytest.fixture
def scan(tmp_path):
    return read_scan(tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz"))[0]


def test_so_many_voxels_change_by_one_grey_level():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 5, (6, 7, 8)).astype(np.float32)
    gap = n4_effect.disturb(image, 40, rng) - image
    assert (gap != 0).sum() == 40
    assert set(np.unique(gap)) == {-1, 0, 1}
    assert not gap[image == 0].any()


def test_a_corrected_scan_is_prepared_as_by_the_pipeline_with_n4(scan):
    whole = preprocess(scan, AS_SPINEPS.preprocess)
    again = preprocess(n4_effect.corrected(scan), PreprocessOptions(bias_field=False))
    np.testing.assert_array_equal(again.array, whole.array)
    np.testing.assert_array_equal(n4_effect._unpadded(whole, scan).array, n4_effect.corrected(scan).array)


def test_a_margin_that_is_not_empty_is_an_error(scan):
    whole, _ = padded(scan, 4, dtype="float32")
    whole.array[0] = 1
    with pytest.raises(n4_effect.click.ClickException, match="margin"):
        n4_effect._unpadded(whole, scan)


def test_the_masks_are_compared_label_by_label():
    one = np.zeros((10, 10, 10), np.uint8)
    one[:4] = 49
    two = one.copy()
    two[3] = 0
    found = versus_scan.compare({"spine": one, "vert": one * 0}, {"spine": two, "vert": one * 0})
    assert found["spine"] == {"differ": 100, "labelled": 400, "dice": {"vertebral body": 0.85714}}
    assert found["vert"] == {"differ": 0, "labelled": 0, "dice": {}}


def test_the_page_says_what_a_grey_level_costs():
    row = {
        "between": ["a", "b"],
        "image": {"voxels": 4000, "differ": 12, "largest": 1.0, "brighter": 7},
        "spine": {"differ": 30, "labelled": 4000, "dice": {"spinal canal": 0.9985, "endplate": 1.0}},
        "vert": {"differ": 5, "labelled": 3000, "dice": {"L5": 0.99}},
    }
    rows = [row | {"what": what} for what in n4_effect.PAIRS]
    rows[-1] = rows[-1] | {"spine": row["spine"] | {"differ": 44}}
    scan = {"name": "s", "shape": [4, 5, 6], "highest": 205.0}
    document = {"date": "d", "machine": {"cpu": "x", "cores": 2}, "scan": scan, "rows": rows}
    text = "\n".join(page.n4_effect(document))
    cells = "30 of 4,000 | 0.99850 (spinal canal) | 5 of 3,000 | 0.99000 (L5)"
    assert f"| a - b | 12 (0.30%) | 7 | 1 | {cells} |" in text
    assert "moves 30, and SPINEPS's own number of threads 44." in text
