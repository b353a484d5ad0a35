"""B-spline lattices against scipy and against sums over points."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

import reference_n4
from spineps_rt.errors import ContractError
from spineps_rt.kernels import lattice as splines

SPANS, LINES = (2, 1, 3), (np.linspace(0, 2, 6), np.array([0.3]), np.array([0, 0.5, 2.9, 3.0]))


def nodes(dtype=np.float32):
    return np.random.default_rng(1).normal(size=[n + 3 for n in SPANS]).astype(dtype)


def taps():
    return [splines.taps(line, n) for line, n in zip(LINES, SPANS)]


@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, np.float64])
def test_values_are_scipys(make):
    lattice = nodes()
    expected = lattice.astype(float)
    for axis, (line, n) in enumerate(zip(LINES, SPANS)):
        spline = BSpline(np.arange(-3.0, n + 4), np.moveaxis(expected, axis, 0), 3)
        expected = np.moveaxis(spline(line), 0, axis)
    found = splines.evaluate(make(lattice), taps())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_projection_sums_over_points():
    values = np.random.default_rng(2).normal(size=[len(line) for line in LINES]).astype(np.float32)
    expected = np.zeros([n + 3 for n in SPANS])
    for value, (where, weights) in zip(values.ravel(), reference_n4.weigh_points(LINES, SPANS)):
        expected[where] += value * weights
    np.testing.assert_allclose(splines.project(values, taps()), expected, atol=1e-6)


def test_refining_keeps_the_spline():
    fine = [splines.taps(line * 2, n * 2) for line, n in zip(LINES, SPANS)]
    refined = splines.refine(nodes())
    assert refined.shape == tuple(2 * n + 3 for n in SPANS)
    np.testing.assert_allclose(splines.evaluate(refined, fine), splines.evaluate(nodes(), taps()), atol=1e-6)


def test_further_axes_are_carried_along():
    found = splines.evaluate(nodes(), taps()[:1])
    for i in range(4):
        np.testing.assert_array_equal(found[:, i], splines.evaluate(nodes()[:, i], taps()[:1]))


def test_no_sample_gives_zeros_and_beyond_the_edge_the_edge_counts():
    none = [splines.taps(np.zeros(0), 2)]
    assert splines.evaluate(np.ones(5), none).shape == (0,)
    np.testing.assert_array_equal(splines.project(np.ones(0), none), np.zeros(5))
    edge, beyond = (splines.taps(np.array(at), 2) for at in ([0.0, 2.0], [-1.0, 9.0]))
    np.testing.assert_array_equal(edge.weights, beyond.weights)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ContractError, match="at least one span"):
        splines.taps(np.zeros(2), 0)
    with pytest.raises(ContractError, match="lattice has shape"):
        splines.evaluate(np.zeros((2, 2, 2)), taps())
    with pytest.raises(ContractError, match="grid of values has shape"):
        splines.project(np.zeros((2, 2, 2)), taps())
