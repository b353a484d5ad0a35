"""Grids in space. The pinned numbers were computed by TPTBox 1.1.0 on the same input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from nibabel import eulerangles, orientations
from scipy import ndimage

from spineps_rt import errors
from spineps_rt.geometry import plane_of
from spineps_rt.volume import (
    Volume,
    bounding_box,
    crop,
    padded,
    reorient,
    resample_to,
    rescale,
)

SHAPE = (4, 3, 2)
IMAGE = (np.arange(24).reshape(SHAPE) * 37 % 101).astype(np.float32)
LABELS = (np.arange(24).reshape(SHAPE) * 5 % 7).astype(np.uint8)
AFFINE = np.array(
    [
        [0.28962947762551555, 0.07338850211728315, 2.866009467376818, -20.0],
        [-0.9362933635841992, -0.23724507622335927, 0.8865606199840186, 30.0],
        [0.19866933079506122, -1.225083222301552, 0.0, 40.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)  # 1 x 1.25 x 3 mm, sagittal, oblique
FOREIGN = np.array([[0, 0, -2, -16], [0, -1.5, 0, 31], [-1, 0, 0, 40], [0, 0, 0, 1.0]])
ALL_CODES = [
    "".join(side[turn] for side, turn in zip(axes, turns))
    for axes in itertools.permutations(("RL", "AP", "SI"))
    for turns in itertools.product((0, 1), repeat=3)
]

RESCALED_AFFINE = [
    [0.23170358210041245, 0.08806620254073978, 1.9106729782512122, -20],
    [-0.7490346908673594, -0.2846940914680311, 0.5910404133226791, 30],
    [0.158935464636049, -1.4700998667618623, 0, 40],
    [0, 0, 0, 1],
]
RESCALED_IMAGE = [
    [[4.81903505e-14, 25.6698475, 40.9406967], [75.9560013, 37.0391045, 13.8876543]],
    [[15.4350815, 41.1049271, 56.3757782], [99.0652924, 45.176548, 13.118433]],
    [[31.9058475, 57.575695, 72.8465424], [52.1614914, 39.350563, 31.729414]],
    [[49.2239914, 74.893837, 90.1646881], [15.7011662, 41.5193787, 56.8784866]],
    [[61.3920174, 87.0618668, 102.332718], [28.3210545, 53.4208946, 68.3526535]],
]
RESCALED_LABELS = [
    [[0, 5, 5], [3, 1, 1]],
    [[2, 0, 0], [5, 3, 3]],
    [[4, 2, 2], [0, 5, 5]],
    [[4, 2, 2], [0, 5, 5]],
    [[6, 4, 4], [2, 0, 0]],
]
FOREIGN_IMAGE = [
    [[42.688892, 27.39688, -2.7037666], [68.29539, 45.893406, 12.0752]],
    [[2.0617461, 17.829683, 49.117626], [34.264175, 54.996395, 79.28371]],
    [[57.074093, 51.465847, 69.41038], [-4.7611423, 42.8402, 62.987984]],
]
FOREIGN_LABELS = [[[5, 5, 0], [2, 0, 0]], [[1, 1, 3], [3, 3, 3]], [[4, 4, 3], [6, 6, 6]]]
EDGE_LABELS = [
    [[0, 0], [3, 3], [3, 3]],
    [[0, 0], [3, 3], [3, 3]],
    [[2, 2], [5, 5], [5, 5]],
    [[4, 4], [0, 0], [0, 0]],
]
SLA_AFFINE = [
    [-0.07338850211728315, -2.866009467376818, -0.28962947762551555, -16.11832509551207],
    [0.23724507622335927, -0.8865606199840186, 0.9362933635841992, 27.603190376784703],
    [1.225083222301552, 0.0, -0.19866933079506122, 38.14584154778208],
    [0.0, 0.0, 0.0, 1.0],
]


@pytest.fixture(autouse=True)
def inputs_stay_as_they_are():
    before = IMAGE.copy(), LABELS.copy(), AFFINE.copy()
    yield
    for array, copy in zip((IMAGE, LABELS, AFFINE), before):
        np.testing.assert_array_equal(array, copy)


def image() -> Volume:
    return Volume(IMAGE, AFFINE, header="kept")


def labels() -> Volume:
    return Volume(LABELS, AFFINE)


def assert_same(one: Volume, other: Volume) -> None:
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_allclose(one.affine, other.affine, rtol=0, atol=1e-12)


def test_what_a_volume_says_of_itself():
    volume = image()
    assert (volume.shape, volume.spacing) == (SHAPE, (1.0, 1.25, 3.0))
    assert volume.orientation == ("P", "I", "R")
    changed = volume.with_array(LABELS)
    assert changed.array is LABELS
    assert changed.header == "kept"
    np.testing.assert_array_equal(changed.affine, AFFINE)


def test_a_volume_is_frozen_and_owns_its_affine():
    mine = AFFINE.copy()
    volume = Volume(IMAGE, mine)
    mine[0, 3] = 0
    np.testing.assert_array_equal(volume.affine, AFFINE)
    with pytest.raises(ValueError, match="read-only"):
        volume.affine[0, 3] = 0
    with pytest.raises(AttributeError):
        volume.array = LABELS


@pytest.mark.parametrize("array", [np.zeros((3, 3)), np.zeros((2, 2, 2, 2)), np.zeros((2, 0, 2))])
def test_arrays_that_are_no_volume(array):
    with pytest.raises(errors.DimensionError, match="three axes"):
        Volume(array, AFFINE)


def shear(angle):
    result = np.eye(4)
    result[0, 1] = np.tan(np.radians(angle))
    return result


@pytest.mark.parametrize(
    ("affine", "what"),
    [
        (np.eye(3), "4 x 4"),
        (np.diag([1, 1, 1, 2.0]), "0 0 0 1"),
        (np.diag([1, np.nan, 1, 1]), "NaN"),
        (np.diag([1, np.inf, 1, 1]), "NaN or infinity"),
        (np.diag([1, 0, 1, 1.0]), "spacing is 1 x 0 x 1 mm"),
        (np.diag([1, 1, 1000, 1.0]), "units"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "right angles"),
        (shear(2), "off right angles by 2.0 degrees"),
    ],
)
def test_affines_that_no_scan_has(affine, what):
    with pytest.raises(errors.GeometryError, match=what):
        Volume(IMAGE, affine)


def test_rounding_is_no_shear():
    assert Volume(IMAGE, shear(0.5)).shape == SHAPE
    assert Volume(IMAGE, AFFINE.astype(np.float32)).spacing == pytest.approx((1, 1.25, 3))


@pytest.mark.parametrize("codes", ALL_CODES)
def test_reorient_moves_no_voxel(codes):
    turned = reorient(image(), codes)
    assert "".join(turned.orientation) == codes
    assert turned.array.flags.c_contiguous
    for index in itertools.product(*map(range, SHAPE)):
        place = AFFINE @ (*index, 1)
        there = np.linalg.solve(turned.affine, place)[:3]
        assert turned.array[tuple(np.round(there).astype(int))] == IMAGE[index]
        np.testing.assert_allclose(there, np.round(there), atol=1e-12)
    assert_same(reorient(turned, "PIR"), image())


def test_reorient_as_tptbox():
    turned = reorient(image(), ("S", "L", "A"))
    np.testing.assert_array_equal(turned.affine, SLA_AFFINE)
    np.testing.assert_array_equal(turned.array[:, :, 0], [[43, 6], [70, 33], [97, 60]])


@pytest.mark.parametrize("codes", ["PIX", "PIP", "PA", "PIRS", "pir"])
def test_codes_that_are_no_orientation(codes):
    with pytest.raises(errors.ContractError, match="Orientation"):
        reorient(image(), codes)


def test_crop():
    box = (slice(1, 3), slice(None), slice(0, 1))
    cut = crop(image(), box)
    np.testing.assert_array_equal(cut.array, IMAGE[box])
    np.testing.assert_allclose(cut.affine[:3, 3], (AFFINE @ (1, 0, 0, 1))[:3], atol=1e-12)
    assert cut.array.flags.c_contiguous


@pytest.mark.parametrize(
    "box",
    [
        (slice(0, 5), slice(None), slice(None)),
        (slice(-2, 2), slice(None), slice(None)),
        (slice(2, 2), slice(None), slice(None)),
        (slice(0, 4, 2), slice(None), slice(None)),
        (slice(None), slice(None)),
    ],
)
def test_boxes_that_do_not_fit(box):
    with pytest.raises(errors.ContractError, match=r"[Bb]ox"):
        crop(image(), box)


def test_with_array_demands_the_shape():
    with pytest.raises(errors.ContractError, match="The grid has shape"):
        image().with_array(IMAGE[1:])


@pytest.mark.parametrize("margin", [0, 3])
@pytest.mark.parametrize("order", ["C", "F"])
def test_padded(margin, order):
    larger, inner = padded(Volume(np.asarray(IMAGE, order=order), AFFINE), margin, dtype="float64")
    expected = np.pad(IMAGE, margin)
    np.testing.assert_array_equal(larger.array, expected)
    assert larger.array.dtype == np.float64
    assert larger.array.flags.c_contiguous
    assert np.shares_memory(inner, larger.array)
    np.testing.assert_array_equal(inner, IMAGE)
    np.testing.assert_allclose(larger.affine @ [margin, margin, margin, 1], AFFINE @ [0, 0, 0, 1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ((3, 6), (2, 5), (4, 5))),
        ({"minimum": 1}, ((5, 6), (4, 5), (4, 5))),
    ],
)
def test_bounding_box(options, expected):
    array = np.zeros((9, 8, 7), np.uint8)
    array[3, 2, 4], array[5, 4, 4] = 1, 2
    assert bounding_box(array, **options) == tuple(slice(*ends) for ends in expected)


def test_bounding_box_of_nothing():
    with pytest.raises(errors.EmptyImageError, match="above 6"):
        bounding_box(LABELS, minimum=6)


def test_rescale_an_image_as_tptbox():
    result = rescale(image(), (0.8, 1.5, 2), labels=False)
    np.testing.assert_array_equal(result.affine, RESCALED_AFFINE)
    np.testing.assert_allclose(result.array, RESCALED_IMAGE, rtol=1e-5, atol=1e-5)
    assert (result.array.dtype, result.header) == (np.float32, "kept")


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32])
def test_rescale_rounds_an_integer_image_as_tptbox(dtype):
    result = rescale(Volume(IMAGE.astype(dtype), AFFINE), (0.8, 1.5, 2), labels=False)
    assert result.array.dtype == dtype
    np.testing.assert_array_equal(result.array, np.round(RESCALED_IMAGE))


def test_rescale_clips_an_integer_image_to_its_type():
    array = np.zeros((12, 2, 2), np.uint8)
    array[6:] = 255  # a spline overshoots on both sides of a step
    result = rescale(Volume(array, np.eye(4)), (0.5, 1, 1), labels=False).array
    twin = ndimage.affine_transform(array, np.diag([0.5, 1, 1]), output_shape=(24, 2, 2), mode="nearest")
    np.testing.assert_array_equal(result, twin)
    assert (result.min(), result.max()) == (0, 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rescale_labels_as_tptbox(dtype):
    result = rescale(Volume(LABELS.astype(dtype), AFFINE), (0.8, 1.5, 2), labels=True)
    np.testing.assert_array_equal(result.affine, RESCALED_AFFINE)
    np.testing.assert_array_equal(result.array, RESCALED_LABELS)
    assert result.array.dtype == dtype


def test_rescale_keeps_what_is_close_enough():
    volume = image()
    assert rescale(volume, (1.0009, 1.2495, -1), labels=False) is volume
    assert rescale(volume, (1.1, -1, -1), labels=False).spacing == (1.1, 1.25, 3.0)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, 1, -2), (1, 1, np.nan), (1, 1, np.inf)])
def test_spacings_that_are_none(spacing):
    with pytest.raises(errors.ContractError, match="spacing"):
        rescale(image(), spacing, labels=False)


def test_rescale_to_nothing():
    with pytest.raises(errors.GeometryError, match="leave none"):
        rescale(image(), (10, 1, 1), labels=False)


def test_resample_to_a_foreign_grid_as_tptbox():
    target = Volume(np.zeros((3, 2, 3), np.uint8), FOREIGN, header="theirs")
    result = resample_to(image(), target, labels=False)
    np.testing.assert_array_equal(result.affine, FOREIGN)
    np.testing.assert_allclose(result.array, FOREIGN_IMAGE, rtol=1e-5, atol=1e-5)
    assert (result.array.dtype, result.header) == (np.float32, "theirs")
    mask = resample_to(labels(), target, labels=True)
    np.testing.assert_array_equal(mask.array, FOREIGN_LABELS)
    assert mask.array.dtype == np.uint8


def test_resample_to_repeats_edges_outwards_as_tptbox():
    cut = crop(labels(), (slice(1, 4), slice(0, 2), slice(1, 2)))
    np.testing.assert_array_equal(resample_to(cut, labels(), labels=True).array, EDGE_LABELS)


@pytest.mark.parametrize("codes", ALL_CODES)
def test_resample_to_undoes_turns_and_pads_without_interpolation(codes):
    turned, _ = padded(reorient(image(), codes), 2, dtype=IMAGE.dtype)
    back = resample_to(turned, image(), labels=False)
    np.testing.assert_array_equal(back.array, IMAGE)
    np.testing.assert_array_equal(back.affine, AFFINE)
    assert back.array.flags.c_contiguous


def test_resample_to_a_grid_that_does_not_meet():
    """TPTBox clamps to the nearest edge wherever the grids lie."""
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, 0] * 50
    result = resample_to(labels(), Volume(np.zeros((2, 2, 2), np.uint8), affine), labels=True)
    np.testing.assert_array_equal(result.array, np.broadcast_to(LABELS[3, :2], (2, 2, 2)))


def test_resample_to_lands_exactly_on_the_affine_of_the_target():
    affine = AFFINE.copy()
    affine[0, 3] = np.float32(-12.195186614990234)
    target = Volume(LABELS, affine)
    there = rescale(reorient(target, "SAL"), (0.7, 0.7, 1), labels=True)
    np.testing.assert_array_equal(resample_to(there, target, labels=True).affine, affine)


@pytest.mark.parametrize(
    ("spacing", "codes", "expected"),
    [
        ((0.7, 0.7, 4), "PIR", "sag"),
        ((4, 0.7, 0.7), "LAS", "sag"),
        ((0.7, 0.7, 4), "RAS", "ax"),
        ((0.7, 4, 0.7), "RAS", "cor"),
        ((0.5, 0.9, 0.7), "RAS", "iso"),
        ((1.04, 1.0, 1.0), "RAS", "iso"),
        ((1.06, 1.0, 1.0), "RAS", "sag"),
        ((2, 2, 0.5), "RAS", "ax"),
    ],
)
def test_plane_as_tptbox(spacing, codes, expected):
    """0.5, 0.7 and 0.9 mm count as 1 mm; of two thick axes the third decides."""
    axes = np.zeros((3, 3))
    for column, (row, sign) in enumerate(orientations.axcodes2ornt(codes)):
        axes[int(row), column] = sign
    affine = np.eye(4)
    affine[:3, :3] = eulerangles.euler2mat(0.1, 0.05, -0.1) @ axes * spacing
    assert plane_of(affine) == expected
