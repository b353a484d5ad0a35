"""What README.md promises: its commands, its tables, its Python."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

import spineps_rt
import tiny_scan
from spineps_rt import errors, labels
from spineps_rt.cli.main import INTERRUPTED, UNHEARD
from spineps_rt.cli.run import run
from spineps_rt.io.naming import output_paths
from spineps_rt.models import resolve as models

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^python3 -m venv \.venv && \.venv/bin/pip install .*$", re.MULTILINE)


def table(head):
    """Cells of the table whose first line holds ``head``, a list of rows."""
    lines = README[README.index(head) :].splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[2 : lines.index("", 1)]]
    return [[cell.strip() for cell in row] for row in rows]


def pairs(rows):
    """Two columns out of the five of a table that is set in two halves."""
    return [(row[i], row[i + 1]) for row in rows for i in (0, 3) if row[i]]


def test_two_commands_make_their_own_environment():
    demo, tests = COMMAND.findall(README)
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = set(re.findall(r"\.\[(\w+)\]", demo + tests))
    assert extras == {"cpu", "test"}
    assert extras < set(setup["options.extras_require"])
    assert tests.endswith(" -m pytest")
    # Both install in place: a copy in site-packages would leave its compiled kernels behind when the other
    # command replaces it, and Python would take that folder for the package.
    assert demo.count(" -e ") == tests.count(" -e ") == 1


def test_the_demo_line_works_a_second_time():
    demo = COMMAND.findall(README)[0]
    parts = [part.split() for part in demo.split(" && ") if "spineps-rt" in part]
    assert [part[1] for part in parts] == ["phantom", "run"]
    assert all(part[-1] == "--overwrite" for part in parts)
    assert parts[0][2] == parts[1][2]


def test_file_table_names_every_output():
    names = [row[0].strip("`") for row in table("| file |")]
    assert names == [path.name for path in output_paths(Path("sub-x_T2w.nii.gz")).all()]


def test_label_table_is_the_label_table():
    structures = labels.STRUCTURES | labels.ENDPLATE_STRUCTURES
    names = {label: structure.name for label, structure in structures.items()}
    names[labels.ENDPLATE] = "endplate of no known vertebra"
    assert {int(label): name for name, label in pairs(table("| structure |"))} == names


def test_exit_code_table_is_that_of_the_errors():
    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.SpinepsError)
    }
    listed = [int(code) for code, _ in pairs(table("| exit code |"))]
    assert sorted(listed) == sorted({0, 2, INTERRUPTED, UNHEARD, 129, 143} | codes)


def test_option_table_lists_every_option():
    named = set(re.findall(r"-{1,2}[a-z-]+", " ".join(row[0] for row in table("| `spineps-rt run"))))
    short = {min(option.opts, key=len) for option in run.params if option.param_type_name == "option"}
    assert short <= named
    assert named <= {name for option in run.params for name in (*option.opts, *option.secondary_opts)}


def test_python_example_runs(tmp_path, monkeypatch):
    folder = tiny_scan.write_models(tmp_path / "models")
    pair = models.resolve_models(folder)
    monkeypatch.setattr(models, "default_models", lambda _modality: pair)
    monkeypatch.chdir(tmp_path)
    scans = [tiny_scan.write_scan(tmp_path / f"sub-{name}_T2w.nii.gz") for name in "xy"]
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example
    found = {}
    exec(example[1], found)
    assert isinstance(found["result"], spineps_rt.Result)
    assert len(found["result"].vertebrae) == tiny_scan.N_VERTEBRAE + 1  # and the sacrum
    assert all(path.is_file() for scan in scans for path in output_paths(scan).all())


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)]+)\)", README))))
def test_links_lead_somewhere(link):
    assert (ROOT / link).is_file()
