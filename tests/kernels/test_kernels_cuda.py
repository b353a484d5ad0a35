"""Kernels of the GPU against their twins of the CPU: on a GPU if there is one, else in numba's simulator."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import cuda

from spineps_rt.inference.normalise import measured, normalise
from spineps_rt.kernels import cuda as kernels
from spineps_rt.kernels import stitch

PATCH = (3, 4, 5)
TURNS = [(False, False, False), (False, True, True)]
RNG = np.random.default_rng(7)


def turned(tile, turn):
    return np.flip(tile, [axis for axis, yes in enumerate(turn) if yes])


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("start", [(0, 0, 0), (-2, 1, 3), (2, -3, -4), (9, 9, 9)])
def test_gather_tile_normalises_as_the_cpu_does(start, turn):
    image = RNG.integers(0, 3000, (4, 5, 6)).astype(np.int16)
    values, scale = measured(image, "zscore")
    tile = cuda.to_device(np.full((1, 1, *PATCH), 9, np.float32))
    kernels.gather_tile(cuda.to_device(values), (start, turn), scale, tile)
    reach = 16
    padded = np.pad(normalise(image, "zscore"), reach)
    box = tuple(slice(s + reach, s + reach + p) for s, p in zip(start, PATCH))
    np.testing.assert_array_equal(tile.copy_to_host()[0, 0], turned(padded[box], turn))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("start", [(0, 0, 0), (2, 7, 1)])
def test_accumulate_wraps_around_as_the_cpu_does(dtype, start, turn):
    total = RNG.normal(size=(3, 4, 5, 6)).astype(np.float32)
    logits = RNG.normal(size=(3, *PATCH)).astype(dtype)
    weights = RNG.uniform(1, 1000, PATCH).astype(np.float32)
    device, bad = cuda.to_device(total), cuda.to_device(np.zeros(1, np.int32))
    shown = np.ascontiguousarray(np.stack([turned(one, turn) for one in logits]))
    place = (start, turn)
    kernels.accumulate(device, cuda.to_device(shown[None]), cuda.to_device(weights), place, bad)
    stitch.accumulate(total, logits, weights, start)
    np.testing.assert_allclose(device.copy_to_host(), total, rtol=1e-6, atol=1e-4)  # a GPU fuses * and +
    assert bad.copy_to_host()[0] == 0


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("box", [((0, 0, 0), (6, 4, 3)), ((2, 1, 0), (5, 2, 3)), ((1, 1, 1), (1, 4, 3))])
def test_finalise_as_the_cpu_does(box, axis):
    total = RNG.integers(-2, 3, (4, 3, 4, 3)).astype(np.float32)  # with ties
    if box[1][0] - box[0][0] > total.shape[1]:
        box = (box[0], (3, 4, 3))
    classes = np.full((6, 4, 3), 77, np.uint8)
    device, answer = cuda.to_device(total), cuda.to_device(classes)
    margins = np.zeros((4, classes.shape[axis], 2))
    leads = cuda.to_device(margins)
    kernels.finalise(device, answer, box, leads, axis)
    stitch.finalise(total, classes, *box, margins, axis)
    np.testing.assert_allclose(leads.copy_to_host(), margins, rtol=1e-5)
    assert np.array_equal(margins[1:, :, 0].sum(axis=1), [(classes == c).sum() for c in (1, 2, 3)])
    np.testing.assert_array_equal(answer.copy_to_host(), classes)
    np.testing.assert_array_equal(device.copy_to_host(), total)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_classify_as_numpy_does(stride):
    logits = RNG.integers(-2, 3, (1, 4, *PATCH)).astype(np.float32)  # with ties
    expected = logits[0, :, ::stride, ::stride, ::stride].argmax(axis=0)
    classes = cuda.to_device(np.full(expected.shape, 77, np.uint8))
    kernels.classify(cuda.to_device(logits), stride, classes)
    np.testing.assert_array_equal(classes.copy_to_host(), expected)


def test_a_probe_answers():
    assert kernels.probe()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32])
def test_clear_leaves_zeros(dtype):
    values = cuda.to_device(np.full((2, 3, 5), 7, dtype))
    kernels.clear(values)
    assert not values.copy_to_host().any()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_shares_add_up_to_the_mean(dtype):
    folds = RNG.normal(size=(3, 2, 4, 5)).astype(dtype)
    total = cuda.to_device(np.full((2, 4, 5), np.nan, np.float32))
    for n, fold in enumerate(folds):
        kernels.add_share(total, cuda.to_device(fold), 1 / 3, first=n == 0)
    np.testing.assert_allclose(
        total.copy_to_host(), folds.astype(np.float32).mean(axis=0), rtol=1e-5, atol=1e-6
    )


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


COMPILE = """
import types
import numba.cuda.dispatcher
from numba import cuda, float32, int32, int64, types as nt, uint8
from spineps_rt.kernels import cuda as kernels

def array(dtype, axes):
    return nt.Array(dtype, axes, "C")

place, turn = nt.UniTuple(int64, 3), nt.UniTuple(nt.boolean, 3)
volume = array(float32, 3)
signatures = {
    "_gather_tile": (array(nt.float16, 3), place, turn, float32, float32, array(float32, 5)),
    "_accumulate": (array(float32, 4), array(float32, 5), volume, place, turn, array(int32, 1)),
    "_finalise": (array(float32, 4), array(uint8, 3), place, place, array(nt.float64, 3), int64),
    "_classify": (array(float32, 5), int64, array(uint8, 3)),
    "_accumulate ": (array(nt.float16, 4), array(float32, 5), volume, place, turn, array(int32, 1)),
    "_finalise ": (array(nt.float16, 4), array(uint8, 3), place, place, array(nt.float64, 3), int64),
    "_probe": (array(nt.float16, 1), array(int32, 1)),
    "_clear": (array(float32, 1),),
    "_clear ": (array(nt.float16, 1),),
    "_clear  ": (array(int32, 1),),
    "_clear   ": (array(nt.float64, 1),),
    "_add_share": (array(float32, 1), array(float32, 1), float32, nt.boolean),
    "_add_share ": (array(float32, 1), array(nt.float16, 1), float32, nt.boolean),
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
    if not (found and importlib.util.find_spec("numba_cuda")):  # numba's own target finds no such package
        pytest.skip("NVIDIA's compiler is not installed: pip install 'numba-cuda[cu13]'")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 52
