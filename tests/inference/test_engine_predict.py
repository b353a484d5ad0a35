"""Arrays through the networks: normalisation, axis order, cropping and labels."""

from __future__ import annotations

import numpy as np
import pytest

import tiny_models
from spineps_rt.backends import open_engine
from spineps_rt.errors import ContractError, EmptyImageError, NotFiniteError
from spineps_rt.inference.instance import InstanceNetwork
from spineps_rt.inference.normalise import normalise
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.models import load_model
from spineps_rt.options import SemanticOptions


def classify(image, engine, options=SemanticOptions()):  # noqa: B008 (frozen)
    return SemanticNetwork(engine).classify(image, options)[0]


def test_zscore():
    image = np.random.default_rng(0).uniform(0, 1500, (5, 6, 7)).astype(np.float32)
    half = image.astype(np.float16).astype(float)
    expected = ((half - half.mean()) / half.std()).astype(np.float16)
    normal = normalise(image, "zscore")
    assert normal.dtype == np.float32 and normal is not image
    np.testing.assert_allclose(normal, expected.astype(np.float32), rtol=1e-3)
    np.testing.assert_array_equal(normal, normal.astype(np.float16))


def test_intensities_beyond_float16_stay_finite():
    image = np.array([[[0.0, 1e6, 60000.0]]])
    np.testing.assert_array_equal(normalise(image, "zscore"), normalise(np.minimum(image, 65504), "zscore"))


def test_zscore_of_a_constant_is_zero():
    np.testing.assert_array_equal(normalise(np.full((2, 2, 2), 7, np.int16), "zscore"), np.zeros((2, 2, 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_that_is_not_finite_is_an_error(value):
    image = np.ones((2, 3, 4), np.float32)
    image[1, 1, 1] = value
    with pytest.raises(NotFiniteError):
        normalise(image, "zscore")


def test_an_unknown_scheme_is_an_error():
    with pytest.raises(ContractError, match="'CT' came"):
        normalise(np.ones((2, 2, 2)), "CT")


def test_semantic_labels_lie_where_the_intensities_are(tmp_path):
    """Three intensities in a margin of zeros come back as three labels, in place, along every axis."""
    rng = np.random.default_rng(5)
    truth = np.zeros((19, 35, 11), np.uint8)
    truth[2:17, 3:31, 1:10] = rng.choice(np.array([0, 26, 41], np.uint8), (15, 28, 9))
    image = np.zeros(truth.shape, np.float32)
    image[2:17, 3:31, 1:10] = 100
    image[truth == 26] = 500
    image[truth == 41] = 900
    levels = tiny_models.zscore_levels(image, (100, 500, 900))
    folder = tiny_models.write_semantic(tmp_path, levels=levels, patch=(6, 12, 10))
    with open_engine(load_model(folder), device="onnx") as engine:
        labels = classify(image, engine)
        assert labels.dtype == np.uint8 and labels.flags.c_contiguous
        np.testing.assert_array_equal(labels, truth)
        np.testing.assert_array_equal(
            classify(image.astype(np.int16), engine, SemanticOptions(step=1.0)), truth
        )
        ripples = np.where(image == 0, np.float32(2.0**-25), image)  # zero in float16, as SPINEPS sees it
        np.testing.assert_array_equal(classify(ripples, engine), truth)


def test_the_network_sees_its_own_axis_order(tmp_path):
    """A bias that differs along the patch's axes shows which array axis each of them became."""
    patch = (2, 4, 8)
    field = np.zeros((1, 2, *patch), np.float32)
    field[:, 1] = 10.0 * (np.arange(8) >= 6) - 5.0  # class 1 in the last quarter along P
    folder = tiny_models.write_semantic(tmp_path, levels=(0.0, 0.0), patch=patch, field=field)
    with open_engine(load_model(folder), device="onnx") as engine:
        labels = classify(np.random.default_rng(0).uniform(1, 2, (8, 4, 2)), engine)
    expected = np.zeros((8, 4, 2), np.uint8)
    expected[6:] = 26
    np.testing.assert_array_equal(labels, expected)


def test_semantic_refusals(tmp_path):
    with open_engine(load_model(tiny_models.write_semantic(tmp_path / "s")), device="onnx") as engine:
        with pytest.raises(EmptyImageError):
            classify(np.zeros((4, 4, 4), np.float32), engine)
        with pytest.raises(ContractError, match="three axes"):
            classify(np.ones((4, 4), np.float32), engine)
        image = np.ones((4, 4, 4), np.float32)
        image[0, 0, 0] = np.nan
        with pytest.raises(NotFiniteError):
            classify(image, engine)
    instance = load_model(tiny_models.write_instance(tmp_path / "i"))
    with (
        open_engine(instance, device="onnx") as engine,
        pytest.raises(ContractError, match="no semantic model"),
    ):
        classify(np.ones((4, 4, 4), np.float32), engine)


@pytest.mark.parametrize("axes", [("P", "I", "R"), ("R", "I", "P")])
def test_windows(tmp_path, axes):
    cutout = (5, 9, 3)
    labels = np.random.default_rng(1).integers(0, 3, (7, 11, 5), dtype=np.uint8)
    table, starts = np.arange(256, dtype=np.uint8), np.array([[0, 0, 0], [-2, 4, 1]])
    folder = tiny_models.write_instance(tmp_path, cutout=cutout, band=3, axes=axes)
    with open_engine(load_model(folder), device="onnx") as engine:
        network = InstanceNetwork(engine)
        answers = [answer.copy() for answer in network.classify_windows(labels, table, starts)]
        assert list(network.classify_windows(labels, table, starts[:0])) == []
        for refused, match in (
            ((labels[0], table, starts), r"expected uint8 \(P, I, R\)"),
            ((labels.astype(np.int16), table, starts), r"expected uint8 \(P, I, R\)"),
            ((labels, table[1:], starts), r"expected uint8 \(256,\)"),
            ((labels, table, starts[:, :2]), r"expected integers \(N, 3\)"),
        ):
            with pytest.raises(ContractError, match=match):
                list(network.classify_windows(*refused))
    rows = np.repeat(np.array([1, 2, 3], np.uint8), 3)[None, :, None]
    padded = np.pad(labels, 9)
    for answer, start in zip(answers, starts + 9, strict=True):
        cut = padded[tuple(slice(s, s + n) for s, n in zip(start, cutout))]
        np.testing.assert_array_equal(answer, np.where(cut > 0, rows, 0))
        assert answer.dtype == np.uint8 and answer.flags.c_contiguous


def test_a_class_that_no_instance_network_has_is_an_error(tmp_path):
    folder = tiny_models.write_instance(tmp_path, first_class=2)
    labels, table = np.ones((16, 24, 8), np.uint8), np.ones(256, np.uint8)
    with (
        open_engine(load_model(folder), device="onnx") as engine,
        pytest.raises(ContractError, match="class 4"),
    ):
        list(InstanceNetwork(engine).classify_windows(labels, table, np.zeros((1, 3), np.int64)))


def test_a_semantic_model_is_no_instance_network(tmp_path):
    with (
        open_engine(load_model(tiny_models.write_semantic(tmp_path)), device="onnx") as engine,
        pytest.raises(ContractError, match="no instance model"),
    ):
        InstanceNetwork(engine)
