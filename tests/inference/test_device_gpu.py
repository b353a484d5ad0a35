"""Whole stages on a real GPU against the host's way; what only a GPU can show."""

from __future__ import annotations

import numpy as np
import pytest

import tiny_models
from spineps_rt.backends import open_engine
from spineps_rt.backends.gpu import cuda_devices, kernels_compile
from spineps_rt.errors import EngineError
from spineps_rt.inference.instance import InstanceNetwork
from spineps_rt.inference.out_of_memory import device_buffers
from spineps_rt.inference.semantic import SemanticNetwork
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
        assert device_buffers(engine) is not None
        return engine

    return opener


def test_a_volume_equals_the_host(opened, tmp_path):
    folder = tiny_models.write_semantic(tmp_path, patch=(8, 16, 16), mirror_axes=[1])
    image = np.random.default_rng(0).integers(1, 900, (37, 50, 19)).astype(np.float32)
    with open_engine(load_model(folder), device="onnx") as host, opened(folder) as engine:
        answer, expected = (SemanticNetwork(one).classify(image)[0] for one in (engine, host))
    assert (answer == expected).mean() > 0.999  # logits that nearly tie


def test_windows_equal_the_host(opened, tmp_path):
    folder = tiny_models.write_instance(tmp_path, cutout=(16, 24, 8))
    labels = np.random.default_rng(0).integers(0, 10, (20, 30, 12)).astype(np.uint8)
    starts = np.array([[-3, 2, 1], [0, 0, 0], [10, 20, -5]])
    with open_engine(load_model(folder), device="onnx") as host, opened(folder) as engine:
        table = np.arange(256, dtype=np.uint8)
        answers, expected = (
            [answer.copy() for answer in InstanceNetwork(one).classify_windows(labels, table, starts)]
            for one in (engine, host)
        )
    np.testing.assert_array_equal(answers, expected)
