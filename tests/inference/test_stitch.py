"""Stitching in constant memory equals the sum over the whole volume."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tiny_models
from spineps_rt.backends import open_engine
from spineps_rt.errors import ContractError, ModelError, NotFiniteError
from spineps_rt.inference.host_window import HostAccumulator
from spineps_rt.inference.tiling import importance_map, plan_tiles
from spineps_rt.inference.window import sliding_window
from spineps_rt.kernels import stitch as kernels
from spineps_rt.kernels import threads as _threads
from spineps_rt.models import load_model

PATCH = (4, 8, 6)


def stitched(engine, image, *, step=None, mirror=True, progress=None):
    plan = plan_tiles(image.shape, engine.model.patch, step or engine.model.step)
    axes = engine.model.mirror_axes if mirror else ()
    return sliding_window(HostAccumulator(engine, image, plan, mirror_axes=axes), plan, progress=progress)


def naive(engine, image, step):
    """All classes of the whole padded volume at once, then arg-max."""
    patch = engine.model.patch
    plan = plan_tiles(image.shape, patch, step)
    padded = np.pad(image, plan.padding)
    total = np.zeros((engine.model.output.shape[1], *padded.shape), np.float32)
    weights = importance_map(patch)
    for tile in plan.tiles:
        box = tuple(slice(s, s + p) for s, p in zip(tile, patch))
        logits = engine.infer(np.ascontiguousarray(padded[box])[None, None])[0]
        total[(slice(None), *box)] += logits if len(plan.tiles) == 1 else weights * logits
    inside = tuple(slice(low, low + n) for n, (low, _) in zip(image.shape, plan.padding))
    return total.argmax(0).astype(np.uint8)[inside]


def slow_margins(sums, low, shape, axis):
    """What a box adds to the margins, voxel by voxel."""
    table = np.zeros((len(sums), shape[axis], 2))
    for place in np.ndindex(sums.shape[1:]):
        values = sums[(slice(None), *place)].astype(float)
        second, best = np.sort(values)[-2:]
        if values.argmax():
            lead = (best - second) / (best - values.mean())
            table[values.argmax(), low[axis] + place[axis]] += (1, lead)
    return table


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Logits depend on where in the tile a voxel lies, so overlapping tiles disagree."""
    levels = (-1.5, -0.5, 0.5, 1.5)
    field = np.random.default_rng(3).normal(0, 1.5, (1, 4, *PATCH))
    folder = tiny_models.write_semantic(
        tmp_path_factory.mktemp("m") / "s", levels=levels, patch=PATCH, field=field
    )
    with open_engine(load_model(folder), device="onnx", threads=1) as opened:
        yield opened


@pytest.mark.parametrize(
    "shape",
    [(4, 8, 6), (3, 5, 5), (4, 29, 6), (3, 21, 11), (9, 8, 7), (17, 13, 3), (1, 1, 1), (6, 33, 13)],
)
@pytest.mark.parametrize("step", [0.5, 0.7, 1.0])
def test_equals_the_naive_sum(engine, shape, step):
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    classes = stitched(engine, image, step=step)
    assert classes.dtype == np.uint8 and classes.flags.c_contiguous
    np.testing.assert_array_equal(classes, naive(engine, image, step))


def test_strided_and_double_images_are_taken(engine):
    image = np.random.default_rng(2).normal(size=(11, 21, 5))
    expected = stitched(engine, np.ascontiguousarray(image.transpose(2, 1, 0), dtype=np.float32))
    np.testing.assert_array_equal(stitched(engine, image.transpose(2, 1, 0)), expected)


def test_the_first_of_equal_classes_wins(tmp_path):
    # Levels 1 and -1 are equally far from 0.
    folder = tiny_models.write_semantic(tmp_path, levels=(1.0, -1.0, 2.0), patch=PATCH)
    with open_engine(load_model(folder), device="onnx") as engine:
        for shape in (PATCH, (4, 20, 9)):
            assert not stitched(engine, np.zeros(shape, np.float32)).any()
            assert (stitched(engine, np.full(shape, -0.1, np.float32)) == 1).all()


def test_progress_counts_every_tile(engine):
    seen = []
    stitched(engine, np.zeros((4, 29, 6), np.float32), step=0.5, progress=lambda *at: seen.append(at))
    tiles = len(plan_tiles((4, 29, 6), PATCH, 0.5).tiles)
    assert tiles > 3
    assert seen == [(n, tiles) for n in range(tiles + 1)]


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_an_error(tmp_path, poison):
    field = np.zeros((1, 3, *PATCH))
    field[0, 1, 2, 3, 4] = poison
    folder = tiny_models.write_semantic(tmp_path, patch=PATCH, field=field)
    with (
        open_engine(load_model(folder), device="onnx") as engine,
        pytest.raises(NotFiniteError, match="NaN or infinity"),
    ):
        stitched(engine, np.zeros((4, 20, 6), np.float32))


def test_memory_does_not_grow_with_the_length(engine, monkeypatch):
    sizes = []
    real = kernels.accumulate
    monkeypatch.setattr(
        "spineps_rt.inference.host_window.accumulate",
        lambda total, *rest: (sizes.append(total.shape), real(total, *rest)),
    )
    for length in (20, 60):
        stitched(engine, np.zeros((5, length, 7), np.float32))
    assert set(sizes) == {(4, 5, PATCH[1], 7)}


@pytest.mark.parametrize("image", [np.zeros((4, 8), np.float32), np.zeros(PATCH, np.int16)])
def test_wrong_images_are_refused(engine, image):
    with pytest.raises(ContractError, match="3-D float"):
        HostAccumulator(engine, image, plan_tiles(PATCH, PATCH, 1.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
@pytest.mark.parametrize("start", [(0, 0, 0), (3, 5, 0), (2, 0, 3)])
@pytest.mark.parametrize("threads", [1, 3])
def test_kernels_equal_numpy_on_a_ring(start, dtype, threads, monkeypatch):
    monkeypatch.setattr(_threads, "MINIMAL_VOXELS", 1)
    monkeypatch.setattr(_threads, "cores", lambda: threads)
    rng = np.random.default_rng(4)
    patch = (4, 6, 5 if start[2] == 0 else 2)
    total = rng.normal(size=(3, 4, 6, 5)).astype(np.float32)
    logits, weights = (9 * rng.random((3, *patch))).astype(dtype), rng.random(patch).astype(np.float32)
    at = np.ix_(range(3), *((np.arange(n) + s) % m for n, s, m in zip(patch, start, total.shape[1:])))
    expected = total.copy()
    expected[at] += weights * logits.astype(np.float32)
    kernels.accumulate(total, logits, weights, start)
    np.testing.assert_array_equal(total, expected)
    low, high = (1, 4, start[2]), (4, 9, 5)
    classes = np.full((5, 12, 5), 77, np.uint8)
    box = np.ix_(range(3), range(1, 4), np.arange(4, 9) % 6, range(start[2], 5))
    found = expected[box].argmax(axis=0)
    axis = start[0] % 2
    margins = np.ones((3, classes.shape[axis], 2))
    kernels.finalise(total, classes, low, high, margins, axis)
    np.testing.assert_allclose(margins - 1, slow_margins(expected[box], low, classes.shape, axis), rtol=1e-5)
    np.testing.assert_array_equal(classes[1:4, 4:9, start[2] :], found)
    classes[1:4, 4:9, start[2] :] = 77
    assert (classes == 77).all()
    expected[box] = 0
    np.testing.assert_array_equal(total, expected)


@pytest.mark.parametrize("axes", [(0,), (0, 2), (0, 1, 2)])
def test_mirrored_tiles_are_averaged_where_the_manifest_says_so(tmp_path, axes):
    field = np.random.default_rng(4).normal(0, 1.5, (1, 3, *PATCH))
    folder = tiny_models.write_semantic(
        tmp_path / "s", levels=(-1, 0, 1), patch=PATCH, field=field, mirror_axes=list(axes)
    )
    image = np.random.default_rng(5).normal(size=PATCH).astype(np.float32)
    with open_engine(load_model(folder), device="onnx", threads=1) as mirrored:
        plain = mirrored.infer(image[None, None])[0]
        total = np.zeros_like(plain)
        for count in range(len(axes) + 1):
            for some in itertools.combinations(axes, count):
                turned = np.ascontiguousarray(np.flip(image, some))
                back = [axis + 1 for axis in some]
                total += np.flip(mirrored.infer(turned[None, None])[0], back)
        np.testing.assert_array_equal(stitched(mirrored, image), total.argmax(0))
        np.testing.assert_array_equal(stitched(mirrored, image, mirror=False), plain.argmax(0))
        assert (total.argmax(0) != plain.argmax(0)).any()


@pytest.mark.parametrize("axes", [[3], [1, 0], [0, 0], "0"])
def test_wrong_axes_are_named(tmp_path, axes):
    folder = tiny_models.write_semantic(tmp_path / "s", mirror_axes=axes)
    with pytest.raises(ModelError, match="field 'mirror_axes'"):
        load_model(folder)


def test_margins_are_those_of_the_whole_volume(engine):
    image = np.random.default_rng(5).normal(size=(4, 29, 6)).astype(np.float32)
    plan = plan_tiles(image.shape, PATCH, 0.5)
    window = HostAccumulator(engine, image, plan)
    classes = sliding_window(window, plan)
    assert plan.long_axis == 1
    counts = np.stack([(classes == c).sum(axis=(0, 2)) for c in range(1, 4)])
    np.testing.assert_array_equal(window.margins[1:, :, 0], counts)
    assert not window.margins[0].any()
    mean = window.margins[1:, :, 1].sum() / counts.sum()
    assert 0 < mean < 4 / 3


def test_a_network_that_hardly_knows_has_a_small_margin(tmp_path):
    """An image on the levels themselves leaves no doubt; one halfway between them leaves much."""
    folder = tiny_models.write_semantic(tmp_path, levels=(0.0, 1.0, 9.0), patch=PATCH)
    with open_engine(load_model(folder), device="onnx") as engine:
        plan = plan_tiles((4, 20, 6), PATCH, 0.5)
        found = []
        for value in (1.0, 0.55):
            window = HostAccumulator(engine, np.full((4, 20, 6), value, np.float32), plan)
            assert (sliding_window(window, plan) == 1).all()
            voxels, margins = window.margins[1].sum(axis=0)
            found.append(margins / voxels)
    assert found[1] < 0.3 * found[0]
