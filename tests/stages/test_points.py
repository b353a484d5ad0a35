"""Centres of bodies and sacrum, and the file that TPTBox reads."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spineps_rt import __version__, labels
from spineps_rt.errors import ContractError
from spineps_rt.report.points_json import to_json
from spineps_rt.stages.points import Centroids, centroids, volumes_in_ml
from spineps_rt.volume import Volume

AFFINE = np.array([[0, 0, 2, -10], [-1, 0, 0, 20], [0, -1, 0, 50.5], [0, 0, 0, 1.0]])
GRID = Volume(np.zeros((8, 9, 4), np.uint8), AFFINE)


def masks() -> tuple[np.ndarray, np.ndarray]:
    semantic, instances = np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape, np.uint16)
    semantic[2:4, 1:3, 1:3], instances[2:6, 1:3, 1:3] = labels.CORPUS, 5
    semantic[4:6, 1:3, 1:3] = labels.ARCUS
    semantic[2:5, 4, 1], instances[2:5, 4, 1] = labels.CORPUS_INNER, 28
    semantic[1, 6:9, 2], instances[1, 6:9, 2] = labels.SACRUM, labels.SACRUM_INSTANCE
    semantic[2:4, 3, 1:3], instances[2:4, 3, 1:3] = labels.DISC, labels.DISC_OFFSET + 5
    return semantic, instances


def test_centres_of_bodies_and_sacrum():
    assert dict(centroids(*masks()).points) == {
        (5, 50): (2.5, 1.5, 1.5),
        (26, 50): (1.0, 7.0, 2.0),
        (28, 50): (3.0, 4.0, 1.0),
    }


def test_empty_masks_have_no_centres():
    assert dict(centroids(np.zeros_like(masks()[0]), np.zeros_like(masks()[1])).points) == {}


def test_points_are_sorted_and_cannot_be_changed():
    points = Centroids({(3, 50): (0.0, 0.0, 0.0), (2, 50): (1.0, 0.0, 0.0)}).points
    assert list(points) == [(2, 50), (3, 50)]
    with pytest.raises(TypeError):
        points[2, 50] = (0.0, 0.0, 0.0)  # type: ignore[index]


def test_masks_of_two_shapes_are_refused():
    semantic, instances = masks()
    with pytest.raises(ContractError, match="same grid"):
        centroids(semantic[1:], instances)


def test_the_file_says_grid_source_and_points():
    data = to_json(centroids(*masks()), GRID, {"models": {"semantic": "demo"}})
    assert data == to_json(centroids(*masks()), GRID, {"models": {"semantic": "demo"}})
    header, points = json.loads(data)
    assert header == {
        "direction": ["P", "I", "R"],
        "zoom": [1.0, 1.0, 2.0],
        "origin": [-10.0, 20.0, 50.5],
        "rotation": [[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]],
        "shape": [8, 9, 4],
        "format": "POI",
        "level_one_info": "Any",
        "level_two_info": "Any",
        "source": "spineps-rt",
        "version": __version__,
        "models": {"semantic": "demo"},
    }
    assert points["5"] == {"50": [2.5, 1.5, 1.5]}
    assert list(points) == ["5", "26", "28"]


@pytest.mark.parametrize("meta", [{"zoom": [1, 1, 1]}, {"when": object()}, {"score": float("nan")}])
def test_meta_that_cannot_be_written_is_refused(meta):
    with pytest.raises(ContractError):
        to_json(centroids(*masks()), GRID, meta)


def test_volumes_in_millilitres():
    mask = np.zeros((2, 3, 4), np.uint16)
    mask[0, :2, :] = 120
    mask[1, 2, 3] = 4
    assert volumes_in_ml(mask, np.diag([-2.0, 0.5, 3.0, 1.0])) == pytest.approx({4: 0.003, 120: 0.024})
    assert volumes_in_ml(np.zeros((1, 1, 1), np.uint8), np.eye(4)) == {}
