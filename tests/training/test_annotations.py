"""Outlines drawn by hand: are they outlines, are they plausible, do they become the labels they mean?"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from spineps_rt import labels as L
from training import annotations
from training.annotations import UNKNOWN, held_out, load, render
from training.spider import HELD_OUT

DRAWN = load()
EACH = pytest.mark.parametrize("drawn", DRAWN, ids=[drawn.image for drawn in DRAWN])
SEGMENT_MM2 = {"S1": (350, 1300), "S2": (150, 900), "S3": (60, 450), "S4": (40, 350), "S5": (40, 250)}


def of(drawn, structure):
    return [polygon for polygon in drawn.polygons if polygon.structure == structure]


def crosses(points):
    """Whether an edge of a closed polygon meets one that is not its neighbour."""
    start, end = points, np.roll(points, -1, axis=0)
    n = len(points)

    def side(a, b, c):
        return np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    return any(
        side(start[i], end[i], start[j]) != side(start[i], end[i], end[j])
        and side(start[j], end[j], start[i]) != side(start[j], end[j], end[i])
        for i in range(n)
        for j in range(i + 2, n - (i == 0))
    )


def test_enough_is_drawn_and_a_fifth_of_it_is_kept_for_tests():
    assert len({drawn.patient for drawn in DRAWN}) == len(DRAWN) >= 40
    kept = sum(held_out(drawn.patient) for drawn in DRAWN)
    assert 0.15 < kept / len(DRAWN) < 0.3


def test_patients_that_spider_training_leaves_out_are_left_out_here():
    assert all(held_out(patient) for patient in HELD_OUT)
    assert [patient for patient in range(1, 12) if held_out(patient)] == [3, 8]


@EACH
def test_polygons_are_simple_and_inside_the_picture(drawn):
    rows, columns = drawn.size
    for polygon in drawn.polygons:
        x, y = polygon.points.T
        assert len(x) >= 3
        assert x.min() >= 0 and x.max() <= columns
        assert y.min() >= 0 and y.max() <= rows
        assert not crosses(polygon.points), (polygon.structure, polygon.segment)


@EACH
def test_segments_are_in_order_and_of_a_sacrums_size(drawn):
    pixel = drawn.spacing[0] * drawn.spacing[1]
    segments = of(drawn, "sacrum")
    assert [segment.segment for segment in segments] == [f"S{n + 1}" for n in range(len(segments))]
    heights = [segment.points[:, 1].mean() for segment in segments]
    assert heights == sorted(heights)
    for segment in segments:
        low, high = SEGMENT_MM2[segment.segment]
        assert low < segment.area * pixel < high
    assert 900 < sum(segment.area for segment in segments) * pixel < 2600


@EACH
def test_cords_start_at_the_top_and_are_as_thick_as_cords(drawn):
    row, column = drawn.spacing
    for cord in of(drawn, "cord"):
        height = np.ptp(cord.points[:, 1]) * row
        assert cord.points[:, 1].min() * row < 3
        assert 30 < height < 120
        assert 4 < cord.area * row * column / height < 10
    assert len(of(drawn, "cord")) <= 1
    assert set(drawn.complete) <= {"sacrum", "cord"}


@EACH
def test_labels_have_the_area_of_the_outlines(drawn):
    labels = render(drawn)
    assert labels.shape == drawn.size
    for structure, value in (("sacrum", L.SACRUM), ("cord", L.CORD)):
        outlined = sum(polygon.area for polygon in of(drawn, structure))
        assert (labels == value).sum() == pytest.approx(outlined, rel=0.02)
    assert set(np.unique(labels)) <= {0, L.SACRUM, L.CORD, L.CANAL, UNKNOWN}


def write(folder, polygons, name="7_t2"):
    raw = {"image": f"{name}.png", "size": [8, 10], "spacing": [0.5, 0.5], "complete": ["cord"], "note": ""}
    (folder / f"{name}.json").write_text(json.dumps({**raw, "polygons": polygons}))


def test_pixels_belong_to_the_polygon_that_holds_their_centre(tmp_path):
    unknown = {"structure": "unknown", "points": [[0, 0], [10, 0], [10, 2], [0, 2]]}
    cord = {"structure": "cord", "points": [[2.4, 1], [5.6, 1], [5.2, 4], [2.3, 4]]}
    write(tmp_path, [cord, unknown])
    expected = np.zeros((8, 10), np.uint8)
    expected[:2] = UNKNOWN
    expected[1:4, 2:5] = L.CORD
    expected[1, 5] = L.CORD
    (drawn,) = load(tmp_path)
    assert (render(drawn) == expected).all()
    assert drawn.patient == 7


def test_spacing_is_the_field_of_view_by_pixels():
    assert annotations.true_spacing((384, 384), 0.72917) == pytest.approx((0.72917, 0.72917), abs=1e-5)
    assert annotations.true_spacing((600, 512), 0.46875) == (0.5, 300 / 512)
    assert annotations.true_spacing((611, 513), 0.47826) is None


def test_an_unknown_structure_is_refused_by_name(tmp_path):
    write(tmp_path, [{"structure": "rib", "points": [[0, 0], [1, 0], [1, 1]]}])
    with pytest.raises(ValueError, match=r"7_t2\.json draws a 'rib'"):
        load(tmp_path)


def test_the_contact_sheet_shows_the_outline_on_the_picture(tmp_path):
    write(tmp_path, [{"structure": "sacrum", "segment": "S1", "points": [[2, 2], [8, 2], [8, 6], [2, 6]]}])
    Image.new("L", (10, 8), 128).save(tmp_path / "7_t2.png")
    (tmp_path / "index.csv").write_text("file,maker,tesla\n7_t2.png,Siemens,1.5\n")
    sheet = np.asarray(annotations.contact_sheet(load(tmp_path), tmp_path, across=1))
    red = (sheet == annotations._COLOURS["sacrum"]).all(-1)
    ys, xs = np.nonzero(red)
    assert np.ptp(xs) / np.ptp(ys) == pytest.approx(6 / 4, rel=0.02)


def test_the_readme_tells_how_many_slices_and_which_are_for_tests():
    text = annotations.SLICES.with_name("README.md").read_text(encoding="utf-8")
    assert f"on {len(DRAWN)} of the 158 middle slices" in " ".join(text.split())
    listed = re.search(r"Drawn among them: ([\d, ]+)\.", " ".join(text.split()))[1]
    assert [int(n) for n in listed.split(", ")] == [d.patient for d in DRAWN if held_out(d.patient)]
