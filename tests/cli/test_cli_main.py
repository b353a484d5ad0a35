"""The command line as a whole: help, version, models, progress."""

from __future__ import annotations

import io

import pytest

import tiny_models
import tiny_scan
from spineps_rt import __version__
from spineps_rt.cli.progress import ProgressDisplay
from spineps_rt.errors import ModelError


@pytest.fixture
def command(run_cli):
    return run_cli


def test_help_lists_the_commands(command):
    code, out, _ = command("--help")
    assert code == 0
    for name in ("run", "phantom", "models"):
        assert f"\n  {name} " in out


def test_version(command):
    assert command("--version") == (0, f"spineps-rt, version {__version__}\n", "")


@pytest.mark.parametrize(
    "words", [["bogus"], ["run"], ["run", "x.nii", "--device", "quantum"], ["run", "--threads", "-1"]]
)
def test_wrong_usage_is_exit_code_2_and_says_how(command, words):
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert "Usage: " in err
    assert "Error: " in err


def test_models_show_describes_a_verified_folder(command, tmp_path):
    folder = tiny_scan.write_models(tmp_path) / "semantic"
    code, out, _ = command("models", "show", folder)
    assert code == 0
    for text in (
        "tiny-semantic",
        "semantic",
        "T2w",
        "1 x 1 x 2 mm",
        "float32 [1, 1, 8, 32, 32]",
        "Apache-2.0",
    ):
        assert text in out
    (folder / "model.onnx").write_bytes(b"damaged")
    code, out, err = command("models", "show", folder)
    assert (code, out) == (ModelError.exit_code, "")
    assert err.startswith("error: ")


def test_models_show_knows_a_range_of_spacings(command, tmp_path):
    folder = tiny_models.write_instance(tmp_path / "m", spacing=(1.0, 1.0, 2.0))
    tiny_models.edit_manifest(folder, spacing=None, spacing_range=[[0.5, 0.5, 1.0], [1.0, 1.0, 4.0]])
    code, out, _ = command("models", "show", folder)
    assert code == 0
    assert "0.5 x 0.5 x 1 to 1 x 1 x 4 mm" in out


def test_models_list_answers(command):
    code, out, err = command("models", "list")
    assert code == 0
    assert out or "no models" in err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drive(stream, **options):
    progress = ProgressDisplay(stream=stream, **options)
    report = progress.scan("sub-x_T2w.nii.gz", 2, 3)
    for fraction in (0.0, 0.5, 1.0):
        report("semantic", fraction)
    progress.clear()
    return stream.getvalue()


def test_terminal_gets_one_moving_line():
    text = drive(Terminal())
    assert "[2/3] sub-x_T2w.nii.gz" in text
    assert "\n" not in text
    percents = [int(part.split("%")[0].split()[-1]) for part in text.split("\r") if "%" in part]
    assert percents == sorted(percents)
    assert percents[-1] > percents[0]
    assert text.split("\r")[-2].strip() == ""  # wiped at the end


def test_the_bar_is_that_of_the_scan_in_the_networks():
    stream = Terminal()
    progress = ProgressDisplay(stream=stream)
    first, second = progress.scan("a.nii", 1, 2), progress.scan("b.nii", 2, 2)
    first("semantic", 0.5)
    second("read", 1.0)
    assert "b.nii" not in stream.getvalue()
    second("semantic", 0.1)
    assert "b.nii" in stream.getvalue()
    before = stream.getvalue()
    first("reconcile", 1.0)
    assert stream.getvalue() == before


def test_log_gets_plain_lines():
    lines = drive(io.StringIO()).splitlines()
    assert lines[0] == "[2/3] sub-x_T2w.nii.gz: started"
    assert lines[1].startswith("[2/3] sub-x_T2w.nii.gz: semantic 0.")
    assert len(lines) == 2


def test_quiet_gets_nothing():
    assert drive(Terminal(), quiet=True) == ""
