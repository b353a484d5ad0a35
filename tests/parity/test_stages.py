"""Single stages, as they are by default, on what SPINEPS itself was given."""

from __future__ import annotations

import json
from pathlib import Path

import numba
import numpy as np
import pytest

from spineps_rt.report.points_json import to_json
from spineps_rt.stages import semantic_cleaning as semantic
from spineps_rt.stages.instance.segment import InstanceLimits, segment_instances
from spineps_rt.stages.points import centroids
from stacked_bodies import by_cutouts
from tests.parity import golden

FOLDER = Path(__file__).parents[1] / "golden"


def read(name: str) -> golden.Golden:
    return golden.read(FOLDER / f"{name}.npz")


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes minutes without the JIT")
def test_cleaning_and_instances_equal_spineps_by_default():
    given = read("thoracic")
    clean = semantic.clean(given.oracle.array, spacing=given.oracle.spacing)
    assert (clean != given.oracle.array).any()
    np.testing.assert_array_equal(clean, given.raw_semantic.array)
    asked = []

    def predict(cutouts):
        first = len(asked)
        asked.extend(map(golden.digest, cutouts))
        return given.answers[first : len(asked)]

    classify = by_cutouts(predict, InstanceLimits().cutout)
    found = segment_instances(clean, spacing=given.oracle.spacing, classify=classify)
    assert tuple(asked) == given.cutouts
    assert found.n_corpora == len(asked)
    np.testing.assert_array_equal(found.instances, given.raw_instances.array)


def test_the_file_of_centres_equals_that_of_spineps():
    given = read("ties")
    ours = json.loads(to_json(centroids(given.semantic.array, given.instances.array), given.semantic))
    grid, points = json.loads((FOLDER / "ties_ctd.json").read_text(encoding="utf-8"))
    assert {key: ours[0][key] for key in grid} == grid
    assert list(ours[1]) == list(points)
    for instance, structures in points.items():
        assert list(ours[1][instance]) == list(structures)
        np.testing.assert_allclose(ours[1][instance]["50"], structures["50"], atol=0.01, rtol=0)
