"""A scan is read once; what it is called and what it weighs in digits belongs to the very bytes read."""

from __future__ import annotations

import gzip
import hashlib

import numpy as np
import pytest

import tiny_scan
from spineps_rt.errors import EmptyImageError, NotFiniteError
from spineps_rt.io import nifti
from spineps_rt.scan import read_scan
from spineps_rt.volume import Volume


@pytest.mark.parametrize("name", ["sub-x_T2w.nii", "sub-x_T2w.nii.gz"])
def test_the_digest_is_that_of_the_bytes_that_were_read(tmp_path, monkeypatch, name):
    """Another file takes the path as soon as the voxels are read."""
    path = tiny_scan.write_scan(tmp_path / name)
    first, other = path.read_bytes(), tmp_path / "other"
    other.write_bytes(gzip.compress(b"another file"))
    truth = nifti.read_nifti(path).array
    check = nifti.check_signal

    def swap(image, name):
        check(image, name)
        other.replace(path)

    monkeypatch.setattr(nifti, "check_signal", swap)
    volume, source = read_scan(path)
    np.testing.assert_array_equal(volume.array, truth)
    assert (source.name, source.sha256) == (name, hashlib.sha256(first).hexdigest())
    assert path.read_bytes() != first


@pytest.mark.parametrize(
    ("array", "error"),
    [(np.full((3, 4, 5), 7.0), EmptyImageError), (np.full((3, 4, 5), np.nan), NotFiniteError)],
)
def test_a_volume_without_signal_is_refused(array, error):
    with pytest.raises(error, match="The volume holds"):
        read_scan(Volume(array, np.eye(4)))
