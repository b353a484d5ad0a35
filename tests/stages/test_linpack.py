"""ITK's inverse: bits that ITK gave once, ITK itself where it is installed, and the inverse's property."""

import numpy as np
import pytest

from spineps_rt.stages.n4.itk_inverse import inverse


def turned(seed):
    """Direction and spacing of an image: turned, a little turned, or along the axes."""
    rng = np.random.default_rng(seed)
    direction = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if seed % 3 == 1:
        direction = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)
    if seed % 3 == 2:
        cosine, sine = np.cos(0.1 * rng.random()), np.sin(0.1 * rng.random())
        direction = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])[:, rng.permutation(3)]
    return direction, rng.choice([1, 0.75, 0.9375, 3.3, 4], 3)


@pytest.mark.parametrize("seed", range(30))
def test_it_is_the_inverse(seed):
    direction, spacing = turned(seed)
    np.testing.assert_allclose(inverse(direction * spacing), np.linalg.inv(direction * spacing), atol=1e-14)


def test_bits_are_those_that_itk_gave():
    matrix = np.array(
        [
            [0.72, -0.21000000000000002, 0.5544],
            [0.21000000000000002, 0.72, -1.9007999999999998],
            [0.0, 0.5625, 2.64],
        ]
    )
    expected = [
        ["0x1.47ae147ae147ap+0", "0x1.7e4b17e4b17e5p-2", "0x0.0p+0"],
        ["-0x1.e955e124ba3b6p-3", "0x1.a36e2eb1c432ep-1", "0x1.47ae147ae147ap-1"],
        ["0x1.a10c1a10c1a11p-5", "-0x1.6578165781657p-3", "0x1.f07c1f07c1f09p-3"],
    ]
    assert [[value.hex() for value in row] for row in inverse(matrix).tolist()] == expected
    assert (inverse(matrix) != np.linalg.inv(matrix)).any()


@pytest.mark.parametrize("seed", range(30))
def test_bits_are_those_that_itk_gives(seed):
    sitk = pytest.importorskip("SimpleITK")
    direction, spacing = turned(seed)
    image = sitk.Image(2, 2, 2, sitk.sitkUInt8)
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    columns = [image.TransformPhysicalPointToContinuousIndex(axis) for axis in np.eye(3).tolist()]
    np.testing.assert_array_equal(inverse(direction * spacing), np.transpose(columns))
