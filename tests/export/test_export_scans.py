"""Scans that an export tries its graphs on: used to the end, or refused by name. Needs onnx, no PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_scan
from spineps_rt.cli.main import cli
from spineps_rt.errors import EmptyImageError, GeometryError, MissingFileError, NoSpineError
from spineps_rt.export.checks import tiles
from spineps_rt.export.checks.tiles import tiles_of
from spineps_rt.models import ModelPair, load_model, resolve_models


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> ModelPair:
    return resolve_models(tiny_scan.write_models(tmp_path_factory.mktemp("models")))


@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_variants_are_tried_on_a_scan_from_the_command_to_the_manifest(tmp_path, monkeypatch, models, kind):
    monkeypatch.setattr(tiles, "default_models", lambda: models)  # which segments for an instance model
    scan = tiny_scan.write_scan(tmp_path / "scan_T2w.nii.gz", axes="RSA")
    source, output = getattr(models, kind).folder, tmp_path / "out"
    arguments = ["export", "model", str(source), "-o", str(output), "--batch", "2", "--scan", str(scan)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "b2 against float32 on 2 tiles: same class 100.0000%" in done.output
    assert load_model(output).variants["b2"].batch == 2


def test_a_tile_is_the_middle_of_a_scan_and_a_cutout_is_around_a_vertebra(tmp_path, monkeypatch, models):
    monkeypatch.setattr(tiles, "default_models", lambda: models)
    scan = tiny_scan.write_scan(tmp_path / "scan_T2w.nii.gz")
    _, tile = tiles_of(models.semantic, [scan])
    assert tile.shape == models.semantic.input.shape and tile.dtype == np.float32
    assert len(np.unique(tile)) >= 4  # body, disc, canal and background at least
    _, cutout = tiles_of(models.instance, [scan])
    assert cutout.shape == models.instance.input.shape and cutout.dtype == np.uint8
    middle = cutout[(0, 0, *(n // 2 for n in cutout.shape[2:]))]
    assert middle == models.instance.mapping[49]


@pytest.mark.parametrize(
    ("kind", "change", "error"),
    [
        ("semantic", "missing", MissingFileError),
        ("semantic", "empty", EmptyImageError),
        ("semantic", "axial", GeometryError),
        ("instance", "axial", GeometryError),
        ("instance", "spineless", NoSpineError),
    ],
)
def test_a_scan_that_cannot_be_used_is_named_and_nothing_is_written(
    tmp_path, monkeypatch, models, kind, change, error
):
    monkeypatch.setattr(tiles, "default_models", lambda: models)
    scan = tmp_path / "scan_T2w.nii.gz"
    image = tiny_scan.image()
    if change == "empty":
        tiny_scan.write_scan(scan, np.zeros_like(image))
    elif change == "axial":
        tiny_scan.write_scan(scan, affine=tiny_scan.PIR @ np.diag([1, 3, 0.5, 1]))
    elif change == "spineless":
        tiny_scan.write_scan(scan, np.where(image == tiny_scan.STEP, 0, image))  # no vertebral body
    source, output = getattr(models, kind).folder, tmp_path / "out"
    arguments = ["export", "model", str(source), "-o", str(output), "--batch", "2", "--scan", str(scan)]
    done = CliRunner().invoke(cli, arguments)
    assert type(done.exception) is error
    assert str(done.exception).startswith(f"--scan {scan} cannot be used: ")
    assert not output.exists()


def test_a_scan_without_a_variant_to_try_is_refused(tmp_path, models):
    arguments = [
        "export",
        "model",
        str(models.semantic.folder),
        "-o",
        str(tmp_path / "out"),
        "--scan",
        "scan.nii.gz",
    ]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2 and "--precision or --batch" in done.output
