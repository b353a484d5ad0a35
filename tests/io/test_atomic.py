"""Results whole or absent, errors in sentences."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spineps_rt.errors import ContractError, MissingFileError, OutputError
from spineps_rt.io import atomic, streams

PAYLOAD = bytes(range(256)) * 700


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_write_replaces_and_honours_the_umask(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    before = os.umask(0o027)
    try:
        atomic.atomic_write(path, PAYLOAD)
    finally:
        os.umask(before)
    assert path.read_bytes() == PAYLOAD
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["out"]


def test_write_together_writes_all(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    atomic.write_together([(tmp_path / "a", b"1"), (tmp_path / "b", b"2")])
    assert [(tmp_path / n).read_bytes() for n in names(tmp_path)] == [b"1", b"2"]
    assert names(tmp_path) == ["a", "b"]


FAILURES = [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]


def old_and_new(folder: Path) -> list[tuple[Path, bytes]]:
    for name in "ac":
        (folder / name).write_bytes(b"old " + name.encode())
    return [(folder / name, b"new") for name in "abc"]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch, failure, nth):
    calls = []

    def half(path, data):
        calls.append(path)
        path.write_bytes(data[:2] if len(calls) == nth else data)
        if len(calls) == nth:
            raise failure

    monkeypatch.setattr(atomic, "_write_new", half)
    with pytest.raises(OutputError if isinstance(failure, OSError) else KeyboardInterrupt):
        atomic.write_together(old_and_new(tmp_path))
    assert {n: (tmp_path / n).read_bytes() for n in names(tmp_path)} == {"a": b"old a", "c": b"old c"}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5])
def test_a_failed_rename_leaves_what_was_there(tmp_path, monkeypatch, failure, when, nth):
    """Five renames: a and c step aside and are replaced, b is new."""
    true, calls = Path.replace, []

    def stumble(self, target):
        calls.append(target)
        if len(calls) == nth and when == "before":
            raise failure
        result = true(self, target)
        if len(calls) == nth:
            raise failure
        return result

    monkeypatch.setattr(Path, "replace", stumble)
    with pytest.raises(OutputError if isinstance(failure, OSError) else KeyboardInterrupt):
        atomic.write_together(old_and_new(tmp_path))
    assert {n: (tmp_path / n).read_bytes() for n in names(tmp_path)} == {"a": b"old a", "c": b"old c"}


def test_a_full_disk_is_a_sentence(tmp_path):
    """A real short write: the kernel refuses bytes beyond the file size limit."""
    program = (
        "import pathlib, resource, sys; from spineps_rt import errors; from spineps_rt.io import atomic\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "a, b = (pathlib.Path(sys.argv[1], name) for name in 'ab')\n"
        "try: atomic.write_together([(a, bytes(9)), (b, bytes(9999))])\n"
        "except errors.OutputError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert "does not fit" in run.stdout and str(tmp_path / "b") in run.stdout
    assert names(tmp_path) == []


def test_each_output_needs_its_own_path(tmp_path):
    with pytest.raises(ContractError, match="path of its own"):
        atomic.write_together([(tmp_path / "a", b""), (tmp_path / "a", b"")])


@pytest.mark.parametrize(
    ("place", "reason"),
    [("no/x", "does not exist"), ("file/x", "is a file"), ("folder", "a folder of this name")],
)
def test_places_that_cannot_be_written(tmp_path, place, reason):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=reason):
        atomic.atomic_write(tmp_path / place, b"data")
    assert names(tmp_path) == ["file", "folder"]
    assert names(tmp_path / "folder") == []


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [0, 1, 2])
def test_a_failed_folder_leaves_what_was_there(tmp_path, monkeypatch, failure, when, nth):
    """Fails while it is filled (0), or at the first or second rename: the old steps aside, the new comes."""
    target, true, calls = tmp_path / "model", Path.replace, []
    target.mkdir()
    (target / "old").write_bytes(b"old")

    def stumble(self, to):
        calls.append(to)
        if len(calls) == nth and when == "before":
            raise failure
        result = true(self, to)
        if len(calls) == nth:
            raise failure
        return result

    monkeypatch.setattr(Path, "replace", stumble)
    with (
        pytest.raises(OutputError if isinstance(failure, OSError) else KeyboardInterrupt),
        atomic.new_folder(target) as place,
    ):
        (place / "new").write_bytes(b"new")
        if nth == 0:
            raise failure
    assert (names(tmp_path), names(target)) == (["model"], ["old"])


def test_a_new_folder_replaces_the_old_one(tmp_path):
    target = tmp_path / "store" / "model"
    for content in ("one", "two"):
        with atomic.new_folder(target) as place:
            (place / content).write_bytes(b"x")
        assert (names(target.parent), names(target)) == (["model"], [content])
    atomic.remove_folder(target)
    assert names(target.parent) == []


def test_prepare_folder(tmp_path):
    atomic.prepare_folder(tmp_path / "a" / "b")
    atomic.prepare_folder(tmp_path / "a" / "b")
    assert names(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OutputError, match="a file of this name"):
        atomic.prepare_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="is a file"):
        atomic.prepare_folder(tmp_path / "file" / "below")


@pytest.fixture
def stranger():
    """Someone whom permissions bind: root becomes another user for the while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_permissions(tmp_path, request):
    closed, secret = tmp_path / "closed", tmp_path / "secret"
    closed.mkdir()
    secret.write_bytes(b"1")
    (closed / "scan").write_bytes(b"1")
    tmp_path.chmod(0o555)
    closed.chmod(0)
    secret.chmod(0)
    request.getfixturevalue("stranger")
    try:
        for path in (secret, closed / "scan"):
            with pytest.raises(MissingFileError, match="permissions"):
                streams.open_input(path)
        for folder in (tmp_path, closed):
            with pytest.raises(OutputError, match="permissions"):
                atomic.prepare_folder(folder)
            with pytest.raises(OutputError, match="permissions"):
                atomic.atomic_write(folder / "x", b"")
    finally:
        if os.getuid() != 0:  # root cleans up whatever the mode; anyone else needs it back
            tmp_path.chmod(0o700)
            closed.chmod(0o700)
