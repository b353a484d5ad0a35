"""The embedded models: what they promise, and a phantom that they must segment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spineps_rt import labels as L
from spineps_rt.models import embedded_models
from spineps_rt.phantom import PhantomOptions, make_phantom
from spineps_rt.pipeline import Pipeline

CHECKPOINTS = Path(__file__).parents[2] / "training" / "checkpoints"


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_models_are_whole_small_and_say_what_they_are():
    found = embedded_models()
    assert {type(model).__name__ for model in found} == {"SemanticModel", "InstanceModel"}
    for model in found:
        assert (model.folder / "model.onnx").stat().st_size < 12 * 2**20
        assert "CC BY 4.0" in model.licence
        assert "Not a medical device" in model.intended_use


@pytest.fixture(scope="module")
def answer():
    options = PhantomOptions(levels=("T12", "L5"), spacing=(1.0, 1.0, 3.9), fov_mm=(150.0, 0.0, 66.0))
    made = make_phantom(options, seed=20261)
    with Pipeline() as pipeline:
        return made, pipeline.run(made.image)


@pytest.mark.parametrize(
    ("structure", "least"), [((49,), 0.85), ((100,), 0.75), ((60, 61), 0.85), ((42,), 0.6), ((26,), 0.7)]
)
def test_structures_of_a_phantom_are_found(answer, structure, least):
    made, result = answer
    assert dice(np.isin(result.semantic.array, structure), np.isin(made.semantic.array, structure)) > least


@pytest.mark.parametrize("name", ["T12", "L1", "L2", "L3", "L4", "L5"])
def test_every_vertebra_is_an_instance_of_its_own(answer, name):
    made, result = answer
    truth = made.instance.array == L.VERTEBRA_IDS[name]
    best = np.bincount(result.instances.array[truth])[1:].argmax() + 1
    assert best in L.VERTEBRAE
    assert dice(result.instances.array == best, truth) > 0.75
