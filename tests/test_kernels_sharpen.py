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
