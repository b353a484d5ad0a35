"""Fewer tiles, the same spine: wherever it lies, however it bends, and whatever of it is in view."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_models
import tiny_scan
from spineps_rt.backends import open_engine
from spineps_rt.cli.run import run
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.inference.tile_search import SHARES, STRIDE, Search, spine_kinds
from spineps_rt.inference.tiling import importance_map, plan_tiles
from spineps_rt.models import load_model
from spineps_rt.options import EngineOptions, Options, SemanticOptions
from spineps_rt.pipeline import Pipeline
from spineps_rt.volume import Volume, reorient

SHAPE, PATCH = (40, 192, 224), (24, 64, 64)
KINDS = np.array([0, 1, 2, 3], np.uint8)
ROWS = np.arange(SHAPE[1])
ALL = ROWS >= 0
SPINES = {
    "middle": (90 + 0 * ROWS, 10 + 0 * ROWS, ALL),
    "first edge": (-12 + 0 * ROWS, -4 + 0 * ROWS, ALL),
    "last edge": (176 + 0 * ROWS, 26 + 0 * ROWS, ALL),
    "oblique": (ROWS * 4 // 5, ROWS // 10, ALL),
    "curved": ((90 + 80 * np.sin(ROWS / 30)).astype(int), (10 + 8 * np.cos(ROWS / 40)).astype(int), ALL),
    "cut off": (90 + 0 * ROWS, 10 + 0 * ROWS, ROWS > 140),
    "very short": (170 + 0 * ROWS, 2 + 0 * ROWS, (ROWS > 80) & (ROWS < 104)),
    "no canal in view": (202 + 0 * ROWS, 10 + 0 * ROWS, ALL),
    "no column in view": (-32 + 0 * ROWS, 10 + 0 * ROWS, ALL),
}
"""First voxel along P and R, row by row, and the rows that hold a spine."""


def paint(posterior, right, rows):
    """Classes (R, I, P): 32 voxels of column, 12 of canal and 16 of processes."""
    truth = np.zeros(SHAPE, np.uint8)
    for i in np.flatnonzero(rows):
        for kind, first, last in ((2, 0, 32), (3, 32, 44), (1, 44, 60)):
            p = slice(max(posterior[i] + first, 0), max(posterior[i] + last, 0))
            truth[max(right[i], 0) : max(right[i] + 18, 0), i, p] = kind
    return truth


def walk(plan, truth, *, batch=1):
    """Show the truth to a search, tile by tile."""
    search, padded, ran = Search(plan, KINDS, SHARES), np.pad(truth, plan.padding), []
    while some := search.next_tiles(batch):
        assert len(some) <= batch
        for tile in some:
            box = tuple(slice(s, s + n, STRIDE) for s, n in zip(tile, plan.patch))
            search.observe(tile, padded[box])
        ran += some
    assert len(set(ran)) == len(ran) == search.tiles_run
    rows = [tile[plan.long_axis] for tile in ran]
    assert rows == sorted(rows)
    return search, ran


def lacking(plan, truth, ran):
    """Share that the tiles which were not run have in the weights of each voxel of the structure."""
    weights, (every, left_out) = importance_map(plan.patch), np.zeros((2, *plan.padded), np.float32)
    for tile in plan.tiles:
        box = tuple(slice(s, s + n) for s, n in zip(tile, plan.patch))
        every[box] += weights
        if tile not in ran:
            left_out[box] += weights
    return (left_out / every)[np.pad(truth, plan.padding) > 0]


@pytest.mark.parametrize("name", SPINES)
def test_no_voxel_of_a_spine_lacks_a_tile_that_weighs_much_in_any_orientation(name):
    truth = paint(*SPINES[name])
    for order in itertools.permutations(range(3)):
        plan = plan_tiles(tuple(SHAPE[a] for a in order), tuple(PATCH[a] for a in order), 0.75)
        if order[plan.long_axis] != 1:
            continue  # rows across the spine: such networks run every tile
        for flips in itertools.product((1, -1), repeat=3):
            turned = truth.transpose(order)[tuple(slice(None, None, f) for f in flips)]
            _, ran = walk(plan, turned, batch=1 + (flips[0] < 0))
            assert (lacking(plan, turned, ran) > 0.5).mean() < 0.001, (order, flips)


def test_tiles_are_left_out_where_the_spine_is_not():
    plan = plan_tiles(SHAPE, PATCH, 0.75)
    search, ran = walk(plan, paint(*SPINES["middle"]))
    assert search.found
    assert len(ran) <= 0.7 * len(plan.tiles)


@pytest.mark.parametrize("name", ["no canal in view", "no column in view"])
def test_half_a_spine_or_none_runs_every_tile(name):
    plan = plan_tiles(SHAPE, PATCH, 0.75)
    for truth in (paint(*SPINES[name]), np.zeros(SHAPE, np.uint8)):
        search, ran = walk(plan, truth)
        assert not search.found
        assert sorted(ran) == sorted(plan.tiles)


def test_errors_beside_the_spine_cost_no_tiles():
    plan = plan_tiles(SHAPE, PATCH, 0.75)
    truth = paint(*SPINES["middle"])
    _, ran = walk(plan, truth)
    spotted = truth.copy()
    spotted[8:12, ROWS % 24 < 4, 52:60] = 2  # in tiles that the spine reaches, and in their neighbours
    assert walk(plan, spotted)[1] == ran


def test_a_large_error_does_not_hide_the_spine():
    truth = paint(*SPINES["first edge"])
    truth[4:36, :, 100:196][:, ROWS % 32 < 20] = 2  # column and canal more than the spine, not all along
    truth[4:36, ROWS % 16 < 4, 196:204] = 3
    plan = plan_tiles(SHAPE, PATCH, 0.75)
    spine = np.where(np.arange(SHAPE[2]) < 80, truth, 0)
    assert (lacking(plan, spine, walk(plan, truth)[1]) > 0.5).mean() < 0.001


def test_a_gap_along_the_spine_loses_nothing():
    posterior, right, rows = SPINES["oblique"]
    truth = paint(posterior, right, rows & ((ROWS < 60) | (ROWS > 120)))
    plan = plan_tiles(SHAPE, PATCH, 0.75)
    assert (lacking(plan, truth, walk(plan, truth)[1]) > 0.5).mean() < 0.001


def test_a_model_without_canal_is_never_localised(tmp_path):
    whole = load_model(tiny_models.write_semantic(tmp_path / "whole", levels=range(15)))
    assert {k: int((spine_kinds(whole) == k).sum()) for k in range(4)} == {0: 1, 1: 9, 2: 3, 3: 2}
    assert spine_kinds(load_model(tiny_models.write_semantic(tmp_path / "few", levels=(0, 1, 2)))) is None


def test_rows_across_the_spine_are_not_searched(tmp_path):
    image, _ = wide(50)
    folder = models_for(image[:, :60], tmp_path, axes=["R", "P", "I"])
    with open_engine(load_model(folder / "semantic"), device="onnx", threads=1) as engine:
        _, ran = SemanticNetwork(engine).classify(image[:, :60])
        assert ran.samples == ran.planned


def wide(first):
    """A spine of boxes in a field of view of 160 voxels, whose corners are not empty."""
    truth = np.zeros((160, 108, 12), np.uint8)
    truth[first : first + 48] = tiny_scan.labels()
    truth[first + 24 : first + 26, 4:104, 3:9] = 41  # pedicles: what hangs together is one spine
    image = tiny_scan.image(truth)
    image[[0, 0, -1, -1], [0, -1, 0, -1], [0, -1, -1, 0]] = 30
    return image, truth


def models_for(image, folder, **semantic):
    steps = [tiny_scan.STEP * k for k in range(len(tiny_scan.LABELS) + 1)]
    levels = tiny_models.zscore_levels(image, steps)
    return tiny_scan.write_models(folder, levels=levels, **semantic)


@pytest.mark.parametrize("first", [0, 50, 112])
def test_masks_and_counts_of_a_network(tmp_path, first):
    image, truth = wide(first)
    folder = models_for(image, tmp_path, mirror_axes=[0])
    with open_engine(load_model(folder / "semantic"), device="onnx", threads=1) as engine:
        network = SemanticNetwork(engine)
        labels, every = network.classify(image, SemanticOptions(localize=False))
        assert np.array_equal(labels, truth)
        assert every.planned == every.samples
        labels, some = network.classify(image)
        assert np.array_equal(labels, truth)
        assert some.samples < some.planned == every.samples


@pytest.mark.parametrize("axes", ["PIR", "RSA", "SAL"])
def test_whole_runs_agree_in_any_orientation(tmp_path, axes):
    image, _ = wide(40)
    scan = reorient(Volume(image.astype(np.float32), tiny_scan.PIR), tuple(axes))
    options = Options(engine=EngineOptions("onnx", threads=1))
    folder = models_for(image, tmp_path)
    results = []
    for chosen in (options, replace(options, semantic=SemanticOptions(localize=False))):
        with Pipeline(folder, options=chosen) as pipeline:
            results.append(pipeline.run(scan))
    some, every = results
    assert np.array_equal(some.instances.array, every.instances.array)
    assert np.array_equal(some.semantic.array, every.semantic.array)
    assert some.networks[0].samples < some.networks[0].planned == every.networks[0].samples
    assert every.networks[0].planned == every.networks[0].samples


def test_the_command_and_the_record_tell_tiles_run_of_tiles_planned(tmp_path):
    image, _ = wide(40)
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz", image)
    models = models_for(image, tmp_path / "models")
    counts = []
    for switch in ("--localize", "--no-localize"):
        arguments = [str(scan), "--model", str(models), "--device", "onnx", "--overwrite", switch]
        done = CliRunner().invoke(run, arguments)
        assert done.exit_code == 0, done.output
        record = json.loads((tmp_path / "derivatives_seg" / "sub-x_mod-T2w_seg-spine_run.json").read_text())
        assert record["options"]["semantic"]["localize"] == (switch == "--localize")
        run_of = "{samples} of {planned} tiles".format(**record["models"][0])
        assert run_of in done.output
        counts.append((record["models"][0]["samples"], record["models"][0]["planned"]))
    assert counts[0][0] < counts[0][1] == counts[1][0] == counts[1][1]
