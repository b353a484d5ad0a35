"""What holds for every test."""

from __future__ import annotations

import logging
import os

import pytest

from spineps_rt.engine.gpu import cuda_devices

if not cuda_devices():
    os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")  # read when numba is imported


@pytest.fixture(autouse=True)
def package_logger():
    """Give the package's logger back as it was: a command takes it over for the rest of its process."""
    logger = logging.getLogger("spineps_rt")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])
