"""SPINEPS's own answers, replayed: every voxel equal; and the benchmark that says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numba
import numpy as np
import pytest
from click.testing import CliRunner

from spineps_rt.options import AS_SPINEPS, ReconcileOptions
from spineps_rt.stages.instance.segment import segment_instances
from spineps_rt.stages.reconcile.reconcile import Reconciled, reconcile
from spineps_rt.volume import Volume
from stacked_bodies import by_cutouts
from tests.parity import check, golden, odd_columns, page, replay
from tests.parity.replay import RULES, CutoutError

HERE = Path(__file__).parents[1]
SCANS = ("cervical", "thoracic", "lumbar", "long", "ties")
MASKS = ("seg-spine-raw", "cutouts", "seg-vert-raw", "seg-spine", "seg-vert")


@pytest.fixture(scope="module")
def scans():
    if numba.config.DISABLE_JIT:
        pytest.skip("scans at the model's resolution take minutes without the JIT; the columns do not")
    return {name: golden.read(HERE / "golden" / f"{name}.npz") for name in SCANS}


@pytest.fixture(scope="module")
def columns():
    with np.load(HERE / "golden" / "rules.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize("name", SCANS)
def test_every_voxel_of_every_stage_equals_spineps(scans, name):
    answer = replay.replay(scans[name])
    assert tuple(answer.masks) == MASKS
    assert {mask: count.different for mask, count in answer.masks.items()} == dict.fromkeys(MASKS, 0)
    assert min(count.labelled for count in answer.masks.values()) > 5000
    assert len(answer.distances_mm) >= 3
    assert 0 < max(answer.distances_mm.values()) <= answer.tolerance_mm < 0.03


def test_a_grid_rounded_to_float32_would_be_seen(scans):
    """Half of the voxels lie halfway between two of the model's; the affine's last bits choose."""
    ties = scans["ties"]
    rounded = ties.oracle.affine.astype(np.float32).astype(float)
    np.testing.assert_allclose(rounded, ties.oracle.affine, atol=1e-5)
    masks = {name: Volume(getattr(ties, name).array, rounded) for name in golden.ON_MODEL_GRID}
    found = replay.reconciled(replace(ties, **masks), AS_SPINEPS.reconcile)
    assert np.count_nonzero(found.instances != ties.instances.array) > 1000


def reconciled(columns, case, options) -> Reconciled:
    given = (columns[f"{case.name}/given_{mask}"] for mask in ("semantic", "instances"))
    spacing = odd_columns.spacing(case)
    return reconcile(*given, spacing=spacing, orientation=tuple(case.codes), options=options)


@pytest.mark.parametrize("case", odd_columns.CASES, ids=lambda case: case.name)
def test_odd_columns_equal_spineps(columns, case):
    result = reconciled(columns, case, AS_SPINEPS.reconcile)
    np.testing.assert_array_equal(result.semantic, columns[f"{case.name}/semantic"])
    np.testing.assert_array_equal(result.instances, columns[f"{case.name}/instances"])


@pytest.mark.parametrize("rule", RULES)
def test_odd_columns_put_every_rule_to_work(columns, rule):
    options = replace(AS_SPINEPS.reconcile, **{rule: True})
    changed = 0
    for case in odd_columns.CASES:
        result = reconciled(columns, case, options)
        changed += np.count_nonzero(result.semantic != columns[f"{case.name}/semantic"])
        changed += np.count_nonzero(result.instances != columns[f"{case.name}/instances"])
    assert changed > 0


def test_odd_columns_are_what_was_recorded(columns):
    for seed, case in enumerate(odd_columns.CASES):
        semantic, instances = odd_columns.build(case, seed)
        np.testing.assert_array_equal(semantic, columns[f"{case.name}/given_semantic"])
        np.testing.assert_array_equal(instances, columns[f"{case.name}/given_instances"])


def test_by_default_no_vertebra_of_a_column_is_a_sacrum(columns):
    for case in odd_columns.CASES:
        result = reconciled(columns, case, ReconcileOptions())
        assert set(np.unique(result.semantic[result.instances == 26])) <= {26}, case.name
        assert (result.instances[result.semantic == 26] == 26).all()
    long = next(case for case in odd_columns.CASES if case.vertebrae == 27)
    spineps = columns[f"{long.name}/instances"] == 26
    assert (columns[f"{long.name}/semantic"][spineps] == 49).any()  # and SPINEPS's own are


@pytest.fixture
def thoracic(scans):
    return scans["thoracic"]


def run(tmp_path, *runs: golden.Golden):
    """Pack runs and let the benchmark read them."""
    paths = [tmp_path / f"{k}" / f"{given.name}.npz" for k, given in enumerate(runs)]
    for path, given in zip(paths, runs):
        path.parent.mkdir(exist_ok=True)
        golden.pack(given, path)
    words = [*map(str, paths), "--output", str(tmp_path / "parity.json")]
    return CliRunner().invoke(check.main, words)


def test_the_benchmark_counts_and_is_content(tmp_path, thoracic):
    answer = run(tmp_path, thoracic)
    assert answer.exit_code == 0, answer.output
    (found,) = json.loads((tmp_path / "parity.json").read_text())["runs"]
    assert found["masks"]["seg-vert"] == {
        "compared": thoracic.instances.array.size,
        "labelled": int(np.count_nonzero(thoracic.instances.array)),
        "different": 0,
    }
    assert "seg-vert-raw" in answer.output
    text = "\n".join(page.agreement(json.loads((tmp_path / "parity.json").read_text())))
    assert f"0 of {np.count_nonzero(thoracic.semantic.array):,}" in text


@pytest.mark.parametrize("mask", ["raw_semantic", "raw_instances", "semantic", "instances", "points"])
def test_one_voxel_is_a_failure_unless_it_is_listed(tmp_path, monkeypatch, thoracic, mask):
    if mask == "points":
        changed = {2: tuple(x + 0.01 for x in thoracic.points[2])}
        spoiled = replace(thoracic, points={**thoracic.points, **changed})
        expected = "the centres of vertebra 2 lie"
    else:
        volume = getattr(thoracic, mask)
        array = volume.array.copy()
        # where nothing is: a voxel of cord far from all else moves no centre and joins no bone
        array[0, 0, 0] = 60 if "semantic" in mask else 99
        spoiled = replace(thoracic, **{mask: volume.with_array(array)})
        expected = "1 voxels of seg-"
    answer = run(tmp_path, spoiled)
    assert answer.exit_code == 1
    assert expected in answer.output
    if mask == "instances":
        text = tmp_path / "parity.md"
        text.write_text(f"{check.LISTED}\n\n| thoracic | seg-vert | 1 | a reason |\n\n## Else\n")
        monkeypatch.setattr(check, "DOCS", text)
        assert run(tmp_path, spoiled).exit_code == 0


def test_a_cutout_that_spineps_never_asked_for_is_an_error(tmp_path, thoracic):
    swapped = (thoracic.cutouts[1], thoracic.cutouts[0], *thoracic.cutouts[2:])
    for cutouts in (swapped, thoracic.cutouts[:-1], (*thoracic.cutouts, "0" * 64)):
        answers = np.zeros((len(cutouts), *thoracic.answers.shape[1:]), np.uint8)
        answers[: len(thoracic.answers)] = thoracic.answers[: len(cutouts)]
        spoiled = replace(thoracic, cutouts=cutouts, answers=answers)
        with pytest.raises(CutoutError, match="cutout"):
            replay.replay(spoiled)
    answer = run(tmp_path, spoiled)
    assert answer.exit_code == 1
    assert "SPINEPS made" in answer.output


def write_folder(given: golden.Golden, folder: Path) -> None:
    """Lay a run out as SPINEPS does."""
    shown = []

    def remember(cutouts):
        shown.extend(cutouts)
        return given.answers[len(shown) - len(cutouts) : len(shown)]

    raw = given.raw_semantic
    size = given.answers.shape[1:]
    segment_instances(raw.array, spacing=raw.spacing, classify=by_cutouts(remember, size))
    deep = folder / "rawdata" / "derivatives_seg"
    deep.mkdir(parents=True)
    places = {name: deep / pattern.replace("*", "sub-x") for name, pattern in golden.MASKS.items()}
    for name, path in {**places, "oracle": folder / "oracle_sem.nii.gz"}.items():
        volume = getattr(given, name)
        nib.save(nib.Nifti1Image(volume.array, volume.affine), path)
    np.savez(folder / "cuts.npz", cuts=np.array(shown), preds=given.answers)
    points = {str(v): {"50": point} for v, point in given.points.items()}
    (deep / "sub-x_seg-spine_ctd.json").write_text(json.dumps([{}, points]))


def test_folders_are_read_and_bad_ones_are_told(tmp_path, thoracic):
    folder = tmp_path / "thoracic"
    write_folder(thoracic, folder)
    found = golden.read(folder)
    assert (found.cutouts, found.points) == (thoracic.cutouts, thoracic.points)
    for name in ("oracle", *golden.MASKS):
        np.testing.assert_array_equal(getattr(found, name).array, getattr(thoracic, name).array)
    masks = folder / "rawdata" / "derivatives_seg"
    raw, final = masks / "sub-x_seg-vert-raw_msk.nii.gz", masks / "sub-x_seg-vert_msk.nii.gz"
    whole = raw.read_bytes()
    for spoil, match in (
        (lambda: raw.write_bytes(final.read_bytes()), "has shape"),
        (lambda: raw.write_bytes(whole[:99]), "not a readable mask"),
        (raw.unlink, "0 files match"),
        (lambda: raw.write_bytes(whole), None),
        (lambda: (masks / "sub-x_seg-spine_ctd.json").write_text("[]"), "centres cannot be read"),
    ):
        spoil()
        if match is None:
            golden.read(folder)
            continue
        with pytest.raises(golden.GoldenError, match=match):
            golden.read(folder)
    answer = CliRunner().invoke(check.main, [str(folder), "--output", str(tmp_path / "p.json")])
    assert answer.exit_code == 1
    assert "centres cannot be read" in answer.output
    assert not (tmp_path / "p.json").exists()


def test_other_bad_input_is_told(tmp_path, thoracic):
    with pytest.raises(golden.GoldenError, match="no such folder"):
        golden.read(tmp_path / "nothing")
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(golden.GoldenError, match="not a recorded run"):
        golden.read(tmp_path / "x.npz")
    with pytest.raises(golden.GoldenError, match="no heading"):
        check.listed("# A page\n")
    answer = run(tmp_path, thoracic, thoracic)
    assert answer.exit_code == 1
    assert "two runs are called thoracic" in answer.output
