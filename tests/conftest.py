"""What holds for every test."""

from __future__ import annotations

import logging
import os
import signal
import sys

import pytest

from spineps_rt.backends.gpu import cuda_devices
from spineps_rt.cli.main import main

if not cuda_devices():
    os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")  # read when numba is imported


@pytest.fixture(autouse=True)
def store(tmp_path_factory, monkeypatch):
    """Keep the models that a user has installed out of the tests, and the tests' own away from the user."""
    folder = tmp_path_factory.getbasetemp() / "no store"
    monkeypatch.setenv("SPINEPS_RT_MODELS", str(folder))
    yield
    assert not folder.exists()  # whoever installs takes a store of its own


@pytest.fixture(autouse=True)
def package_logger():
    """Give the package's logger back as it was: a command takes it over for the rest of its process."""
    logger = logging.getLogger("spineps_rt")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture
def run_cli(monkeypatch, capsys):
    """Run the command as the console script would; answers exit code, standard output and standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["spineps-rt", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    yield run
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
