"""The tables of docs/quality.md are those of the figures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import quality, quality_page
from benchmarks.quality_scans import Truth, damaged, front_of_canal
from spineps_rt.volume import Volume

AFFINE = np.diag([1.0, 1.0, 4.0, 1.0])


def row(*, bad, verdict, held_out=False, damage=""):
    return {
        "group": "real",
        "damage": damage,
        "held_out": held_out,
        "bad": bad,
        "verdict": verdict,
        "reasons": [],
    }


def test_the_page_is_up_to_date():
    text = quality_page.DOCS.read_text(encoding="utf-8")
    document = json.loads(quality_page.RESULTS.read_text(encoding="utf-8"))
    assert quality_page.updated(text, document) == text


def test_rates_count_what_is_told_and_what_is_doubted():
    rows = {
        "a": row(bad=True, verdict="check"),
        "b": row(bad=True, verdict="good"),
        "c": row(bad=False, verdict="reject"),
        "d": row(bad=False, verdict="good"),
        "e": row(bad=False, verdict="check", damage="zeros"),
        "f": row(bad=True, verdict="error", held_out=True),
    }
    found = quality.rates(rows)
    assert found["tuning"] == {
        "bad": 2,
        "bad_told": 1,
        "bad_rejected": 0,
        "good": 2,
        "good_doubted": 1,
        "good_rejected": 1,
        "damaged_but_good": 1,
    }
    assert (found["held out"]["bad"], found["held out"]["bad_told"]) == (1, 1)
    told = "\n".join(quality_page.misses({"scans": rows}))
    assert "| b | tuning | bad, not told |" in told and "| c |" in told
    assert "| a |" not in told and "| e |" not in told


def test_a_page_without_marks_is_an_error():
    with pytest.raises(ValueError, match="must hold"):
        quality_page.updated("nothing", {"rates": {}, "scans": {}})


def test_damage_changes_the_truth_with_the_image():
    array = np.arange(4 * 12 * 6, dtype=np.int16).reshape(4, 12, 6)
    bodies = np.zeros(array.shape, np.int16)
    bodies[1:3, 2:5] = 1
    image, truth = Volume(array, AFFINE), Truth(bodies)
    shuffled, shuffled_truth = damaged(image, truth, "shuffled")
    np.testing.assert_array_equal(shuffled.array, array[:, :, [0, 2, 4, 1, 3, 5]])
    mirrored, mirrored_truth = damaged(image, truth, "mirrored")
    np.testing.assert_array_equal(mirrored.array[:, 6:], array[:, 5::-1])
    assert set(np.unique(mirrored_truth.bodies)) == {0, 1, 101}
    assert shuffled_truth.bodies.shape == bodies.shape
    assert damaged(image, truth, "doubled")[0].spacing == (2, 2, 4)


def test_bodies_are_what_lies_in_front_of_the_canal():
    labels = np.zeros((60, 80, 4), np.int16)
    labels[40:48, 5:75] = 3
    for top in (8, 44):
        labels[10:36, top : top + 26] = 1
        labels[50:56, top : top + 26] = 1
    found = front_of_canal(labels, (1.0, 1.0, 4.0))
    assert len(np.unique(found)) == 3
    assert not found[45:].any()
    assert (found[14:30, 14:28] > 0).all()
