"""Kernels of the GPU against their twins of the CPU: on a GPU if there is one, else in numba's simulator."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from numba import cuda

from spineps_rt.engine import load_model, open_engine
from spineps_rt.engine.device_stitch import sliding_window_on_device
from spineps_rt.engine.normalise import measured, normalise
from spineps_rt.engine.stitch import sliding_window
from spineps_rt.engine.tiling import plan_tiles
from spineps_rt.errors import NotFiniteError
from spineps_rt.kernels import cuda as kernels
from spineps_rt.kernels import stitch
from spineps_rt.stages.predict import predict_semantic

PATCH = (3, 4, 5)
RNG = np.random.default_rng(7)


@pytest.mark.parametrize("start", [(0, 0, 0), (-2, 1, 3), (2, -3, -4), (9, 9, 9)])
def test_gather_tile_normalises_as_the_cpu_does(start):
    image = RNG.integers(0, 3000, (4, 5, 6)).astype(np.int16)
    values, scale = measured(image, "zscore")
    tile = cuda.to_device(np.full((1, 1, *PATCH), 9, np.float32))
    kernels.gather_tile(cuda.to_device(values), start, scale, tile)
    reach = 16
    padded = np.pad(normalise(image, "zscore"), reach)
    box = tuple(slice(s + reach, s + reach + p) for s, p in zip(start, PATCH))
    np.testing.assert_array_equal(tile.copy_to_host()[0, 0], padded[box])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("start", [(0, 0, 0), (2, 7, 1)])
def test_accumulate_wraps_around_as_the_cpu_does(dtype, start):
    total = RNG.normal(size=(3, 4, 5, 6)).astype(np.float32)
    logits = RNG.normal(size=(3, *PATCH)).astype(dtype)
    weights = RNG.uniform(1, 1000, PATCH).astype(np.float32)
    device, bad = cuda.to_device(total), cuda.to_device(np.zeros(1, np.int32))
    kernels.accumulate(device, cuda.to_device(logits[None]), cuda.to_device(weights), start, bad)
    stitch.accumulate(total, logits, weights, start)
    np.testing.assert_allclose(device.copy_to_host(), total, rtol=1e-6, atol=1e-4)  # a GPU fuses * and +
    assert bad.copy_to_host()[0] == 0


@pytest.mark.parametrize("box", [((0, 0, 0), (6, 4, 3)), ((2, 1, 0), (5, 2, 3)), ((1, 1, 1), (1, 4, 3))])
def test_finalise_as_the_cpu_does(box):
    total = RNG.integers(-2, 3, (4, 3, 4, 3)).astype(np.float32)  # with ties
    if box[1][0] - box[0][0] > total.shape[1]:
        box = (box[0], (3, 4, 3))
    classes = np.full((6, 4, 3), 77, np.uint8)
    device, answer = cuda.to_device(total), cuda.to_device(classes)
    kernels.finalise(device, answer, *box)
    stitch.finalise(total, classes, *box)
    np.testing.assert_array_equal(answer.copy_to_host(), classes)
    np.testing.assert_array_equal(device.copy_to_host(), total)


def test_gather_cutouts():
    labels = RNG.integers(0, 9, (5, 4, 6)).astype(np.uint8)
    table = np.arange(256, dtype=np.uint8)[::-1].copy()
    starts = np.array([[0, 0, 0], [-2, 1, 3], [4, -3, -1], [7, 0, 0]])
    cutouts = cuda.to_device(np.full((4, 1, *PATCH), 3, np.uint8))
    kernels.gather_cutouts(cuda.to_device(labels), cuda.to_device(table), cuda.to_device(starts), cutouts)
    padded = np.pad(table[labels], 12)
    for start, cutout in zip(starts + 12, cutouts.copy_to_host()):
        box = tuple(slice(s, s + p) for s, p in zip(start, PATCH))
        np.testing.assert_array_equal(cutout[0], padded[box])


class HostRun:
    """What DeviceRun is, but an engine of the host runs a real network between the buffers."""

    def __init__(self, engine):
        self.stream = cuda.stream()
        self.input = cuda.device_array(engine.model.input.shape, np.float32)
        self.output = cuda.device_array(engine.model.output.shape, np.float32)
        self._engine = engine

    def launch(self):
        self.output.copy_to_device(self._engine._run(self.input.copy_to_host()))  # unchecked, as a GPU's


class BatchRun(HostRun):
    """A graph of a larger batch, one sample after the other."""

    def __init__(self, engine, batch):
        super().__init__(engine)
        self.ends = [
            replace(s, shape=(batch, *s.shape[1:])) for s in (engine.model.input, engine.model.output)
        ]
        self.input, self.output = (cuda.device_array(spec.shape, np.float32) for spec in self.ends)

    def launch(self):
        samples = np.nan_to_num(self.input.copy_to_host())
        self.output.copy_to_device(np.concatenate([self._engine._run(one[None]) for one in samples]))


@pytest.fixture
def engine(tmp_path):
    """Logits depend on where in the tile a voxel lies, so overlapping tiles disagree."""
    field = np.random.default_rng(3).normal(0, 1.5, (1, 4, *PATCH))
    levels = (-1.5, -0.5, 0.5, 1.5)
    folder = tiny_models.write_semantic(tmp_path / "s", levels=levels, patch=PATCH, field=field)
    with open_engine(load_model(folder), device="onnx", threads=1) as opened:
        yield opened


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 9, 5), (7, 3, 6), (1, 1, 1)])
def test_a_volume_through_the_device_equals_the_host(engine, shape):
    image = RNG.integers(0, 900, shape).astype(np.float32)
    values, scale = measured(image, "zscore")
    plan = plan_tiles(shape, PATCH, 0.5)
    answer = sliding_window_on_device(HostRun(engine), engine.model, values, scale, plan=plan)
    expected = sliding_window(engine, normalise(image, "zscore"), step=0.5)
    np.testing.assert_array_equal(answer, expected)


def test_a_batch_of_tiles_and_sums_in_float16_through_the_device(engine):
    """Batches give the very classes; float16 where the two best sums are further apart than it can tell."""
    image = RNG.integers(0, 900, (3, 9, 11)).astype(np.float32)
    values, scale = measured(image, "zscore")
    plan = plan_tiles(image.shape, PATCH, 0.5)
    expected = sliding_window(engine, normalise(image, "zscore"), step=0.5)
    assert len(plan.tiles) % 3  # the last batch is not full
    run = BatchRun(engine, 3)
    model = replace(engine.model, input=run.ends[0], output=run.ends[1])
    answer = sliding_window_on_device(run, model, values, scale, plan=plan)
    np.testing.assert_array_equal(answer, expected)
    rough = sliding_window_on_device(run, model, values, scale, plan=plan, sums="float16")
    assert (rough == expected).mean() > 0.98


def test_predict_takes_the_device_where_an_engine_has_one(engine, monkeypatch):
    image = np.zeros((8, 6, 7), np.float32)
    image[1:6, 1:, 2:] = RNG.integers(1, 900, (5, 5, 5))
    expected = predict_semantic(image, engine)
    run = HostRun(engine)
    monkeypatch.setattr(engine, "on_device", lambda: run)
    monkeypatch.setattr(engine, "borrow", None)  # the host's way
    np.testing.assert_array_equal(predict_semantic(image, engine), expected)


def test_infinite_logits_are_an_error(engine):
    run = HostRun(engine)
    run.launch = lambda: run.output.copy_to_device(np.full(run.output.shape, np.inf, np.float32))
    plan = plan_tiles(PATCH, PATCH, 0.5)
    with pytest.raises(NotFiniteError, match="NaN or infinity"):
        sliding_window_on_device(run, engine.model, np.ones(PATCH, np.float16), (0.0, 1.0), plan=plan)


COMPILE = """
import types
import numba.cuda.dispatcher
from numba import cuda, float32, int32, int64, types as nt, uint8
from spineps_rt.kernels import cuda as kernels

def array(dtype, axes):
    return nt.Array(dtype, axes, "C")

place = nt.UniTuple(int64, 3)
signatures = {
    "_gather_tile": (array(nt.float16, 3), place, float32, float32, array(float32, 5)),
    "_accumulate": (array(float32, 4), array(float32, 5), array(float32, 3), place, array(int32, 1)),
    "_finalise": (array(float32, 4), array(uint8, 3), place, place),
    "_accumulate ": (array(nt.float16, 4), array(float32, 5), array(float32, 3), place, array(int32, 1)),
    "_finalise ": (array(nt.float16, 4), array(uint8, 3), place, place),
    "_gather_cutouts": (array(uint8, 3), array(uint8, 1), array(int64, 2), array(uint8, 5)),
}
for target in ((7, 5), (8, 6), (8, 9), (12, 0)):
    # device functions ask which GPU they are compiled for; here none is
    numba.cuda.dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=target)
    for name, signature in signatures.items():
        code, _ = cuda.compile_ptx(getattr(kernels, name.strip()).py_func, signature, cc=target)
        assert ".visible .entry" in code
        print(name, target)
"""


def test_kernels_compile_for_four_architectures():
    found = [p for folder in sys.path for p in Path(folder).glob("nvidia/*/nvvm/libdevice")]
    if not found:
        pytest.skip("NVIDIA's compiler library is not installed: pip install nvidia-nvvm")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "CUDA_HOME": str(found[0].parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 24
