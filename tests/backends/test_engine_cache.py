"""The private cache: what it hands out, and every reason for which it does not."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from spineps_rt.backends import engine_cache
from spineps_rt.backends.base import UnavailableError
from spineps_rt.backends.engine_cache import EngineKey, find_engine
from spineps_rt.errors import EngineError

KEY = EngineKey("tiny", "a" * 64, "tensorrt-rtx", "1.7.1", "sm86", "fp16")
NAME = "tiny-sm86-fp16-tensorrt-rtx-1.7.1"
COMMAND = r"spineps-rt export engine --library tensorrt-rtx --sm 86 --precision fp16 'models/my t2w'$"
SOURCE = Path("models/my t2w")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "cache"
    path.mkdir(mode=0o700)
    monkeypatch.setenv(engine_cache.FOLDER_VARIABLE, str(path))
    return path


def put(folder, key, *, name=NAME, engine=b"engine"):
    said = {**asdict(key), "engine_sha256": hashlib.sha256(engine).hexdigest()}
    (folder / f"{name}.engine").write_bytes(engine)
    (folder / f"{name}.json").write_text(json.dumps(said))


def test_an_engine_is_found_by_its_key(folder):
    put(folder, KEY)
    assert KEY.name == NAME
    assert find_engine(KEY, source=SOURCE) == b"engine"


def test_what_is_not_there_is_named_with_what_is(folder):
    with pytest.raises(UnavailableError, match=rf"no engine {NAME}\.engine in .*cache\. Build it: {COMMAND}"):
        find_engine(KEY, source=SOURCE)
    put(folder, replace(KEY, version="1.6.0"), name="tiny-sm86-fp16-tensorrt-rtx-1.6.0")
    put(folder, replace(KEY, model="other"), name="other-sm86-fp16-tensorrt-rtx-1.7.1")
    with pytest.raises(UnavailableError, match=r"only tiny-sm86-fp16-tensorrt-rtx-1\.6\.0\.engine\. Build"):
        find_engine(KEY, source=SOURCE)


def test_without_a_cache_nothing_is_there(folder):
    folder.rmdir()
    with pytest.raises(UnavailableError, match=COMMAND):
        find_engine(KEY, source=SOURCE)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("onnx_sha256", "b" * 64),
        ("version", "1.6.0"),
        ("target", "sm75"),
        ("precision", "fp32"),
        ("library", "tensorrt"),
        ("model", "other"),
    ],
)
def test_an_engine_for_something_else_under_this_name(folder, field, value):
    put(folder, replace(KEY, **{field: value}))
    with pytest.raises(EngineError, match=rf"stale.*its {field} is {value}; expected.*{COMMAND}"):
        find_engine(KEY, source=SOURCE)


def test_a_damaged_engine(folder):
    put(folder, KEY)
    (folder / f"{NAME}.engine").write_bytes(b"enginf")
    with pytest.raises(EngineError, match=rf"{NAME}\.engine is damaged.*{COMMAND}"):
        find_engine(KEY, source=SOURCE)


def test_missing_and_unreadable_metadata(folder):
    put(folder, KEY)
    (folder / f"{NAME}.json").write_text("no JSON")
    with pytest.raises(EngineError, match=rf"metadata cannot be read.*{COMMAND}"):
        find_engine(KEY, source=SOURCE)
    (folder / f"{NAME}.json").write_text("[]")
    with pytest.raises(EngineError, match=r"its model is None; expected tiny"):
        find_engine(KEY, source=SOURCE)
    (folder / f"{NAME}.json").unlink()
    with pytest.raises(EngineError, match=rf"no metadata beside it \({NAME}\.json\).*{COMMAND}"):
        find_engine(KEY, source=SOURCE)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_cache_that_others_can_write(folder, mode):
    put(folder, KEY)
    folder.chmod(mode)
    with pytest.raises(EngineError, match=rf"written by others \(mode {mode:o}\).*chmod 700"):
        find_engine(KEY, source=SOURCE)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such owners")
def test_what_belongs_to_somebody_else(folder, monkeypatch):
    put(folder, KEY)
    stranger = os.geteuid() + 1
    monkeypatch.setattr(engine_cache, "user_id", lambda: stranger)
    with pytest.raises(EngineError, match=rf"runs as {stranger}.*name a folder of your own"):
        find_engine(KEY, source=SOURCE)
    monkeypatch.setattr(
        engine_cache, "require_private", lambda _: None
    )  # the folder is ours, the file is not
    with pytest.raises(EngineError, match="belongs to user"):
        find_engine(KEY, source=SOURCE)


def test_a_model_s_name_cannot_leave_the_cache():
    assert replace(KEY, model="../../etc/x y").name == "_etc_x_y-sm86-fp16-tensorrt-rtx-1.7.1"


def test_every_kind_of_engine_has_its_command():
    wide = replace(KEY, library="tensorrt", target="ampere-plus", version="11.x")
    words = "--library tensorrt --hardware-compatible --version-compatible --precision fp16 m"
    assert wide.command("m") == f"spineps-rt export engine {words}"
    exact = replace(KEY, library="tensorrt", version="11.0")
    assert exact.command("m") == "spineps-rt export engine --library tensorrt --precision fp16 m"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep caches elsewhere")
def test_where_the_cache_is(monkeypatch):
    monkeypatch.delenv(engine_cache.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert engine_cache.cache_folder() == Path("/caches/spineps-rt")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert engine_cache.cache_folder() == Path("/home/me/.cache/spineps-rt")
