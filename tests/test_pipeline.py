"""The whole way on tiny real models: exact answers in every orientation, and every refusal."""

from __future__ import annotations

import contextlib
import hashlib
import weakref

import numpy as np
import pytest

import tiny_models
import tiny_scan
from spineps_rt.errors import (
    ContractError,
    EmptyImageError,
    EngineError,
    GeometryError,
    ModelError,
    NoSpineError,
    NotFiniteError,
)
from spineps_rt.inference.networks import open_predictors
from spineps_rt.io.nifti import read_nifti
from spineps_rt.models import resolve_models
from spineps_rt.options import DEVICES, EngineOptions, Options
from spineps_rt.pipeline import Pipeline, segment
from spineps_rt.volume import Volume, reorient

STAGES = (
    "read",
    "preprocess",
    "semantic",
    "clean",
    "instance",
    "resample",
    "reconcile",
    "labeling",
    "points",
    "quality",
)
OPTIONS = Options(engine=EngineOptions("onnx", threads=1))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tiny_scan.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def pipeline(models):
    with Pipeline(models, options=OPTIONS) as opened:
        yield opened


def expected_instances() -> np.ndarray:
    truth = tiny_scan.labels()
    answer = np.zeros(truth.shape, np.uint16)
    for k in range(tiny_scan.N_VERTEBRAE):
        rows = slice(10 + tiny_scan.BAND * k, 10 + tiny_scan.BAND * (k + 1))
        part = truth[:, rows]
        answer[:, rows][np.isin(part, (41, 42, 49))] = 20 + k
        answer[:, rows][part == 100] = 120 + k
    answer[truth == 26] = 26
    return answer


@pytest.mark.parametrize("axes", ["PIR", "LAS", "RSA"])
def test_masks_equal_the_truth_in_any_orientation(pipeline, tmp_path, axes):
    path = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz", axes=axes)
    scan = read_nifti(path)
    result = pipeline.run(path)
    for volume, truth in ((result.semantic, tiny_scan.labels()), (result.instances, expected_instances())):
        assert volume.shape == scan.shape
        assert np.array_equal(volume.affine, scan.affine)
        turned = reorient(volume, "PIR")
        assert np.array_equal(turned.array, truth)
    assert (result.semantic.array.dtype, result.instances.array.dtype) == (np.uint8, np.uint16)


def test_result_tells_what_was_found_and_how(pipeline, models, tmp_path):
    path = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    seen = []
    result = pipeline.run(path, progress=lambda stage, fraction: seen.append((stage, fraction)))
    assert result.vertebrae == ("L1", "L2", "L3", "L4", "L5", "S1")
    counts = np.bincount(expected_instances().ravel())
    assert result.volumes == pytest.approx({v: counts[v] * 2 / 1000 for v in np.nonzero(counts)[0] if v})
    assert result.centroids.points[20, 50] == pytest.approx((15.5, 15.5, 5.5))
    assert tuple(result.seconds) == STAGES
    assert result.peak_bytes > 1 << 20
    assert [network.kind for network in result.networks] == ["semantic", "instance"]
    graph = (models / "semantic" / "model.onnx").read_bytes()
    assert result.networks[0].sha256 == hashlib.sha256(graph).hexdigest()
    assert "CPU" in result.networks[0].provider
    again = pipeline.run(path)
    assert [n.samples for n in again.networks] == [n.samples for n in result.networks]
    assert result.networks[1].samples == tiny_scan.N_VERTEBRAE
    assert result.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert result.warnings == ()
    for stage in STAGES:
        fractions = [fraction for name, fraction in seen if name == stage]
        assert (fractions[0], fractions[-1]) == (0, 1)
        assert fractions == sorted(fractions)
    assert len([1 for name, _ in seen if name == "semantic"]) > 2


def test_one_pipeline_answers_alike_every_time(pipeline, tmp_path):
    path = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    first, second = pipeline.run(path), pipeline.run(read_nifti(path))
    assert np.array_equal(first.instances.array, second.instances.array)
    assert second.source.sha256 is None


def test_other_spacing_comes_back_to_the_scans_grid(pipeline):
    truth = tiny_scan.labels().repeat(2, axis=0)
    affine = tiny_scan.PIR @ np.diag([0.5, 1, 1, 1])
    result = pipeline.run(Volume(tiny_scan.image(truth).astype(np.float32), affine))
    assert result.semantic.shape == truth.shape
    body, found = truth == 49, result.semantic.array == 49
    assert 2 * (body & found).sum() / (body.sum() + found.sum()) > 0.9


def test_segment_is_the_pipeline_in_one_call(models):
    result = segment(
        Volume(tiny_scan.image().astype(np.float32), tiny_scan.PIR), model=models, options=OPTIONS
    )
    assert np.array_equal(result.instances.array, expected_instances())


def test_name_that_contradicts_the_model_is_a_warning(pipeline, tmp_path):
    (warning,) = pipeline.run(tiny_scan.write_scan(tmp_path / "sub-x_T1w.nii.gz")).warnings
    assert "T1w" in warning
    assert "T2w" in warning


AXIAL = np.array([[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]], float)


def test_another_plane_is_refused_unless_allowed(pipeline, models):
    scan = Volume(tiny_scan.image().astype(np.float32), AXIAL)
    with pytest.raises(GeometryError, match=r"axial.*sagittal.*any-plane"):
        pipeline.run(scan)
    allowed = Options(engine=OPTIONS.engine, any_plane=True)
    assert segment(scan, model=models, options=allowed).semantic.shape == scan.shape


@pytest.mark.parametrize(
    ("value", "error"), [(np.nan, NotFiniteError), (np.inf, NotFiniteError), (None, EmptyImageError)]
)
def test_volume_in_memory_is_checked(pipeline, value, error):
    array = tiny_scan.image().astype(np.float32)
    if value is None:
        array[:] = 7
    else:
        array[3, 4, 5] = value
    with pytest.raises(error):
        pipeline.run(Volume(array, tiny_scan.PIR))


def test_background_everywhere_is_an_error(tmp_path):
    blind = tiny_scan.write_models(tmp_path, levels=[0.0] + [1e3] * len(tiny_scan.LABELS))
    with pytest.raises(NoSpineError, match="spine"):
        segment(Volume(tiny_scan.image().astype(np.float32), tiny_scan.PIR), model=blind, options=OPTIONS)


def test_no_vertebra_around_bodies_is_an_error(tmp_path):
    models = tiny_scan.write_models(tmp_path)
    tiny_models.edit_manifest(models / "instance", mapping={"49": 0})  # sees nothing, answers nothing
    with pytest.raises(NoSpineError, match="no vertebra around the bodies"):
        segment(Volume(tiny_scan.image().astype(np.float32), tiny_scan.PIR), model=models, options=OPTIONS)


def test_network_that_answers_nan_is_an_error(tmp_path):
    field = np.zeros((1, len(tiny_scan.LABELS) + 1, *tiny_scan.PATCH), np.float32)
    field[0, 2, 3, 4, 5] = np.nan
    sick = tiny_scan.write_models(tmp_path, field=field)
    with pytest.raises(NotFiniteError):
        segment(Volume(tiny_scan.image().astype(np.float32), tiny_scan.PIR), model=sick, options=OPTIONS)


def test_missing_model_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="no-such-model"):
        Pipeline("no-such-model")


def test_every_device_can_be_asked_for(models):
    for device in DEVICES:
        may_lack = device not in ("auto", "cpu", "onnx")
        with contextlib.suppress(EngineError) if may_lack else contextlib.nullcontext():
            Pipeline(models, options=Options(engine=EngineOptions(device))).close()
    with pytest.raises(EngineError, match="quantum"):
        Pipeline(models, options=Options(engine=EngineOptions("quantum")))


def test_networks_of_ones_own_stay_open_and_take_no_model(models):
    with open_predictors(resolve_models(models), OPTIONS.engine) as networks:
        scan = Volume(tiny_scan.image().astype(np.float32), tiny_scan.PIR)
        results = []
        for _ in range(2):
            with Pipeline(options=OPTIONS, predictors=networks) as pipeline:
                results.append(pipeline.run(scan))
        with pytest.raises(ContractError, match="pass one of them"):
            Pipeline(models, predictors=networks)
    assert np.array_equal(results[0].instances.array, results[1].instances.array)
    with pytest.raises(EngineError, match="closed"):
        Pipeline(options=OPTIONS, predictors=networks).run(scan)


def test_what_is_used_up_lets_go_of_its_arrays(models):
    with Pipeline(models, options=OPTIONS) as pipeline:
        prepared = pipeline.prepare(Volume(tiny_scan.image().astype(np.float32), tiny_scan.PIR))
        shown = weakref.ref(prepared.network_input[0])
        predicted = pipeline.predict(prepared)
        assert shown() is None
        masks = [weakref.ref(mask) for mask in predicted.masks]
        pipeline.finish(predicted)
        assert [mask() for mask in masks] == [None, None]
