"""The snapshot: cuts that follow the spine, right way round, in millimetres."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tiny_scan
from spineps_rt.report.colours import instance_colour, structure_colour
from spineps_rt.report.cuts import cut_along, find_centreline
from spineps_rt.report.drawing import AMBER, Name, fitting, font, overlay, write_names
from spineps_rt.report.snapshot import Caption, render_snapshot
from spineps_rt.volume import Volume, reorient

CAPTION = Caption("sub-x_T2w.nii.gz", "C2 to C6", "spineps-rt")


def amber(pixels):
    return (np.abs(pixels.astype(int) - AMBER) < 30).all(axis=-1).sum()


def test_doubtful_vertebrae_are_outlined_and_reasons_are_written():
    image, semantic, instances = scoliosis()
    volumes = [Volume(array, np.diag([1.0, -1.0, 1.0, 1.0])) for array in (image, semantic, instances)]
    pages = [
        np.asarray(Image.open(io.BytesIO(render_snapshot(*volumes, caption=replace(CAPTION, **doubt)))))
        for doubt in ({}, {"doubtful": [22]}, {"reasons": ["check: L1 is low"]}, {"reasons": ["check"] * 12})
    ]
    counts = [amber(page) for page in pages]
    assert counts[0] < 20
    assert counts[1] > counts[0] + 200
    assert counts[2] > counts[0] + 50
    assert [page.shape[0] - pages[0].shape[0] for page in pages] == [0, 0, 24, 24 * 9]


def test_a_long_reason_is_cut_to_the_page():
    text = fitting("word " * 200, 300, size=17)
    assert font(17).getlength(text) <= 300 and text.endswith("…")
    assert fitting("short", 300, size=17) == "short"


def scoliosis():
    """A spine whose bodies wander to the right as it goes down; the image holds R + 100 * P."""
    semantic = np.zeros((30, 120, 40), np.uint8)
    instances = np.zeros(semantic.shape, np.uint16)
    for k in range(6):
        box = np.s_[10:18, 4 + 20 * k : 16 + 20 * k, 4 + 5 * k : 11 + 5 * k]
        semantic[box], instances[box] = 49, 20 + k if k < 5 else 26
    p, _, r = np.indices(semantic.shape)
    return (r + 100 * p).astype(np.float32), semantic, instances


def test_centreline_follows_the_bodies():
    _, semantic, instances = scoliosis()
    line = find_centreline(semantic, instances, spacing=1.0)
    rows = np.arange(9, 110)
    true = 7 + 5 * (rows - 9.5) / 20
    assert np.abs(line.right[rows] - true)[12:-12].max() < 0.3
    assert line.posterior == pytest.approx(np.full(120, 13.5))
    assert line.vertebrae[20] == (13.5, 9.5, 7.0)
    assert sorted(line.vertebrae) == [20, 21, 22, 23, 24, 26]


def test_name_stands_on_the_body_not_on_the_whole_vertebra():
    _, semantic, instances = scoliosis()
    semantic[25:28, 4:16, 4:11], instances[25:28, 4:16, 4:11] = 42, 20
    assert find_centreline(semantic, instances, spacing=1.0).vertebrae[20] == (13.5, 9.5, 7.0)


def test_empty_masks_have_a_straight_centreline():
    line = find_centreline(np.zeros((8, 20, 6), np.uint8), np.zeros((8, 20, 6), np.uint16), spacing=1.0)
    assert line.right == pytest.approx(np.full(20, 3.0))
    assert line.vertebrae == {}


def test_sagittal_cut_samples_each_row_at_its_centre():
    volumes = scoliosis()
    centres = np.linspace(2, 30, 120)
    cut = cut_along(volumes, centres, axis=2, spacing=(1.0, 2.0, 3.0))
    assert cut.image.shape == (120, 30)
    assert cut.image == pytest.approx(centres[:, None] + 100 * np.arange(30)[None], abs=1e-3)
    nearest = np.rint(centres).astype(int)
    assert np.array_equal(cut.instances[50], volumes[2][:, 50, nearest[50]])
    assert cut.spacing == (2.0, 1.0)


def test_coronal_cut_shows_the_patients_right_on_the_left():
    volumes = scoliosis()
    cut = cut_along(volumes, np.full(120, 13.25), axis=0, spacing=(1.0, 2.0, 3.0))
    assert cut.image == pytest.approx(np.broadcast_to(1325 + np.arange(40)[None, ::-1], (120, 40)), abs=1e-2)
    assert np.array_equal(cut.semantic, volumes[1][13, :, ::-1])
    assert cut.spacing == (2.0, 3.0)


def test_centres_outside_the_grid_are_drawn_in():
    cut = cut_along(scoliosis(), np.full(120, 99.0), axis=2, spacing=(1.0, 1.0, 1.0))
    assert cut.image[0, 0] == 39


def test_single_slice_can_be_cut():
    thin = tuple(volume[:, :, 5:6] for volume in scoliosis())
    assert cut_along(thin, np.zeros(120), axis=2, spacing=(1.0, 1.0, 4.0)).image[3, 2] == 205


def volumes(axes="PIR"):
    truth = tiny_scan.labels()
    rows = np.arange(truth.shape[1])[None, :, None]
    instances = np.where(np.isin(truth, (41, 42, 49)), 2 + (rows - 10) // tiny_scan.BAND, 0)
    instances[truth == 26] = 26
    arrays = (tiny_scan.image(truth).astype(np.float32), truth, instances.astype(np.uint16))
    return [reorient(Volume(array, tiny_scan.PIR), axes) for array in arrays]


def test_snapshot_does_not_depend_on_the_scans_orientation():
    assert render_snapshot(*volumes(), caption=CAPTION) == render_snapshot(*volumes("LSA"), caption=CAPTION)


def test_snapshot_shows_the_scan_in_millimetres():
    image = Image.open(io.BytesIO(render_snapshot(*volumes(), caption=CAPTION)))
    assert image.format == "PNG"
    pixels = np.asarray(image.convert("RGB")).astype(int)
    background = (np.abs(pixels - np.array([13, 15, 18])).sum(2) > 0).sum()
    assert background > pixels[..., 0].size / 4
    # the three sagittal panels are 48 mm wide and 108 mm high, at 4 pixels per mm
    row = pixels[330]
    ground = (np.abs(row - np.array([13, 15, 18])).sum(1) == 0).astype(int)
    edges = np.flatnonzero(np.diff(ground)) + 1
    widths = np.diff(edges)[::2]
    assert list(widths[:3]) == [192, 192, 192]
    assert list(widths[3:]) == [96, 96, 96]


def test_snapshot_without_any_mask_still_shows_the_scan():
    image, semantic, instances = volumes()
    blank = [volume.with_array(np.zeros_like(volume.array)) for volume in (semantic, instances)]
    assert Image.open(io.BytesIO(render_snapshot(image, *blank, caption=CAPTION))).size[0] > 900


def test_overlay_colours_the_inside_and_leaves_the_outside():
    panel = Image.new("RGB", (80, 80), (100, 100, 100))
    labels = np.zeros((20, 20), np.uint16)
    labels[5:15, 5:15] = 22
    drawn = np.asarray(overlay(panel, labels, lambda _: (255, 0, 0))).astype(int)
    assert np.array_equal(drawn[2, 2], (100, 100, 100))
    assert drawn[40, 40, 0] > 150 > drawn[40, 40, 1]
    edge = drawn[40, 18:23]
    assert edge[:, 0].max() > 200  # a line where the label ends


def test_crowded_names_move_to_the_edge():
    def ink(names):
        panel = Image.new("RGB", (200, 200))
        write_names(panel, names, size=16)
        return np.asarray(panel).max(2) > 200

    apart = ink([Name("L1", 120, 50, (9, 9, 9)), Name("L2", 120, 150, (9, 9, 9))])
    crowded = ink([Name("L1", 120, 50, (9, 9, 9)), Name("L2", 120, 55, (9, 9, 9))])
    assert not apart[:, :50].any()
    assert crowded[:, :50].any()


def test_colours_tell_neighbours_apart():
    for first in range(1, 26):
        difference = np.abs(np.subtract(instance_colour(first), instance_colour(first + 1))).max()
        assert difference > 60, first
    assert instance_colour(77) == (160, 160, 160)
    assert structure_colour(52) != structure_colour(53)
