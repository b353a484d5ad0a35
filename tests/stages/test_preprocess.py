import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import affine_transform

from spineps_rt.errors import EmptyImageError
from spineps_rt.options import PreprocessOptions
from spineps_rt.stages.n4.bias_field import correct_bias_field
from spineps_rt.stages.preprocess import preprocess, round_whole
from spineps_rt.volume import Volume, rescale

AFFINE = np.array([[0, 0, 2.0, -10], [-1.5, 0, 0, 20], [0, -1, 0, 50], [0, 0, 0, 1]])
BARE = {"pad": 0}


def volume(values, *, stored=np.float32):
    header = nib.Nifti1Header()
    header.set_data_dtype(stored)
    return Volume(np.asarray(values, np.float32), AFFINE, header)


def inside(values, **options):
    return preprocess(volume(values), PreprocessOptions(**{**BARE, **options})).array


def cube(*values):
    return np.array(values, np.float32).reshape(2, 2, -1)


def test_a_dark_image_is_only_shifted():
    np.testing.assert_array_equal(inside(cube(-5, 0, 10, 1495)), cube(0, 5, 15, 1500))


def test_a_bright_image_is_scaled_to_1500():
    np.testing.assert_array_equal(inside(cube(100, 1600, 850, 3100)), cube(0, 750, 375, 1500))


def test_scaled_whole_numbers_are_cut_off_in_double_precision():
    values = np.arange(1594, dtype=np.float32).reshape(1, -1, 1)
    whole = preprocess(volume(values, stored=np.int16), PreprocessOptions(crop=False, **BARE)).array
    factor = 1500 / np.int16(1593)  # single precision would err by one here
    np.testing.assert_array_equal(whole.ravel(), (np.arange(1594, dtype=np.int16) * factor).astype(np.int16))
    assert (inside(values, crop=False) % 1).any()


@pytest.mark.parametrize("stored", [np.int16, np.uint8, np.float32])
def test_a_resampled_scan_of_whole_numbers_is_rounded_as_scipy_rounds(stored):
    values = np.random.default_rng(2).integers(0, 250, (9, 8, 7)).astype(stored)
    values[:, :4] = 0
    scan = volume(values, stored=stored)
    fine = rescale(scan, (0.75, 1.5, 1.25), labels=False)
    round_whole(fine)
    step = np.linalg.inv(scan.affine) @ fine.affine
    expected = affine_transform(values, step[:3, :3], step[:3, 3], fine.shape, order=3, mode="nearest")
    assert expected.dtype == stored and (stored != np.int16 or expected.min() < 0)
    np.testing.assert_allclose(fine.array, expected, atol=0 if stored != np.float32 else 1e-3)


def test_the_box_of_the_signal_is_shifted_once_more():
    values = np.zeros((6, 6, 6), np.float32)
    values[1:4, 1:4, 1:4] = 50
    values[2, 2, 2] = 90
    result = inside(values)
    assert result[2, 2, 2] == 40
    assert np.count_nonzero(result) == 1
    np.testing.assert_array_equal(inside(values, crop=False), values)


def test_intensities_can_be_left_alone():
    values = cube(-5, 0, 10, 4000)
    np.testing.assert_array_equal(inside(values, normalise=False), values)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_margin_holds_the_lowest_value_and_moves_no_voxel(normalise):
    image = volume(cube(-7, 3, 1, 2))
    padded = preprocess(image, PreprocessOptions(normalise=normalise, pad=4))
    assert padded.array.dtype == np.float32
    assert padded.array.shape == (10, 10, 9)
    lowest = 0 if normalise else -7
    np.testing.assert_array_equal(padded.array[4:6, 4:6, 4:5], cube(-7, 3, 1, 2) - (-7 if normalise else 0))
    assert (padded.array == lowest).sum() == padded.array.size - 3
    np.testing.assert_array_equal(padded.affine @ [4, 4, 4, 1], AFFINE @ [0, 0, 0, 1])
    np.testing.assert_array_equal(image.array, cube(-7, 3, 1, 2))


def test_an_image_without_signal_is_an_error():
    with pytest.raises(EmptyImageError, match="all voxels are equal"):
        inside(np.full((3, 3, 3), 7.0))


def shaded(shape=(24, 30, 12)):
    rng = np.random.default_rng(5)
    gain = np.exp(np.linspace(-0.4, 0.4, shape[0]))[:, None, None]
    values = (200 + 300 * (rng.random(shape) > 0.5)) * gain + 20 * rng.random(shape)
    values[:, :3] = 0
    return np.round(values).astype(np.float32)


def test_the_bias_field_is_corrected_between_the_two_normalisations():
    values = shaded()
    expected = values[:, 3:].copy()
    affine = AFFINE.copy()
    affine[:3, 3] += 3 * AFFINE[:3, 1]
    correct_bias_field(expected, affine=affine)
    expected -= expected.min()
    found = inside(values, bias_field=True)
    np.testing.assert_array_equal(found[:, 3:], expected)
    assert not found[:, :3].any()
    assert not np.array_equal(found, inside(values))


def test_without_the_crop_or_the_normalisation_the_bias_field_is_corrected_as_well():
    values = shaded()
    expected = values.copy()
    correct_bias_field(expected, affine=AFFINE)
    np.testing.assert_array_equal(inside(values, bias_field=True, crop=False, normalise=False), expected)


def test_of_whole_numbers_what_the_correction_puts_behind_the_point_is_cut_off():
    values = shaded()
    options = PreprocessOptions(bias_field=True, crop=False, normalise=False, **BARE)
    whole = preprocess(volume(values, stored=np.int16), options).array
    np.testing.assert_array_equal(whole, np.trunc(preprocess(volume(values), options).array))


def test_an_image_too_dark_for_the_bias_correction_is_refused():
    with pytest.raises(EmptyImageError, match="No voxel reaches 60"):
        inside(shaded() / 100, bias_field=True)
