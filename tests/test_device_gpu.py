"""Whole stages on a real GPU against the host's way; what only a GPU can show."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models

from spineps_rt.backends import open_engine
from spineps_rt.backends.gpu import cuda_devices, kernels_compile
from spineps_rt.errors import EngineError
from spineps_rt.inference.predictors import on_device, predict_cutouts, predict_semantic, predict_windows
from spineps_rt.models import load_model

pytestmark = pytest.mark.skipif(cuda_devices() == 0, reason="needs an NVIDIA GPU")


@pytest.fixture
def opened():
    """Open a model by ONNX Runtime on the GPU."""
    if not kernels_compile():
        pytest.skip("NVIDIA's compiler library is not installed: pip install nvidia-nvvm")

    def opener(folder):
        try:
            engine = open_engine(load_model(folder), device="cuda")
        except EngineError as error:
            pytest.skip(str(error))
        assert on_device(engine)
        return engine

    return opener


def test_a_volume_equals_the_host(opened, tmp_path):
    folder = tiny_models.write_semantic(tmp_path, patch=(8, 16, 16), mirror_axes=[1])
    image = np.random.default_rng(0).integers(1, 900, (37, 50, 19)).astype(np.float32)
    with open_engine(load_model(folder), device="onnx") as host, opened(folder) as engine:
        answer, expected = predict_semantic(image, engine), predict_semantic(image, host)
    assert (answer == expected).mean() > 0.999  # logits that nearly tie


def test_windows_equal_the_host(opened, tmp_path):
    folder = tiny_models.write_instance(tmp_path, cutout=(16, 24, 8))
    labels = np.random.default_rng(0).integers(0, 10, (20, 30, 12)).astype(np.uint8)
    starts = np.array([[-3, 2, 1], [0, 0, 0], [10, 20, -5]])
    padded = np.pad(labels, 32)
    boxes = [tuple(slice(s, s + p) for s, p in zip(start, (16, 24, 8))) for start in starts + 32]
    with open_engine(load_model(folder), device="onnx") as host, opened(folder) as engine:
        table = np.arange(256, dtype=np.uint8)
        answers = [answer.copy() for answer in predict_windows(engine, labels, table, starts)]
        expected = predict_cutouts(host, np.stack([padded[box] for box in boxes]))
    np.testing.assert_array_equal(answers, expected)
