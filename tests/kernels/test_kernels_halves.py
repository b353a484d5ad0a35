"""Rounding to float16 and measuring in one pass, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from spineps_rt.errors import ContractError, NotFiniteError
from spineps_rt.inference.normalise import measured, normalise
from spineps_rt.kernels.halves import round_and_measure

RNG = np.random.default_rng(11)


def as_image(values):
    return np.ascontiguousarray(np.resize(np.asarray(values, np.float32), (3, 5, len(values))))


IMAGES = {
    "a scan": RNG.integers(0, 4000, (7, 33, 29)).astype(np.float32),
    "fractions": RNG.normal(0, 300, (5, 17, 9)).astype(np.float32),
    "small": RNG.normal(0, 1e-6, (5, 17, 9)).astype(np.float32),
    "ties": as_image([2049, 2051, 4098, 4102, 2**-25, 3 * 2**-25, 2**-24, 1 + 2**-11, 1 + 3 * 2**-11]),
    "beyond": as_image([65503, 65504, 65519.9, 65520, 70000, -1e30, -65520, 0, -0.0]),
    "edges": as_image([2**-14, 2**-14 - 2**-25, -(2**-14), 2**-24, 1e-45, 6e-8]),
    "constant": np.full((2, 3, 4), 1234.5, np.float32),
}


def with_numpy(image):
    largest = float(np.finfo(np.float16).max)
    return np.clip(image, -largest, largest).astype(np.float16)


@pytest.mark.parametrize("name", IMAGES)
def test_as_numpy_rounds_and_measures(name):
    image = IMAGES[name]
    halves, mean, variance, odd = round_and_measure(image)
    expected = with_numpy(image)
    np.testing.assert_array_equal(halves.view(np.uint16), expected.view(np.uint16))
    exact = expected.astype(np.float64)
    assert mean == pytest.approx(exact.mean(), rel=1e-12, abs=1e-12)
    assert variance == pytest.approx(exact.var(), rel=1e-9, abs=1e-18)
    assert odd == 0


def test_every_float16_stays_itself():
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)].astype(np.float32).reshape(2, 31, -1)
    np.testing.assert_array_equal(round_and_measure(finite)[0].astype(np.float32), finite)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_counted(value):
    image = np.ones((2, 3, 4), np.float32)
    image[1, 2, 0] = value
    assert round_and_measure(image)[3] == 1
    with pytest.raises(NotFiniteError, match="NaN or infinity"):
        measured(image, "zscore")


def test_a_device_gets_what_the_host_computes_with():
    for image in (IMAGES["a scan"].transpose(2, 0, 1), IMAGES["a scan"].astype(np.int16)):
        values, (mean, deviation) = measured(image, "zscore")
        rounded = with_numpy((values.astype(np.float32) - np.float32(mean)) / np.float32(deviation))
        np.testing.assert_array_equal(rounded.astype(np.float32), normalise(image, "zscore"))
        assert values.flags.c_contiguous
    large = np.full((2, 2, 2), 1e300)
    large[0] = 1
    assert np.isfinite(measured(large, "zscore")[0]).all()  # clipped, as normalise does


@pytest.mark.parametrize("image", [np.ones((2, 3), np.float32), np.ones((2, 3, 4)), np.ones((0, 3, 4), "f4")])
def test_other_arrays_are_refused(image):
    with pytest.raises(ContractError, match="expected contiguous float32"):
        round_and_measure(image)
