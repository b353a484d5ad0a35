"""Results whole or absent, errors in sentences."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spineps_rt.errors import ContractError, MissingFileError, OutputError, OutputExistsError
from spineps_rt.io import atomic, journal, locks, streams

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

    monkeypatch.setattr(atomic, "write_new", half)
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


def test_nothing_is_replaced_unasked_even_if_it_appears_between_the_renames(tmp_path, monkeypatch):
    true = os.link

    def race(source, target, **options):
        if target.name == "b":
            target.write_bytes(b"another's")
        true(source, target, **options)

    monkeypatch.setattr(os, "link", race)
    with pytest.raises(OutputExistsError, match="already holds b; pass --overwrite"):
        atomic.write_together([(tmp_path / name, b"mine") for name in "abc"], overwrite=False)
    assert {n: (tmp_path / n).read_bytes() for n in names(tmp_path)} == {"b": b"another's"}


def test_without_hard_links_nothing_is_replaced_either(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    atomic.write_together([(tmp_path / name, b"first") for name in "ab"], overwrite=False)
    (tmp_path / "a").unlink()
    with pytest.raises(OutputExistsError, match="already holds b"):
        atomic.write_together([(tmp_path / name, b"second") for name in "ab"], overwrite=False)
    assert {n: (tmp_path / n).read_bytes() for n in names(tmp_path)} == {"b": b"first"}


def test_a_folder_that_appears_while_another_is_filled_is_kept(tmp_path):
    target = tmp_path / "model"
    with pytest.raises(OutputExistsError), atomic.new_folder(target, overwrite=False) as place:
        (place / "new").write_bytes(b"new")
        target.mkdir()
        (target / "old").write_bytes(b"old")
    assert (names(tmp_path), names(target)) == (["model"], ["old"])


def test_one_set_has_one_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    with locks.exclusive(tmp_path, locks.key_of(tmp_path / "a")):
        with pytest.raises(OutputError, match="Another run is writing these results"):
            atomic.write_together([(tmp_path / "a", b"1"), (tmp_path / "b", b"2")])
        atomic.write_together([(tmp_path / "c", b"another set")])
    atomic.write_together([(tmp_path / "a", b"1")])
    assert names(tmp_path) == ["a", "c"]


def test_a_folder_for_each_set(tmp_path):
    (tmp_path / "f").mkdir()
    with pytest.raises(ContractError, match="all one folder"):
        atomic.write_together([(tmp_path / "a", b""), (tmp_path / "f" / "b", b"")])


DYING = """
import os, pathlib, signal, sys
from spineps_rt.io import atomic
folder, nth, overwrite = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
calls = []
def dying(true):
    def call(*arguments, **options):
        calls.append(arguments)
        if len(calls) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return true(*arguments, **options)
    return call
for name in ("rename", "replace", "link", "unlink", "open"):
    setattr(os, name, dying(getattr(os, name)))
atomic.write_together([(folder / name, b"new") for name in "abc"], overwrite=overwrite)
print(len(calls))
"""


@pytest.mark.parametrize("overwrite", [True, False])
def test_whoever_dies_leaves_what_the_next_puts_right(tmp_path, overwrite):
    """Killed before every single call that changes a name, of the whole writing."""
    old = {"a": b"old", "c": b"old"} if overwrite else {}
    new = dict.fromkeys("abc", b"new")
    for nth in range(1, 60):
        folder = tmp_path / str(nth)
        folder.mkdir()
        kept = {".spineps-rt-notes": b"not ours", ".part": b"x"}
        for name, data in {**old, **kept}.items():
            (folder / name).write_bytes(data)
        words = [sys.executable, "-c", DYING, str(folder), str(nth), str(overwrite)]
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
        atomic.settle(folder / "a", finish=True)
        found = {name: (folder / name).read_bytes() for name in names(folder)}
        assert found in ({**old, **kept}, {**new, **kept}), nth
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert nth > 15
    assert found == {**new, **kept}


def test_a_set_that_replaced_nothing_can_be_taken_back(tmp_path):
    staged = [tmp_path / locks.temporary_name(locks.key_of(tmp_path / "a")) for _ in "ab"]
    for path in staged:
        path.write_bytes(b"new")
    noted = journal.Journal(list(zip(staged, (tmp_path / "a", tmp_path / "b"))), overwrite=False)
    journal.journal_path(tmp_path, locks.key_of(tmp_path / "a")).write_bytes(noted.encode())
    os.link(staged[0], tmp_path / "a")
    atomic.settle(tmp_path / "a", finish=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize("moves", [[["x", "y"]], [["../x", "y"]], [[".spineps-rt-000000000000.lock", "y"]]])
def test_a_journal_moves_nothing_but_what_its_writer_staged(tmp_path, moves):
    (tmp_path / "x").write_bytes(b"x")
    path = journal.journal_path(tmp_path, locks.key_of(tmp_path / "a"))
    path.write_text(json.dumps({"overwrite": True, "moves": moves}))
    atomic.settle(tmp_path / "a", finish=True)
    assert names(tmp_path) == ["x"]


def test_hidden_files_of_writers_that_live_are_let_be(tmp_path):
    key = locks.key_of(tmp_path / "other")
    with locks.exclusive(tmp_path, key):
        staged = tmp_path / locks.temporary_name(key)
        staged.write_bytes(b"on its way")
        atomic.write_together([(tmp_path / "a", b"1")])
        assert staged.read_bytes() == b"on its way"
    atomic.write_together([(tmp_path / "a", b"1")])
    assert names(tmp_path) == ["a"]


def test_signals_wait_for_the_renames(tmp_path, monkeypatch):
    """Two of them while a failed set is taken back: what was there is back, and the first is heard then."""
    true, calls = Path.replace, []

    def stumble(self, target):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(errno.EIO, "Input/output error")
        if len(calls) > 3:
            signal.raise_signal(signal.SIGINT)
        return true(self, target)

    monkeypatch.setattr(Path, "replace", stumble)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_together(old_and_new(tmp_path))
    assert len(calls) > 4
    assert {n: (tmp_path / n).read_bytes() for n in names(tmp_path)} == {"a": b"old a", "c": b"old c"}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


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
