"""N4 against its slow twin, against ANTs where it is installed, and against what ANTs answered once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import reference_n4
from spineps_rt.errors import ContractError, EmptyImageError, GeometryError, NotFiniteError
from spineps_rt.stages.n4.bias_field import correct_bias_field, mask_box, n4_bias_field
from spineps_rt.stages.n4.sample_grid import lay_axes
from spineps_rt.stages.n4.settings import N4Settings

RECORDED = Path(__file__).parent / "n4_ants_field.npz"
"""Log fields of antspyx 0.6.3, every fourth voxel along each axis."""
SCANS = {
    "slices of 3.3 mm": ((41, 62, 9), np.array([[0, 0, 3.3, -40], [-2.3, 0, 0, 17], [0, -1.7, 0, 55.5]])),
    "padded by 47": ((60, 40, 18), np.array([[0.9375, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0.9, 0]])),
    "several spans": ((70, 110, 12), np.array([[-2.0, 0, 0, 3], [0, 3.1, 0, 4], [0, 0, 4.0, 5]])),
}
FEW = N4Settings(spline_mm=30, shrink=3, iterations=(3, 2), threshold=0.0)


def scan(name):
    """Small phantom with a rim of background, and its affine."""
    shape, rows = SCANS[name]
    image = reference_n4.phantom(shape, seed=len(name))
    image[:4] = 0
    return image, np.vstack([rows, [0, 0, 0, 1]])


def log_difference(field, expected_log, box=...):
    return float(np.sqrt(np.mean((np.log(field[box]) - expected_log[box]) ** 2)))


def test_field_equals_the_scattered_fit():
    image, affine = reference_n4.phantom((14, 17, 5), seed=3), np.diag([2.0, 3.0, 4.0, 1])
    axes = lay_axes(image.shape, affine, (slice(0, 14), slice(0, 17), slice(0, 5)), FEW)
    logs = np.log(image[np.ix_(*(axis.samples for axis in axes))].astype(float))
    spans = [axis.spans for axis in axes]
    fields = reference_n4.n4(logs, [axis.sampled for axis in axes], spans, FEW.iterations, (200, 0.15, 0.01))
    expected = reference_n4.total(fields, [axis.voxels for axis in axes], spans)
    assert expected.std() > 0.01
    assert log_difference(n4_bias_field(image, affine=affine, settings=FEW), expected) < 1e-5


@pytest.mark.parametrize("name", SCANS)
def test_field_is_the_one_that_ants_gave(name):
    image, affine = scan(name)
    field = n4_bias_field(image, affine=affine)
    box = mask_box(image, 60)
    expected = np.load(RECORDED)[name]
    coarse = np.zeros(image.shape, bool)
    coarse[box] = True
    inside = coarse[::4, ::4, ::4]
    assert expected[inside].std() > 0.1
    assert log_difference(field[::4, ::4, ::4], expected, inside) < 1e-3


@pytest.mark.parametrize("name", SCANS)
def test_field_is_the_one_that_ants_gives(name):
    pytest.importorskip("ants")
    from benchmarks.n4_rivals import ants_field  # noqa: PLC0415
    from spineps_rt.volume import Volume  # noqa: PLC0415

    image, affine = scan(name)
    box = mask_box(image, 60)
    expected = np.log(ants_field(Volume(image, affine), box))
    assert log_difference(n4_bias_field(image, affine=affine), expected, box) < 1e-3


def test_correcting_divides_by_the_field_inside_the_mask_only():
    image, affine = scan("padded by 47")
    image[:4] = 59
    field, corrected = n4_bias_field(image, affine=affine), image.copy()
    correct_bias_field(corrected, affine=affine)
    np.testing.assert_allclose(corrected, image / field, rtol=1e-6)
    np.testing.assert_array_equal(corrected[:4], image[:4])
    np.testing.assert_array_equal(field[:4], 1)
    assert field.dtype == np.float32


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.repeat(a, 2, axis=2)[:, :, ::2]])
def test_memory_layout_does_not_matter(layout):
    image, affine = scan("padded by 47")
    other = layout(image)
    correct_bias_field(image, affine=affine)
    correct_bias_field(other, affine=affine)
    np.testing.assert_array_equal(other, image)


def test_a_smooth_gain_is_mostly_removed():
    rng = np.random.default_rng(9)
    tissue = (150 + 250 * (rng.random((40, 50, 20)) > 0.5)).astype(np.float32)
    gain = np.exp(np.linspace(-0.5, 0.5, 40, dtype=np.float32))[:, None, None]
    image = tissue * gain
    # all voxels and two levels: of few samples, fine splines would follow this tissue's noise, as ANTs' do
    settings = N4Settings(shrink=1, iterations=(50, 50))
    correct_bias_field(image, affine=np.diag([3.0, 3, 4, 1]), settings=settings)
    left = np.log(image / tissue).std()
    assert left < 0.2 * np.log(gain).std()


@pytest.mark.parametrize("shape", [(20, 24, 8), (1, 1, 1), (2, 3, 1)])
def test_a_constant_image_has_no_field(shape):
    image = np.full(shape, 200, np.float32)
    np.testing.assert_array_equal(n4_bias_field(image, affine=np.eye(4)), 1)


@pytest.mark.parametrize("shape", [(30, 40, 1), (1, 40, 30), (2, 2, 2), (5, 1, 9)])
def test_a_thin_image_gets_a_finite_field(shape):
    field = n4_bias_field(reference_n4.phantom(shape, seed=2), affine=np.diag([2.0, 2, 4, 1]))
    assert np.isfinite(field).all()
    assert (field > 0.2).all()
    assert (field < 5).all()


def test_a_mask_between_the_samples_has_no_field():
    image = np.zeros((20, 24, 8), np.float32)
    image[11, 12, 3] = 500
    np.testing.assert_array_equal(n4_bias_field(image, affine=np.eye(4)), 1)


def test_zeros_and_negatives_count_as_ones():
    image, affine = scan("padded by 47")
    image[10:50:3, ::4] = 0
    negative, ones = (np.where(image == 0, value, image).astype(np.float32) for value in (-300, 1))
    for other in (negative, ones):
        np.testing.assert_array_equal(
            n4_bias_field(other, affine=affine, settings=N4Settings(iterations=(5,))),
            n4_bias_field(image, affine=affine, settings=N4Settings(iterations=(5,))),
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value):
    image, affine = scan("padded by 47")
    image[5, 5, 5] = value
    with pytest.raises(NotFiniteError, match="NaN or infinity"):
        correct_bias_field(image, affine=affine)


@pytest.mark.parametrize("top", [59.9, -5.0])
def test_an_image_below_the_threshold_is_refused(top):
    with pytest.raises(EmptyImageError, match="No voxel reaches 60"):
        n4_bias_field(np.full((4, 4, 4), top, np.float32), affine=np.eye(4))


def test_the_threshold_itself_is_signal():
    image = np.zeros((6, 6, 6), np.float32)
    image[2:4, 1, 5] = 60
    assert mask_box(image, 60) == (slice(2, 4), slice(1, 2), slice(5, 6))


@pytest.mark.parametrize(
    "settings",
    [
        N4Settings(iterations=()),
        N4Settings(iterations=(5, -1)),
        N4Settings(shrink=0),
        N4Settings(spline_mm=0),
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ContractError):
        n4_bias_field(scan("padded by 47")[0], affine=np.eye(4), settings=settings)


def test_arrays_and_affines_that_are_none_are_refused():
    with pytest.raises(ContractError, match="3-D float32"):
        n4_bias_field(np.zeros((3, 3, 3)), affine=np.eye(4))
    with pytest.raises(ContractError, match="3-D float32"):
        n4_bias_field(np.zeros((3, 3), np.float32), affine=np.eye(4))
    with pytest.raises(GeometryError):
        n4_bias_field(scan("padded by 47")[0], affine=np.zeros((4, 4)))


def test_a_level_ends_when_the_field_stands_still():
    image, affine = scan("padded by 47")
    once = n4_bias_field(image, affine=affine, settings=N4Settings(iterations=(1,)))
    loose = n4_bias_field(image, affine=affine, settings=N4Settings(iterations=(50,), convergence=1.0))
    np.testing.assert_array_equal(once, loose)
