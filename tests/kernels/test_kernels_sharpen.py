"""Histogram sharpening against its slow twin."""

import numpy as np
import pytest

import reference_n4
from spineps_rt.errors import ContractError
from spineps_rt.kernels.sharpen import blur_residual

SETTINGS = {"bins": 200, "fwhm": 0.15, "noise": 0.01}


def logs(shape=(5, 6, 7)):
    rng = np.random.default_rng(4)
    return (np.where(rng.random(shape) > 0.4, 5.0, 6.2) + 0.2 * rng.normal(size=shape)).astype(np.float32)


@pytest.mark.parametrize("bins", [200, 50, 3])
@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, np.float64, lambda a: a[::2, ::-1]])
def test_residual_equals_the_twin(make, bins):
    values = make(logs())
    found = blur_residual(values, bins=bins, fwhm=0.15, noise=0.01)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, reference_n4.residual(values.astype(float), bins, 0.15, 0.01), atol=2e-5
    )


@pytest.mark.parametrize("values", [np.full((2, 3), 7.0), np.zeros((1, 1, 1)), np.zeros((0, 3, 3))])
def test_where_nothing_differs_nothing_is_left(values):
    np.testing.assert_array_equal(blur_residual(values, **SETTINGS), np.zeros(values.shape))


def test_one_bin_is_refused():
    with pytest.raises(ContractError, match="at least two bins"):
        blur_residual(logs(), bins=1, fwhm=0.15, noise=0.01)


def past_the_last_bin():
    """A float32 range whose end rounding puts past bin 199."""
    tops = np.linspace(1, 2, 1000, dtype=np.float32)
    return tops[tops / (tops / np.float32(199)) > 199][0]


def test_a_highest_value_past_the_last_bin_is_not_counted():
    top = past_the_last_bin()
    values = np.append(np.repeat(np.linspace(0, 0.9 * top, 40, dtype=np.float32), 9), top)
    width = float(top) / 199
    at = values[:-1].astype(float) / width
    counts = sum(np.bincount(at.astype(int) + k, np.abs(1 - k - at % 1), 200) for k in (0, 1))
    expected = reference_n4.expected(counts, 0.0, width, 0.15, 0.01)
    found = blur_residual(values, **SETTINGS)
    assert found[-1] == pytest.approx(top - expected[-1], abs=1e-5)
    counts[-1] += 1
    assert abs(top - reference_n4.expected(counts, 0.0, width, 0.15, 0.01)[-1] - found[-1]) > 1e-3


def test_a_value_of_which_nothing_is_known_stays():
    top = np.float32(8) * past_the_last_bin()  # far from all others, and not counted
    found = blur_residual(np.append(logs() - 5, top), **SETTINGS)
    assert np.isfinite(found).all()
    assert abs(found[-1]) < 1e-5
