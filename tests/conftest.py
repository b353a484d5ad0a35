"""What holds for every test."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

import pytest

from spineps_rt.backends.gpu import cuda_devices
from spineps_rt.cli.main import main
from spineps_rt.machine import FEATURES, HIDE, LIBRARIES

ROOT = Path(__file__).parents[1]
HIDDEN = {
    **{feature: {HIDE: feature} for feature in FEATURES if feature != "onnxruntime"},  # tests compare with it
    "avx512": {HIDE: "bfloat16", "NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx2,+fma"},
    "cuda-home": {"CUDA_HOME": "/no/cuda", "CUDA_PATH": "/no/cuda"},
    "terminal": {HIDE: "terminal", "COLUMNS": "20"},
    "time-zone": {"TZ": "Pacific/Kiritimati"},
}
"""What ``--hide`` takes away, and the environment variables that do it; subprocesses have them, too."""


def pytest_addoption(parser):
    parser.addoption("--hide", default="", metavar="A,B", help=f"Run without these: {', '.join(HIDDEN)}.")


def pytest_configure(config):
    """Set the machine up before anything of the package that looks at it is imported."""
    for feature in filter(None, config.getoption("--hide").split(",")):
        if feature not in HIDDEN:
            raise pytest.UsageError(f"--hide knows {', '.join(HIDDEN)}, not {feature!r}.")
        if feature in LIBRARIES:
            sys.modules[feature.replace("-", "_")] = None  # pytest.importorskip does not find it, either
        for name, value in HIDDEN[feature].items():
            others = [os.environ[name]] if name == HIDE and os.environ.get(HIDE) else []
            os.environ[name] = ",".join([*others, value])
    os.environ.setdefault(
        "NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba")
    )  # of this process and its children
    if not cuda_devices():
        os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")  # read when numba is imported


def pytest_collection_modifyitems(items):
    """Begin with the warm-up, which compiles the kernels for all tests behind it."""
    items.sort(key=lambda item: item.fspath.basename != "test_warmup.py")


@pytest.fixture
def hide(monkeypatch):
    """Hide features of the machine for one test, beside those that are hidden for all."""
    before = os.environ.get(HIDE, "")
    return lambda *features: monkeypatch.setenv(HIDE, ",".join([before, *features]))


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
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
