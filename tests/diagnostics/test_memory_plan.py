"""A GPU's memory is computed exactly, from manifests and a header."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_models
import tiny_scan
from spineps_rt.cli.main import cli
from spineps_rt.diagnostics.gpu_memory import CONTEXT, plans, seen_shape
from spineps_rt.errors import EngineError, ModelError, TruncatedFileError
from spineps_rt.io.nifti import read_grid, read_nifti
from spineps_rt.models import resolve_models
from spineps_rt.options import Options, SemanticOptions
from spineps_rt.phantom import PhantomOptions, make_phantom
from spineps_rt.pipeline import Pipeline

COST = {"flops": 9, "activation_bytes": 1000}
PIR = np.array([[0, 0, 2, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)


def models_in(folder, **semantic):
    """Both tiny models with a cost; semantic tiles of (8, 16, 16) voxels R, I, P of 2 x 1 x 1 mm."""
    tiny_models.write_semantic(folder / "semantic", cost=COST, **semantic)
    tiny_models.write_instance(folder / "instance", cost={**COST, "activation_bytes": 700})
    return folder


def test_every_part_by_hand(tmp_path):
    models = resolve_models(models_in(tmp_path))
    # P, I, R of 16 x 40 x 8 voxels: starts 0, 8, 16, 24 along I, one elsewhere
    first, *_, last = plans(models, ((16, 40, 8), PIR))
    assert (last.batches, last.sums, last.tiles) == ((1, 8), "float16", 4)
    assert first.batches[0] == 4  # no more tiles than there are
    weights = sum(m.files["model.onnx"].size for m in (models.semantic, models.instance))
    assert last.always == {"CUDA (assumed)": CONTEXT, "weights": weights}
    assert last.stages == {
        "semantic": {
            "activations": 1400,
            "input and output": 4 * 8 * 16 * 16 * (1 + 3),
            "volume": 2 * 8 * 40 * 16,
            "weights of a tile": 4 * 8 * 16 * 16,
            "accumulator": 2 * 3 * 8 * 16 * 16,
            "labels": 8 * 40 * 16,
            "margins": 16 * 3 * 40,
        },
        "instance": {"activations": 8 * 980, "input and output": 8 * 2 * 16 * 24 * 8},
    }
    assert last.total == CONTEXT + weights + sum(last.stages["semantic"].values())
    assert first.stages["semantic"]["accumulator"] == 4 * 3 * 8 * 16 * 16
    assert first.stages["semantic"]["activations"] == 4 * 1400


def test_mirrored_tiles_leave_the_sums_on_the_host(tmp_path):
    models = resolve_models(models_in(tmp_path, mirror_axes=[0]))
    assert {p.sums for p in plans(models, ((16, 40, 8), PIR))} == {"float32"}
    assert set(next(plans(models, ((16, 40, 8), PIR))).stages["semantic"]) == {
        "activations",
        "input and output",
    }
    off = Options(semantic=SemanticOptions(mirror=False))
    assert "accumulator" in next(plans(models, ((16, 40, 8), PIR), options=off)).stages["semantic"]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.0), (0.7, 0.8, 3.3), (1.3, 1.1, 2.0)])
@pytest.mark.parametrize("margin", [True, False])
def test_the_shape_is_the_one_that_the_pipeline_shows(tmp_path, spacing, margin):
    made = make_phantom(
        PhantomOptions(levels=("L4", "L5"), spacing=spacing, fov_mm=(60.0, 70.0, 40.0)), seed=3
    ).image
    options = Options(semantic=SemanticOptions(skip_margin=not margin))
    models = resolve_models(models_in(tmp_path))
    with Pipeline(models, options=options) as pipeline:
        box = pipeline.prepare(made).box
    shown = tuple(s.stop - s.start for s in box)
    order = models.semantic.axis_order
    assert seen_shape(models.semantic, (made.shape, made.affine), options) == tuple(shown[n] for n in order)


def test_without_a_cost_the_error_says_so(tmp_path):
    models = resolve_models(tiny_scan.write_models(tmp_path))
    with pytest.raises(ModelError, match="does not tell what its network costs"):
        next(plans(models, ((16, 40, 8), PIR)))


def test_a_header_suffices(tmp_path):
    scan = tiny_scan.write_scan(tmp_path / "x.nii.gz", axes="RAS")
    whole = read_nifti(scan)
    head = gzip.decompress(scan.read_bytes())[:600]
    (tmp_path / "head.nii").write_bytes(head)
    shape, affine = read_grid(tmp_path / "head.nii")
    assert shape == whole.shape
    np.testing.assert_array_equal(affine, whole.affine)
    with pytest.raises(TruncatedFileError):
        read_nifti(tmp_path / "head.nii")


def asked(tmp_path, *words):
    models_in(tmp_path)
    scan = tiny_scan.write_scan(tmp_path / "x.nii.gz")
    words = ["bench", "--plan", scan, "--model", tmp_path, *words]
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def test_what_fits_is_chosen_or_told(tmp_path):
    free = asked(tmp_path).output
    assert "1 at once" in free
    assert "summed in float32" in free
    ample = asked(tmp_path, "--gpu-memory", "4G").output
    assert "16 at once" in ample
    assert "--batch 16" in ample
    considered = list(plans(resolve_models(tmp_path), read_grid(tmp_path / "x.nii.gz")))
    least = considered[-1].total
    assert least == min(plan.total for plan in considered)
    assert "run --sums float16" in asked(tmp_path, "--gpu-memory", str(least)).output
    with pytest.raises(EngineError, match="does not fit into"):
        asked(tmp_path, "--gpu-memory", str(least - 1))
    assert "no size" in asked(tmp_path, "--gpu-memory", "much").output
