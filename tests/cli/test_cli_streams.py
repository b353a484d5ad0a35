"""Nobody reads, or nobody can: the scan is segmented all the same. Signals end a command in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

import tiny_models
import tiny_scan
from spineps_rt.io import sets
from spineps_rt.io.naming import output_paths

MAIN = [sys.executable, "-c", "from spineps_rt.cli.main import main; main()"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tiny_scan.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def scan(tmp_path):
    return tiny_scan.write_scan(tmp_path / "sub-\u00e4_T2w.nii.gz")


def words(scan, models):
    return [*MAIN, "run", str(scan), "--model", str(models), "--device", "onnx"]


@pytest.mark.parametrize(
    ("redirection", "codes"),
    [
        (">&-", {0}),
        ("2>&-", {0}),
        ("<&- >&- 2>&-", {0}),
        (">/dev/full", {141}),
        ("2>/dev/full", {0}),
        (">/dev/full 2>/dev/full", {141}),
        ("| true", {141}),
        ("2>&1 | true", {141}),
    ],
)
def test_streams_that_nobody_reads(scan, models, redirection, codes):
    script = f'set -o pipefail; "$@" {redirection}'
    shell = ["bash", "-c", script, "bash", *words(scan, models)]
    done = subprocess.run(shell, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode in codes, done.stderr
    assert "bug" not in done.stderr and "Traceback" not in done.stderr
    sets.require_complete(output_paths(scan))


def test_a_terminal_that_knows_ascii_only(scan, models):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(words(scan, models), check=False, capture_output=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert b"sub-\\xe4" in done.stdout
    sets.require_complete(output_paths(scan))


@pytest.mark.parametrize(
    ("signals", "codes"),
    [
        ([signal.SIGHUP], {129}),
        ([signal.SIGTERM], {143}),
        ([signal.SIGTERM, signal.SIGTERM], {143}),
        ([signal.SIGINT, signal.SIGINT], {130}),
        ([signal.SIGINT, signal.SIGTERM], {130, 143}),
    ],
)
def test_signals_leave_nothing_and_no_traceback(tmp_path, signals, codes):
    models = tiny_scan.write_models(tmp_path / "models")
    tiny_models.edit_manifest(models / "semantic", step=0.01)
    scan = tiny_scan.write_scan(tmp_path / "sub-x_T2w.nii.gz")
    process = subprocess.Popen(
        words(scan, models),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads run here)
    )
    while "preprocess" not in process.stderr.readline():
        assert process.poll() is None
    for number in signals:
        process.send_signal(number)
        time.sleep(0.002)
    _, err = process.communicate(timeout=60)
    assert process.returncode in codes, err
    assert "Traceback" not in err
    assert not output_paths(scan).record.parent.exists()


LOST = """
import signal, time
from spineps_rt.cli import process

class Half:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0)

process.listen()
half = Half()
del half
time.sleep(30)
"""


def test_a_signal_that_hits_where_nothing_can_be_raised_is_heard_later():
    done = subprocess.run([sys.executable, "-c", LOST], check=False, capture_output=True, timeout=20)
    assert (done.returncode, done.stderr) == (143, b"")


def test_a_hang_up_that_is_to_be_ignored_is_ignored(scan, models):
    process = subprocess.Popen(
        words(scan, models),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # noqa: PLW1509 (as nohup does)
    )
    process.stderr.readline()
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    sets.require_complete(output_paths(scan))
